"""Two models on the same problems: finds their evaluations in the store, pairs them, and says what may be concluded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from eval import checkpoints
from eval.lookup import KEY_PREFIX, find_key, find_named, is_known_here, similar_name
from eval.places import fingerprint, is_same
from eval.records import UserError, quoted
from eval.report.conditions import conditions_of, labelled
from eval.report.load import Evaluation, load_evaluations
from eval.report.ranking import changed_prompt, join_words, shortened
from eval.report.seeds import fold_seeds, newest_members, without_seed
from eval.scores import DEFECTS, LEVELS, Graded, aligned, read_graded
from eval.stats import Paired, paired, problems_needed
from eval.store import read_lines
from eval.words import p_words, size, tenths, why_not

SIGNIFICANT = 0.05
FLIPS_SHOWN = 10
EQUAL = 1e-9  # what adding thirds and fifths of samples leaves of no difference


@dataclass(frozen=True)
class Side:
    """One of the two: what was asked for, the model it stands for, why (or ""), and that model's evaluations."""

    asked: str
    model: str
    why: str
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Flip:
    """A problem that one gets right and the other does not; with several samples, more often right. `a`, `b`: shares."""

    id: str
    gold: str
    a: float
    b: float
    a_box: str | None
    b_box: str | None


@dataclass(frozen=True)
class Comparison:
    """Two evaluations under equal conditions. `undecided` counts, for A and B, outputs without a verdict, by status."""

    a: Evaluation
    b: Evaluation
    samples: int
    levels: Mapping[str, Paired]
    undecided: tuple[Mapping[str, int], Mapping[str, int]]
    flips: tuple[Flip, ...]


def compare(a: Side, b: Side, benchmarks: Sequence[str] = ()) -> tuple[list[Comparison], list[str]]:
    """A comparison for each of `benchmarks` (all that both have, where none is named), and a sentence for each left out.

    Raises UserError where an evaluation is missing, where conditions differ, or where A and B are one model.
    """
    names = benchmarks or sorted(_benchmarks(a) & _benchmarks(b))
    if not names:
        raise UserError(_missing(b, sorted(_benchmarks(a))[0]))
    pairs, left_out = [], []
    for name in names:
        for side in (a, b):
            if name not in _benchmarks(side):
                raise UserError(_missing(side, name))
        if same := _under_equal_conditions(a, b, name):
            pairs += same
        else:
            left_out.append(_what_differs(a, b, name))
    if (benchmarks and left_out) or not pairs:
        raise UserError(left_out[0])
    return [_compare(*pair) for pair in pairs], left_out


def find_side(asked: str, reports: Path) -> Side:
    """The evaluations of a checkpoint, a run (its last checkpoint), a hub id, a label, or a key of the store or its first digits.

    A folder that is there is recognised by its weights, so what was measured before retraining it does not count; any
    other name is looked up among labels and the ends of paths. Raises UserError for no match, and for several.
    """
    if not reports.is_dir():
        raise UserError(f"{reports} is no folder; score a checkpoint first: make eval CKPT={quoted(asked)}")
    known = load_evaluations(reports)
    path = Path(asked)
    if (path / "manifest.json").is_file():
        return _by_key(asked, [e for e in known if e.folder.name == path.resolve().name])
    # Repeats are experiments on one model: only their keys stand for them.
    ordinary = [e for e in known if not e.summary.get("repeat")]
    if not path.exists():
        begins = find_key(asked, known) if KEY_PREFIX.fullmatch(asked) else []
        if begins and not any(asked == e.summary["run"] for e in ordinary):
            return _by_key(asked, begins)
        return _by_name(asked, ordinary, reports)
    try:
        return _by_weights(asked, ordinary, reports)
    except UserError:
        # A label is taken from any folder, also from one in which something else has that name.
        if is_known_here(asked, ordinary) or not find_named(asked, ordinary):
            raise
        return _by_name(asked, ordinary, reports)


def verdict(comparison: Comparison) -> str:
    """What may be concluded, in one plain sentence."""
    return verdict_on(comparison.levels)


def verdict_on(levels: Mapping[str, Paired]) -> str:
    """The sentence for B against A: decided on equivalence, and it says where the other levels differ."""
    found = levels["equivalent"]
    if not found.n:
        return "no problem has a verdict on both sides."
    dissent = [level for level in LEVELS if _winner(levels[level]) != _winner(found)]
    but = f" (not so by the {' and the '.join(dissent)} reading)" if dissent else ""
    low, high = (found.low, found.high) if found.difference >= 0 else (-found.high, -found.low)
    interval = f"95 % interval {tenths(100 * low)} to {tenths(100 * high)}"
    if disagreement := why_not(found.p, found.p, low, high):
        interval += f" ({p_words(found.p)}{disagreement})"
    if winner := _winner(found):
        return f"{winner} is better by {size(found.difference)}, {interval}{but}."
    more = more_problems(found)
    if more is None:
        return f"cannot be told apart{but}: equally many of {found.n:,} problems right."
    ahead = "B" if found.difference > 0 else "A"
    needed = f"{more:,} more problem{'s' if more > 1 else ''} would be needed"
    return f"cannot be told apart{but}: {ahead} is ahead by {size(found.difference)}, {interval}; {needed}."


def untrusted(comparisons: Iterable[Comparison]) -> list[str]:
    """One sentence for every side with outputs that could not be graded: the command then exits with 1."""
    return [
        f"{evaluation.summary['checkpoint']} on {evaluation.summary['benchmark']}: {undecided[status]} outputs are {status}, "
        f"which is not a wrong answer; see verdicts in key {evaluation.folder.name}."
        for comparison in comparisons
        for evaluation, undecided in zip((comparison.a, comparison.b), comparison.undecided, strict=True)
        for status in DEFECTS
        if undecided.get(status)
    ]


def more_problems(found: Paired) -> int | None:
    """How many problems more would show the difference seen with 80 % power, to two digits.

    None where they are told apart already, or where there is no difference to show.
    """
    equal = abs(found.difference) < EQUAL
    needed = problems_needed(found.difference, found.discordant) if found.n and not equal else None
    if needed is None or _winner(found):
        return None
    more = max(1, needed - found.n)
    return round(more, 2 - len(str(more)))


def _winner(found: Paired) -> str:
    if found.p >= SIGNIFICANT:
        return ""
    return "B" if found.difference > 0 else "A"


def _by_key(asked: str, matches: Sequence[Evaluation]) -> Side:
    if not matches:
        raise UserError(f"{asked} is not finished; run the same make eval again, it resumes.")
    if len(matches) > 1:
        raise UserError(
            f"{asked} begins {len(matches)} keys: {', '.join(e.folder.name for e in matches)}; give more digits."
        )
    return Side(asked, str(matches[0].summary["checkpoint"]), f"key {matches[0].folder.name}", tuple(matches))


def _by_weights(asked: str, known: Iterable[Evaluation], reports: Path) -> Side:
    folders = checkpoints.find(asked)
    folder = folders[-1]
    try:
        now = fingerprint(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror or error}); save it again.", 1) from None
    why = _last(folder, asked).strip(" ()")
    asked_alike = [e for e in known if not e.summary.get("prompt_variant")]
    matches = _newest_weights([e for e in asked_alike if is_same(now, e.manifest["checkpoint"])], now)
    if not matches and "weights_sha" not in now:
        matches = _newest_weights([e for e in asked_alike if _is_nameless_adapter(e, folder)], now)
        why = ", ".join(filter(None, (why, "its merged weights are gone, so found by its name alone")))
    if not matches:
        raise UserError(
            f"{folder}{_last(folder, asked)} has no evaluation in {reports} with the weights it has now; "
            f"make one: make eval CKPT={quoted(folder)} BENCH=…"
        )
    return Side(asked, str(folder), why, matches)


def _newest_weights(known: Sequence[Evaluation], now: Mapping[str, str]) -> tuple[Evaluation, ...]:
    """Those of one model: of the weights that are there, else, for an adapter that met several bases, of the newest."""
    if not known:
        return ()
    shas = {e.manifest["checkpoint"]["weights_sha"] for e in known}
    last = max(known, key=lambda e: str(e.manifest["created"])).manifest["checkpoint"]["weights_sha"]
    sha = now["weights_sha"] if now.get("weights_sha") in shas else last
    return tuple(e for e in known if e.manifest["checkpoint"]["weights_sha"] == sha)


def _is_nameless_adapter(evaluation: Evaluation, folder: Path) -> bool:
    """Whether an evaluation of this folder was stored before manifests named the adapter."""
    checkpoint = evaluation.manifest["checkpoint"]
    return "adapter_sha" not in checkpoint and Path(checkpoint["path"]).absolute() == folder.absolute()


def _by_name(asked: str, known: Sequence[Evaluation], reports: Path) -> Side:
    matches = find_named(asked, known)
    # Of a run its ordinary evaluations; a changed prompt is meant only by a label that says so.
    matches = [e for e in matches if not changed_prompt(e.summary)] or matches
    if not matches:
        here = f"{asked} is no folder, and nothing in {reports} was evaluated under that name{similar_name(asked, known)}; "
        if not re.search(r"\bstep \d+", asked) or not known:  # a label is no folder
            raise UserError(f"{here}make an evaluation: make eval CKPT={quoted(asked)} BENCH=…")
        raise UserError(
            f"{here}there are: {join_words(shortened(list(dict.fromkeys(label for label, _ in labelled(known)))))}."
        )
    # The last step; of one step measured with several weights, those that were seen there last.
    last = max(matches, key=lambda e: (e.summary["step"] or 0, e.seen, e.manifest["created"]))
    sha, model = last.manifest["checkpoint"]["weights_sha"], str(last.summary["checkpoint"])
    same = tuple(
        e
        for e in matches
        if (e.manifest["checkpoint"]["weights_sha"], e.summary["step"]) == (sha, last.summary["step"])
    )
    several = len({e.summary["step"] for e in matches}) > 1
    told = f"the last checkpoint of {asked}" if several else f"{asked}"
    why = f"no such folder here; {told} in {reports}" if model != asked.rstrip("/") else ""
    return Side(asked, model, why, same)


def _last(folder: Path, asked: str) -> str:
    return f" (the last checkpoint of {asked})" if folder != Path(asked) else ""


def _benchmarks(side: Side) -> set[str]:
    return {str(evaluation.manifest["benchmark"]["name"]) for evaluation in side.evaluations}


def _newest(side: Side, benchmark: str) -> dict[tuple[str, ...], tuple[Evaluation, ...]]:
    """By conditions; of several prompts under the same conditions, the evaluation made last, with all of its seeds."""
    known = [e for e in side.evaluations if e.manifest["benchmark"]["name"] == benchmark]
    # A base model that was asked with examples only is the baseline all the same; asked both ways, the plain prompt is.
    known = [e for e in known if not e.summary.get("asked")] or known
    same: dict[tuple[str, ...], list[Evaluation]] = {}
    for evaluation in known:
        same.setdefault(conditions_of(evaluation), []).append(evaluation)
    return {conditions: newest_members(one) for conditions, one in same.items()}


def _under_equal_conditions(
    a: Side, b: Side, benchmark: str
) -> list[tuple[tuple[Evaluation, ...], tuple[Evaluation, ...]]]:
    of_a, of_b = _newest(a, benchmark), _newest(b, benchmark)
    pairs = [(of_a[same], of_b[same]) for same in sorted(of_a.keys() & of_b.keys())]
    for one, other in ((mine[0], its[0]) for mine, its in pairs):
        if one.folder == other.folder:
            raise UserError(
                f"{a.asked} and {b.asked} are the same weights under the same prompt (key {one.folder.name}): "
                "nothing to compare; name two different models."
            )
        if one.summary["grader"] != other.summary["grader"]:
            raise UserError(
                f"{benchmark}: A was graded by version {one.summary['grader']}, B by {other.summary['grader']}; run make eval "
                "on both again, which grades what is stored without decoding."
            )
    return pairs


def _missing(side: Side, benchmark: str) -> str:
    return f"{side.model} has no evaluation on {benchmark}; make one: make eval CKPT={quoted(side.model)} BENCH={quoted(benchmark)}"


def _what_differs(a: Side, b: Side, benchmark: str) -> str:
    """The differences of the two evaluations that are closest to each other, and how to measure B as A was."""
    pairs = product(*([one[0] for one in _newest(side, benchmark).values()] for side in (a, b)))
    one, other = min(pairs, key=lambda pair: len(_differences(*pair)))
    told = ", ".join(f"{what} {mine} against {its}" for what, mine, its in _differences(one, other))
    m = one.manifest
    limit = f" LIMIT={m['benchmark']['limit']}" if m["benchmark"]["limit"] else ""
    # Nothing takes the first N any more: that evaluation cannot be made again.
    first_ones = m["benchmark"]["limit"] and not m["benchmark"].get("drawn")
    how = f"measure both as A was, on {m['benchmark']['limit']} problems drawn" if first_ones else "measure B as A was"
    models = quoted(f"{a.model} {b.model}" if first_ones else b.model)
    limit += f" TEMPERATURE={m['decoding']['temperature']}" if m["decoding"].get("temperature") else ""
    return (
        f"{benchmark}: A and B were not measured alike ({told}); {how}: make eval CKPT={models} "
        f"BENCH={quoted(benchmark)} MAX_TOKENS={m['decoding']['max_tokens']}{limit} ENGINE={quoted(m['engine']['name'])}"
    )


def _differences(a: Evaluation, b: Evaluation) -> list[tuple[str, object, object]]:
    one, other = _conditions(a), _conditions(b)
    return [(what, one.get(what), other.get(what)) for what in one | other if one.get(what) != other.get(what)]


def _conditions(evaluation: Evaluation) -> dict[str, Any]:
    benchmark, engine = evaluation.manifest["benchmark"], evaluation.manifest["engine"]
    return {
        "limit": benchmark["limit"] and f"{'drawn' if benchmark.get('drawn') else 'first'} {benchmark['limit']}",
        "problems with sha256": benchmark["sha256"][:12],
        **{name.replace("_", " "): value for name, value in without_seed(evaluation.manifest["decoding"]).items()},
        "engine": f"{engine['name']} {engine['version']}",
    }


def _compare(*sides: tuple[Evaluation, ...]) -> Comparison:
    read = [[read_graded(e.folder, e.manifest, e.summary["grader"]) for e in members] for members in sides]
    (a, one), (b, other) = (fold_seeds(*pair) for pair in zip(sides, read, strict=True))
    graded = [one, other]
    samples = graded[0].samples
    matrices = {level: aligned(graded, level) for level in LEVELS}
    levels = {level: paired(scores[0], scores[1], samples) for level, scores in matrices.items()}
    return Comparison(a, b, samples, levels, (graded[0].undecided, graded[1].undecided), _flips(a, b, graded))


def _flips(a: Evaluation, b: Evaluation, graded: Sequence[Graded]) -> tuple[Flip, ...]:
    """Every problem that moved, the largest moves first, then in benchmark order; boxes are those of the first sample."""
    shares = dict(zip(dict.fromkeys(id_ for one in graded for id_ in one.ids), aligned(graded).T.tolist(), strict=True))
    moved = {id_: (one, other) for id_, (one, other) in shares.items() if abs(one - other) > 0}  # never so for nan
    boxes = [
        {line["id"]: line["extracted"] for line in _verdicts(e) if line["sample"] == 0 and line["id"] in moved}
        for e in (a, b)
    ]
    # Only the name is taken: a manifest must not be able to point outside the reports folder.
    problems = a.folder.parent / "benchmarks" / Path(a.manifest["benchmark"]["file"]).name
    golds = {line["id"]: line["answer"] for line in read_lines(problems) if line["id"] in moved}
    flips = [Flip(id_, golds[id_], *moved[id_], boxes[0].get(id_), boxes[1].get(id_)) for id_ in golds]
    return tuple(sorted(flips, key=lambda flip: -abs(flip.b - flip.a)))


def _verdicts(evaluation: Evaluation) -> Iterable[dict[str, Any]]:
    return read_lines(evaluation.folder / f"verdicts.{Path(evaluation.summary['grader']).name}.jsonl")
