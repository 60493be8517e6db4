"""Which rows belong together, which is best, and what may be said about it. Pure functions over summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.report.load import Summary
from eval.stats import smallest_detectable_difference

# Outputs that nothing has judged: in `n`, but neither right nor wrong.
UNDECIDED = ("timeout", "unparsed_gold", "error")


@dataclass(frozen=True)
class Row:
    """One summary with the label it carries in its group, such as "base" or "step 60"."""

    label: str
    summary: Summary


@dataclass(frozen=True)
class Group:
    """Evaluations that may stand in one table: same benchmark, same limit. References first, then by run and step.

    A reference is a model that is no training checkpoint (`step` is null). `base` is the one reference that is not of a
    run in the group; None where there is no such model, or more than one.
    """

    benchmark: str
    limit: int | None
    rows: tuple[Row, ...]
    base: Row | None

    @property
    def checkpoints(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.summary["step"] is not None)

    @property
    def n(self) -> int:
        """Graded outputs of the row that has fewest."""
        return min(int(row.summary["n"]) for row in self.rows)


def group_summaries(summaries: Iterable[Summary]) -> list[Group]:
    """One group a (benchmark, limit), in order of benchmark name, whole benchmarks before limited ones."""
    members: dict[tuple[str, int], list[Summary]] = {}
    for summary in summaries:
        members.setdefault((summary["benchmark"], summary["limit"] or 0), []).append(summary)
    return [make_group(members[key]) for key in sorted(members)]


def make_group(summaries: Sequence[Summary]) -> Group:
    """The group of summaries that share benchmark and limit; at least one."""
    ordered = sorted(summaries, key=lambda s: (s["step"] is not None, s["run"], s["step"] or 0, s["key"]))
    runs = {s["run"] for s in ordered if s["step"] is not None}
    outside = [s for s in ordered if s["step"] is None and s["run"] not in runs]
    base = outside[0] if runs and len(outside) == 1 else None
    labels = [_label(s, several_runs=len(runs) > 1, is_base=s is base) for s in ordered]
    times = Counter(labels)
    rows = tuple(
        Row(label if times[label] == 1 else f"{label} ({summary['key'][:8]})", summary)
        for label, summary in zip(labels, ordered, strict=True)
    )
    base_row = next((row for row in rows if row.summary is base), None)
    return Group(ordered[0]["benchmark"], ordered[0]["limit"], rows, base_row)


def best_row(group: Group) -> Row:
    """The row with the highest equivalent share: a checkpoint where there is one; the earliest of equals."""
    return max(group.checkpoints or group.rows, key=lambda row: row.summary["equivalent"])


def indistinct_rows(group: Group) -> list[Row]:
    """The rivals of the best row whose intervals overlap its own, best first.

    Overlap of intervals stands in for the paired test (exact McNemar over the same problems). It errs to the careful
    side: checkpoints whose intervals are apart differ, but those whose intervals overlap may differ too.
    """
    best = best_row(group)
    rivals = [row for row in group.checkpoints or group.rows if row is not best]
    overlapping = [row for row in rivals if overlap(row.summary, best.summary)]
    return sorted(overlapping, key=lambda row: -row.summary["equivalent"])


def overlap(a: Summary, b: Summary) -> bool:
    """Whether the two intervals share a point."""
    return bool(a["ci95"][0] <= b["ci95"][1] and b["ci95"][0] <= a["ci95"][1])


def undecided(summary: Summary) -> dict[str, int]:
    """The statuses without a decision that occurred, with their counts."""
    return {status: summary["statuses"][status] for status in UNDECIDED if summary["statuses"].get(status)}


def best_sentence(group: Group) -> str:
    """Which checkpoint is best and whether that can be told, in one plain sentence; "" where there is no rival."""
    if len(group.checkpoints or group.rows) < 2:
        return ""
    best, rivals = best_row(group), indistinct_rows(group)
    figure = f"{best.label}, {percent(best.summary['equivalent'])} ({interval(best.summary)})"
    if not rivals:
        return f"Best: {figure}; its interval is apart from all others."
    names = join_words([row.label for row in rivals])
    return f"Best: {figure}; cannot be told apart from {names}: the intervals overlap."


def detectable_sentence(group: Group) -> str:
    """The smallest difference that a paired comparison on this benchmark can detect, in one plain sentence."""
    points = 100 * smallest_detectable_difference(group.n)
    return (
        f"{group.n:,} outputs can show a difference of {points:.1f} points or more "
        "(paired test, 15% of problems discordant, 80% power)."
    )


def undecided_sentence(row: Row) -> str:
    """How many outputs of the row have no decision, in one plain sentence; "" where all have one."""
    counts = [f"{count:,} {status}" for status, count in undecided(row.summary).items()]
    if not counts:
        return ""
    points = 100 * sum(undecided(row.summary).values()) / row.summary["n"]
    return (
        f"{row.label}: {join_words(counts)} of {row.summary['n']:,} outputs have no verdict; "
        f"its accuracy may be up to {points:.1f} points higher."
    )


def undecided_sentences(group: Group) -> list[str]:
    """The `undecided_sentence` of every row that has one."""
    return [sentence for row in group.rows if (sentence := undecided_sentence(row))]


def percent(share: float) -> str:
    """0.7701 as "77.0%"."""
    return f"{100 * share:.1f}%"


def interval(summary: Summary) -> str:
    """The 95 % interval in percent, as "68.6–83.7"."""
    low, high = summary["ci95"]
    return f"{100 * low:.1f}–{100 * high:.1f}"


def mean_tokens(summary: Summary) -> str:
    """Mean length of an output in tokens; an en dash where nothing was decoded."""
    return f"{summary['output_tokens'] / summary['n']:,.0f}" if summary["n"] else "–"


def title(group: Group, size: int | None = None) -> str:
    """The benchmark's name with its limit, as "math500, first 50 of 500"; `size` counts the whole benchmark."""
    if group.limit is None:
        return group.benchmark
    whole = f" of {size:,}" if size is not None and size > group.limit else " problems only"
    return f"{group.benchmark}, first {group.limit:,}{whole}"


def join_words(words: Sequence[str]) -> str:
    """The words in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _label(summary: Summary, several_runs: bool, is_base: bool) -> str:
    if is_base:
        return "base"
    # A run is named by its folder, and a folder's name may hold line breaks or terminal codes.
    run = "".join(character for character in summary["run"] if character.isprintable())
    if summary["step"] is None:
        return run
    return f"{run} step {summary['step']}" if several_runs else f"step {summary['step']}"
