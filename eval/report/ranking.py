"""Which rows belong together, which is best, and what may be said about it. Pure functions over summaries and verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.report.load import Summary
from eval.scores import Graded, aligned
from eval.stats import (
    TYPICAL_DISCORDANT,
    best_of,
    groups,
    holm,
    paired,
    pairwise_p,
    smallest_detectable_difference,
    told_apart,
)
from graders import NOT_JUDGED

NAMES_IN_A_SENTENCE = 8
SIGNIFICANT = 0.05  # an adjusted p-value below it tells two apart


@dataclass(frozen=True)
class Row:
    """One summary with the label it carries in its group, such as "base" or "step 60"."""

    label: str
    summary: Summary


@dataclass(frozen=True)
class Standing:
    """What paired tests over the same problems say of a group's candidates.

    `groups` are best first, each led by the row that its other members cannot be told apart from. `expected` is the share
    that the best would get on new problems, `flattery` how much more it shows here because it was picked. `discordant` is
    the share of problems that only one of the best and the runner-up gets right; None where they never disagree.
    `over_base` says whether the best can be told apart from the base model; None where there is none.
    """

    groups: tuple[tuple[Row, ...], ...]
    expected: float
    flattery: float
    problems: int
    discordant: float | None
    over_base: bool | None


@dataclass(frozen=True)
class Group:
    """Evaluations that may stand in one table: same benchmark, same limit. References first, then by run and step.

    A reference is a model that is no training checkpoint (`step` is null). `base` is the one reference that is not of a
    run in the group; None where there is no such model, or more than one. `standing` is None where verdicts were not at
    hand or there is nothing to compare.
    """

    benchmark: str
    limit: int | None
    rows: tuple[Row, ...]
    base: Row | None
    standing: Standing | None = None

    @property
    def checkpoints(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.summary["step"] is not None)

    @property
    def candidates(self) -> tuple[Row, ...]:
        """The rows that may be best: checkpoints where there are any."""
        return self.checkpoints or self.rows


def make_group(summaries: Sequence[Summary], graded: Mapping[str, Graded] | None = None) -> Group:
    """The group of summaries that share benchmark and limit; at least one. `graded` holds their verdicts by key."""
    ordered = sorted(summaries, key=lambda s: (s["step"] is not None, s["run"], s["step"] or 0, s["key"]))
    runs = {s["run"] for s in ordered if s["step"] is not None}
    unvaried = [s for s in ordered if not s.get("prompt_variant")]
    outside = [s for s in unvaried if s["step"] is None and s["run"] not in runs]
    # A base model that was asked with examples only is the baseline all the same; asked both ways, the plain prompt is.
    outside = [s for s in outside if not s.get("asked")] or outside
    base = outside[0] if runs and len(outside) == 1 else None
    labels = [_label(s, several_runs=len(runs) > 1, is_base=s is base) for s in ordered]
    times = Counter(labels)
    rows = tuple(
        Row(label if times[label] == 1 else f"{label} ({summary['key'][:8]})", summary)
        for label, summary in zip(labels, ordered, strict=True)
    )
    base_row = next((row for row in rows if row.summary is base), None)
    group = Group(ordered[0]["benchmark"], ordered[0]["limit"], rows, base_row)
    return replace(group, standing=_standing(group, graded or {}))


def best_row(group: Group) -> Row:
    """The row with the highest equivalent share: a checkpoint where there is one; the earliest of equals."""
    return max(group.candidates, key=lambda row: row.summary["equivalent"])


def indistinct_rows(group: Group) -> list[Row]:
    """The rivals that cannot be told apart from the best row, best first; none where verdicts were not at hand."""
    return list(group.standing.groups[0][1:]) if group.standing else []


def undecided(summary: Summary) -> dict[str, int]:
    """The statuses without a decision that occurred, with their counts."""
    counts = summary["statuses"]
    return {status: counts[status] for status in NOT_JUDGED if counts.get(status)}


def best_sentence(group: Group) -> str:
    """Which checkpoint is best and whether that can be told, in one plain sentence; "" where there is no rival."""
    if len(group.candidates) < 2:
        return ""
    best, rivals = best_row(group), indistinct_rows(group)
    figure = f"Best: {best.label}, {percent(best.summary['equivalent'])} ({interval(best.summary)})"
    if not group.standing:
        return f"{figure}."
    if not rivals:
        return f"{figure}; told apart from all others."
    return f"{figure}; cannot be told apart from {join_words(shortened([row.label for row in rivals]))}."


def groups_sentence(group: Group) -> str:
    """The groups of rows that cannot be told apart, best first; "" where the best's own group already says it all."""
    lower = group.standing.groups[1:] if group.standing else ()
    if not any(len(rows) > 1 for rows in lower):
        return ""
    names = [join_words(shortened([row.label for row in rows])) for rows in lower]
    return f"Behind it, in groups that cannot be told apart: {'; '.join(shortened(names))}."


def picked_sentence(group: Group) -> str:
    """How much being picked flatters the best row, in one plain sentence; "" where nothing was picked."""
    if not group.standing:
        return ""
    points = 100 * group.standing.flattery
    shown = f"about {points:.1f}" if points >= 0.1 else "less than 0.1"
    return (
        f"Being the best of {len(group.candidates)} here flatters it by {shown} points: "
        f"expect {percent(group.standing.expected)} on new problems."
    )


def detectable_sentence(group: Group) -> str:
    """The smallest difference that a paired comparison on this benchmark can detect, in one plain sentence."""
    standing = group.standing
    seen = standing.discordant if standing and standing.discordant else TYPICAL_DISCORDANT
    drawn = max(_outputs_a_problem(row.summary) for row in group.rows)
    problems = (
        standing.problems
        if standing
        else min(row.summary["n"] // _outputs_a_problem(row.summary) for row in group.rows)
    )
    difference = smallest_detectable_difference(problems, seen)
    basis = f"{percent(seen)} of problems discordant" + (
        " between the best two" if standing and standing.discordant else ""
    )
    if difference > seen:  # more than could differ: the function then takes them all to favour one
        basis = "every discordant problem in favour of one"
    return (
        f"{problems:,} {'problems' if standing or drawn > 1 else 'outputs'} can show a difference of {100 * difference:.1f} points "
        f"or more (paired test, {basis}, 80% power)."
    )


def standing_sentences(group: Group) -> list[str]:
    """What belongs under a table: the best, the groups behind it, how much picking flatters, what can be detected."""
    sentences = (best_sentence(group), groups_sentence(group), picked_sentence(group), detectable_sentence(group))
    return [*filter(None, sentences), *sampled_sentences(group)]


def asked_sentences(rows: Sequence[Row]) -> list[str]:
    """For each way of asking that has more than the template, one sentence with what it is in full."""
    told = dict.fromkeys(str(row.summary["asked_in_full"]) for row in rows if row.summary.get("asked"))
    return [f"Asked with {_printable(one)}." for one in told]


def seeds_sentences(rows: Sequence[Row]) -> list[str]:
    """For each row that is the mean of several decoding seeds: what each gave, and the spread between them."""
    sentences = []
    for row in rows:
        if seeds := row.summary.get("seeds"):
            shares = [f"{percent(one['equivalent'])} (seed {one['seed']})" for one in seeds]
            spread = f"{100 * row.summary['seeds_sd']:.1f} points"
            sentences.append(
                f"{row.label} is the mean of {len(seeds)} seeds: {join_words(shortened(shares))}; standard deviation between "
                f"seeds {spread}. Its interval is over problems, each scored by its mean over seeds."
            )
    return sentences


def changed_prompt(summary: Summary) -> bool:
    """Whether the evaluation asks otherwise than by the template alone: an experiment on the model, not its score."""
    return bool(summary.get("prompt_variant") or summary.get("asked"))


def sampled_sentences(group: Group) -> list[str]:
    """For each row of several samples a problem: pass@k for every k, and what a majority vote gives."""
    return [sentence for row in group.rows for sentence in sampled_sentences_of(row)]


def sampled_sentences_of(row: Row) -> list[str]:
    """The sentence of one row; none where there is one sample a problem."""
    if not (shares := row.summary.get("pass_at_k")):
        return []
    passed = [f"pass@{k} {percent(share)}" for k, share in shares.items()]
    majority = f"maj@{row.summary['samples']} {percent(row.summary['maj_at_k'])}"
    return [f"{row.label}: {join_words([*passed, majority])}."]


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


def shortened(names: Sequence[str]) -> list[str]:
    """At most NAMES_IN_A_SENTENCE names; a last one says how many are left out."""
    if len(names) <= NAMES_IN_A_SENTENCE + 1:
        return list(names)
    return [*names[:NAMES_IN_A_SENTENCE], f"{len(names) - NAMES_IN_A_SENTENCE} more"]


def _standing(group: Group, graded: Mapping[str, Graded]) -> Standing | None:
    """The paired tests of a group with at least two candidates whose verdicts are on the same problems."""
    best = best_row(group)
    candidates = [best, *(row for row in group.candidates if row is not best)]
    rows = [*candidates, *([group.base] if group.base and group.base not in candidates else [])]
    known = [graded[row.summary["key"]] for row in rows if row.summary["key"] in graded]
    if len(candidates) < 2 or len(known) < len(rows) or len({one.benchmark_sha for one in known}) > 1:
        return None
    scores = aligned(known)
    rivals, shares = scores[: len(candidates)], [float(row.summary["equivalent"]) for row in candidates]
    order = sorted(range(len(candidates)), key=lambda position: -shares[position])
    runner_up = paired(rivals[order[1]], rivals[0], known[0].samples)
    expected, judged = best_of(rivals), ~np.isnan(rivals[0])
    shown = float(rivals[0][judged].sum() / max(1, judged.sum()))
    over_base = None
    if len(rows) > len(candidates):
        over_base = bool(holm(pairwise_p(scores)[-1, :-1])[0] < SIGNIFICANT)
    return Standing(
        groups=tuple(tuple(candidates[place] for place in places) for places in groups(order, told_apart(rivals))),
        expected=expected,
        flattery=max(0.0, shown - expected),
        problems=runner_up.n,
        discordant=runner_up.discordant or None,
        over_base=over_base,
    )


def _label(summary: Summary, several_runs: bool, is_base: bool) -> str:
    if changes := [summary[name] for name in ("asked", "prompt_variant") if summary.get(name)]:
        plain = _label({**summary, "asked": "", "prompt_variant": ""}, several_runs, is_base)
        return " + ".join([plain, *(_printable(change) for change in changes)])
    if is_base:
        return "base"
    # A run is named by its folder, and a folder's name may hold line breaks or terminal codes.
    run = _printable(summary["run"])
    if summary["step"] is None:
        return run
    return f"{run} step {summary['step']}" if several_runs else f"step {summary['step']}"


def _outputs_a_problem(summary: Summary) -> int:
    """Samples times seeds: outputs of one problem are alike, so they are no problems of their own."""
    return int(summary.get("samples") or 1) * len(summary.get("seeds") or [0])


def _printable(text: object) -> str:
    return "".join(character for character in str(text) if character.isprintable())
