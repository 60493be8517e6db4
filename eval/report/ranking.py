"""Which rows belong together, which is best, and what may be said about it. Pure functions over summaries and verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.names import printable
from eval.report.load import Summary
from eval.scores import Graded, aligned
from eval.stats import (
    TYPICAL_DISCORDANT,
    Scores,
    best_of,
    corrected_p,
    groups,
    holm,
    pairwise_discordant,
    pairwise_p,
    smallest_detectable_difference,
    told_apart,
)
from eval.words import at_most, p_value, p_words, signed, size, tenths
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
    that the best would get on new problems, at most what it shows here. `pairs` counts the pairs of candidates, and `close`
    holds the rivals that only the correction for so many keeps from being told apart: (row, p, corrected p). `detectable`
    is the smallest difference that a paired test finds, of the pair of rows that disagrees least and of the one that
    disagrees most, `discordant` on how many problems they do. `base_p` is the p-value of the best against the base model,
    and that after Holm's correction over all candidates; None where there is no base.
    """

    groups: tuple[tuple[Row, ...], ...]
    expected: float
    problems: int
    pairs: int
    close: tuple[tuple[Row, float, float], ...]
    detectable: tuple[float, float]
    discordant: tuple[float, float]
    base_p: tuple[float, float] | None

    @property
    def over_base(self) -> bool | None:
        """Whether the best can be told apart from the base model; None where there is none."""
        return None if self.base_p is None else self.base_p[1] < SIGNIFICANT


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
    drawn: bool = False

    @property
    def checkpoints(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.summary["step"] is not None)

    @property
    def candidates(self) -> tuple[Row, ...]:
        """The rows that may be best: checkpoints where there are any."""
        return self.checkpoints or self.rows

    @property
    def samples(self) -> int:
        """Outputs of one problem, of the row that has most."""
        return max(_outputs_a_problem(row.summary) for row in self.rows)

    @property
    def problems(self) -> int:
        """Problems of the row that has fewest graded outputs."""
        return min(int(row.summary["n"]) // _outputs_a_problem(row.summary) for row in self.rows)


@dataclass(frozen=True)
class Naming:
    """How short the labels of rows may be: whether a step needs its run beside it, and which model "base" stands for."""

    several_runs: bool
    base: str | None


def naming_over(groups: Iterable[Sequence[Summary]]) -> Naming:
    """The naming under which a label means the same in all of these groups."""
    known = list(groups)
    runs = {s["run"] for group in known for s in group if s["step"] is not None}
    bases = {base["run"] for group in known if (base := _base_of(group))}
    return Naming(len(runs) > 1, bases.pop() if len(bases) == 1 else None)


def make_group(
    summaries: Sequence[Summary], graded: Mapping[str, Graded] | None = None, naming: Naming | None = None
) -> Group:
    """The group of summaries that share benchmark and limit; at least one. `graded` holds their verdicts by key.

    Labels are those of `naming`, where the group is one of several.
    """
    rows = make_rows(summaries, naming)
    base = _base_of([row.summary for row in rows])
    base_row = next((row for row in rows if row.summary is base), None)
    first = rows[0].summary
    group = Group(first["benchmark"], first["limit"], rows, base_row, drawn=bool(first.get("drawn")))
    return replace(group, standing=_standing(group, graded or {}))


def make_rows(summaries: Sequence[Summary], naming: Naming | None = None) -> tuple[Row, ...]:
    """The rows of a group, in the order of tables, each with the label that it has there."""
    ordered = sorted(summaries, key=lambda s: (s["step"] is not None, s["run"], s["step"] or 0, s["key"]))
    base = _base_of(ordered)
    labels = [_label(s, naming or naming_over([ordered]), s is base) for s in ordered]
    times = Counter(labels)
    return tuple(
        Row(label if times[label] == 1 else f"{label} ({summary['key'][:8]})", summary)
        for label, summary in zip(labels, ordered, strict=True)
    )


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
    if _are_equal(group):
        return f"All {len(group.candidates)} have the same share right, {percent(best.summary['equivalent'])}."
    figure = f"Best: {best.label}, {percent(best.summary['equivalent'])} ({interval(best.summary)})"
    if not group.standing:
        return f"{figure}."
    if not rivals:
        return f"{figure}; told apart from all others."
    return f"{figure}; cannot be told apart from {join_words(shortened([row.label for row in rivals]))}."


def _are_equal(group: Group) -> bool:
    """Whether all candidates got nothing right, or everything."""
    return {row.summary["equivalent"] for row in group.candidates} in ({0.0}, {1.0})


def groups_sentence(group: Group) -> str:
    """The groups of rows that cannot be told apart, best first; "" where the best's own group already says it all."""
    lower = group.standing.groups[1:] if group.standing else ()
    if not any(len(rows) > 1 for rows in lower):
        return ""
    names = [join_words(shortened([row.label for row in rows])) for rows in lower]
    return f"Behind it, in groups that cannot be told apart: {'; '.join(shortened(names))}."


def close_sentence(group: Group) -> str:
    """Which rivals only the correction keeps from being told apart from the best, with p-values; "" where none."""
    if not group.standing or not group.standing.close:
        return ""
    told = [f"{row.label} (p = {p_value(p)}, corrected {p_value(after)})" for row, p, after in group.standing.close]
    return (
        f"Without Holm's correction over {group.standing.pairs} pairs {best_row(group).label} would be told apart from "
        f"{join_words(shortened(told))}."
    )


def base_sentence(group: Group) -> str:
    """How far the best checkpoint is above or below the base model, and whether that can be told; "" without a base."""
    if group.base is None or not group.checkpoints:
        return ""
    best, base = best_row(group), group.base
    gain = gain_over_base(group)
    test = ""
    if group.standing and group.standing.base_p:
        among = f"{len(group.candidates)} checkpoints"
        apart = "told apart" if group.standing.over_base else "cannot be told apart"
        test = f" ({apart}, {p_words(*group.standing.base_p, among)})"
    if abs(gain) < 1e-9:
        return f"Against {base.label}, {best.label} gets the same share right{test}."
    if gain < 0:
        return f"No checkpoint is above {base.label}: the best, {best.label}, is {size(gain)} below it{test}."
    return f"Against {base.label}, {best.label} is {size(gain)} higher{test}."


def references_sentence(group: Group) -> str:
    """Which models that are no checkpoints of a run are above the best checkpoint; "" where none is."""
    best = best_row(group)
    share = float(best.summary["equivalent"])
    above = [row for row in group.rows if row.summary["step"] is None and float(row.summary["equivalent"]) > share]
    if not group.checkpoints or not above:
        return ""
    told = shortened([f"{row.label} ({percent(row.summary['equivalent'])})" for row in above])
    return f"{best.label} is the best among checkpoints of runs only; above it: {join_words(told)}."


def base_words(group: Group) -> str:
    """The same in a few words: "+12.0 points over base (told apart)"; "" without a base."""
    if group.base is None or not group.checkpoints:
        return ""
    gain = gain_over_base(group)
    if abs(gain) < 1e-9:
        return f"equal to {group.base.label}"
    over = f"{size(gain)} below" if gain < 0 else f"{size(gain)} over"
    sign = "+" if gain > 0 and signed(gain) != "0.0" else ""
    apart = {None: "", True: " (told apart)", False: " (cannot be told apart)"}
    return f"{sign}{over} {group.base.label}{apart[group.standing.over_base if group.standing else None]}"


def gain_over_base(group: Group) -> float:
    """The best row's share minus that of the base model; 0 without a base."""
    base = group.base.summary["equivalent"] if group.base else best_row(group).summary["equivalent"]
    return float(best_row(group).summary["equivalent"] - base)


def picked_sentence(group: Group) -> str:
    """How much being picked flatters the best row, in one plain sentence; "" where nothing was picked."""
    if not group.standing or _are_equal(group):
        return ""
    # Of the figures as they are shown, so that the reader's own subtraction agrees.
    best, expected = best_row(group).summary["equivalent"], group.standing.expected
    points = round(100 * best, 1) - round(100 * expected, 1)
    shown = f"about {tenths(points)}" if points >= 0.05 else "less than 0.1"
    return (
        f"Being the best of {len(group.candidates)} here flatters it by {shown} points: "
        f"expect {percent(expected)} on new problems."
    )


def detectable_sentence(group: Group) -> str:
    """The smallest difference that a paired comparison on this benchmark can detect, in one plain sentence."""
    standing = group.standing
    problems = standing.problems if standing else group.problems
    least, most = standing.detectable if standing else 2 * (_detectable(problems, TYPICAL_DISCORDANT),)
    points, largest = tenths(100 * least), tenths(100 * most)
    each = f" with {group.samples} samples each" if group.samples > 1 else ""
    shown = f"{points} points or more" if points == largest else f"{points} to {largest} points or more, by pair"
    return f"{problems:,} problems{each} can show a difference of {shown} ({_basis(group)})."


def _basis(group: Group) -> str:
    """What the detectable difference rests on, as it stands in brackets."""
    standing = group.standing
    seen = standing.discordant if standing else (TYPICAL_DISCORDANT, TYPICAL_DISCORDANT)
    detectable = standing.detectable if standing else 2 * (_detectable(group.problems, TYPICAL_DISCORDANT),)
    shown = list(dict.fromkeys(map(percent, seen)))
    basis = f"{' to '.join(shown)} of problems discordant"
    if all(difference > share for difference, share in zip(detectable, seen, strict=True)):
        basis = "every discordant problem in favour of one"  # more than could differ
    clusters = ", samples of a problem counted as one" if group.samples > 1 else ""
    alone = f", before Holm's correction over {standing.pairs} pairs" if standing and standing.pairs > 1 else ""
    return f"paired test, {basis}, 80% power{clusters}{alone}"


def _detectable(problems: int, discordant: float) -> float:
    return smallest_detectable_difference(problems, discordant)


def standing_sentences(group: Group) -> list[str]:
    """What belongs under a table: the best, the groups behind it, how much picking flatters, what can be detected."""
    against = base_sentence(group) or references_sentence(group)
    ranked = (best_sentence(group), close_sentence(group), against, groups_sentence(group))
    sentences = (*ranked, picked_sentence(group), detectable_sentence(group))
    return [*filter(None, sentences), *sampled_sentences(group)]


def asked_sentences(rows: Sequence[Row]) -> list[str]:
    """For each way of asking that has more than the template, one sentence with what it is in full."""
    told = dict.fromkeys(str(row.summary["asked_in_full"]) for row in rows if row.summary.get("asked"))
    return [f"Asked with {printable(one)}." for one in told]


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
    return bool(changes_of(summary))


def changes_of(summary: Summary) -> list[str]:
    """How the evaluation asks otherwise, as labels say it: "4-shot", a change of PROMPT_VARIANTS."""
    return [str(summary[name]) for name in ("asked", "prompt_variant") if summary.get(name)]


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
        f"its accuracy may be up to {at_most(points)} points higher."
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
    """The benchmark's name with its limit, as "math500, 50 of 500 drawn"; `size` counts the whole benchmark."""
    return group.benchmark + (limited(group.limit, size, group.drawn) if group.limit else "")


def limited(limit: int, size: int | None, drawn: bool) -> str:
    """Which problems were used: ", 50 of 500 drawn", or in earlier evaluations ", first 50 of 500"."""
    whole = f" of {size:,}" if size is not None and size > limit else " problems" if drawn else " problems only"
    return f", {limit:,}{whole} drawn" if drawn else f", first {limit:,}{whole}"


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
    p = pairwise_p(scores)
    corrected = corrected_p(p[: len(candidates), : len(candidates)])
    found = groups(order, told_apart(rivals))
    close = [place for place in found[0][1:] if p[0, place] < SIGNIFICANT]
    problems, detectable, discordant = _what_shows(scores)
    with_base = len(rows) > len(candidates)
    return Standing(
        groups=tuple(tuple(candidates[place] for place in places) for places in found),
        expected=_expected(rivals, shares[0]),
        problems=problems,
        pairs=len(candidates) * (len(candidates) - 1) // 2,
        close=tuple((candidates[place], float(p[0, place]), float(corrected[0, place])) for place in close),
        detectable=detectable,
        discordant=discordant,
        base_p=(float(p[0, -1]), float(holm(p[-1, :-1])[0])) if with_base else None,
    )


def _expected(rivals: Scores, shown: float) -> float:
    """What the best (the first row, which shows `shown`) would get on new problems: never more than it shows."""
    judged = rivals[0][~np.isnan(rivals[0])]
    flattery = max(0.0, float(judged.mean()) - best_of(rivals)) if judged.size else 0.0
    return max(0.0, shown - flattery)


def _what_shows(scores: Scores) -> tuple[int, tuple[float, float], tuple[float, float]]:
    """(problems, detectable differences, discordant shares): of the pair that disagrees least and of that with most."""
    n, discordant = pairwise_discordant(scores)
    pairs = np.triu_indices(len(scores), k=1)
    shares, counts = discordant[pairs], n[pairs]
    # Rows that never disagree say nothing of how often unlike models do.
    disagree = shares > 0
    if not disagree.any():
        typical = _detectable(int(counts.min()), TYPICAL_DISCORDANT)
        return int(counts.min()), (typical, typical), (TYPICAL_DISCORDANT, TYPICAL_DISCORDANT)
    shares, counts = shares[disagree], counts[disagree]
    found = [_detectable(int(count), float(share)) for count, share in zip(counts, shares, strict=True)]
    return int(counts.min()), (min(found), max(found)), (float(shares.min()), float(shares.max()))


def _base_of(summaries: Sequence[Summary]) -> Summary | None:
    runs = {s["run"] for s in summaries if s["step"] is not None}
    outside = [s for s in summaries if s["step"] is None and s["run"] not in runs and not s.get("prompt_variant")]
    # A base model that was asked with examples only is the baseline all the same; asked both ways, the plain prompt is.
    outside = [s for s in outside if not s.get("asked")] or outside
    return outside[0] if runs and len(outside) == 1 else None


def _label(summary: Summary, naming: Naming, is_base: bool) -> str:
    if changes := changes_of(summary):
        plain = _label({**summary, "asked": "", "prompt_variant": ""}, naming, is_base)
        return " + ".join([plain, *(printable(change) for change in changes)])
    if is_base and summary["run"] == naming.base:
        return "base"
    run = printable(summary["run"])
    if summary["step"] is None:
        return run
    return f"{run} step {summary['step']}" if naming.several_runs else f"step {summary['step']}"


def _outputs_a_problem(summary: Summary) -> int:
    """Samples times seeds: outputs of one problem are alike, so they are no problems of their own."""
    return int(summary.get("samples") or 1) * len(summary.get("seeds") or [0])
