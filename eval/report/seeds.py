"""One row of several decoding seeds: the mean over them, their spread, and an interval over problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from eval.report.items import Columns
from eval.report.load import Evaluation
from eval.scores import LEVELS, Graded, aligned
from eval.stats import accuracy_interval, mean_over_seeds

MEANS = (*LEVELS, "truncated", "no_box", "ran_on", "maj_at_k", "tokens_s")
SUMS = ("n", "output_tokens", "start_s", "load_s", "decode_s", "grade_s")


def without_seed(decoding: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding without what only draws other samples: the seed, where anything is drawn."""
    return {name: value for name, value in decoding.items() if name != "seed" or not decoding.get("temperature")}


def newest_members(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """Of evaluations under equal conditions, those with the newest weights and prompt: one a seed, in order of seeds."""
    ordered = sorted(evaluations, key=lambda e: (e.seen, e.folder.name))
    newest = ordered[-1]
    same = {_seed(e): e for e in ordered if _model(e) == _model(newest)} if _draws(newest) else {0: newest}
    return tuple(same[seed] for seed in sorted(same))


def fold_seeds(members: Sequence[Evaluation], graded: Sequence[Graded]) -> tuple[Evaluation, Graded]:
    """Members that differ in their seed only, with their verdicts, as one: the first one's folder and key, all figures means.

    Problems are clusters: a problem's score is its mean over seeds, and the interval is over problems, which holds the
    chance of the seeds as well. `seeds` lists the members, `seeds_sd` is the standard deviation between their accuracies.
    """
    first = members[0]
    if len(members) == 1:
        return first, graded[0]
    levels = {level: mean_over_seeds(aligned(graded, level)) for level in LEVELS}
    samples = sum(one.samples for one in graded)
    undecided = sum((Counter(one.undecided) for one in graded), Counter[str]())
    ids = tuple(dict.fromkeys(id_ for one in graded for id_ in one.ids))
    folded = Graded(graded[0].benchmark_sha, samples, ids, levels, undecided)
    interval = accuracy_interval(levels["equivalent"], samples)
    summary = _folded_summary([e.summary for e in members], [_seed(e) for e in members])
    return replace(first, summary=summary | {"ci95": list(interval)}), folded


def merge_columns(columns: Sequence[Columns]) -> Columns:
    """The outputs of several seeds one after the other: for counts, not for lists."""
    if len(columns) == 1:
        return columns[0]
    names = [name for name in vars(columns[0]) if name != "samples"]
    return Columns(
        sum(one.samples for one in columns),
        **{name: [x for one in columns for x in getattr(one, name)] for name in names},
    )


def _folded_summary(summaries: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    whole: dict[str, Any] = dict(summaries[0])
    for name in MEANS:
        if all(isinstance(one.get(name), int | float) for one in summaries):
            whole[name] = fmean(one[name] for one in summaries)
    for name in SUMS:
        if all(isinstance(one.get(name), int | float) for one in summaries):
            whole[name] = sum(one[name] for one in summaries)
    if whole.get("pass_at_k"):
        whole["pass_at_k"] = {k: fmean(one["pass_at_k"][k] for one in summaries) for k in whole["pass_at_k"]}
    shares = [float(one["equivalent"]) for one in summaries]
    return whole | {
        "statuses": dict(sum((Counter(one["statuses"]) for one in summaries), Counter[str]())),
        "reused": all(one.get("reused") for one in summaries),
        "seeds": [
            {"seed": seed, "key": one["key"], "equivalent": share}
            for seed, one, share in zip(seeds, summaries, shares, strict=True)
        ],
        "seeds_sd": stdev(shares),
    }


def _model(evaluation: Evaluation) -> tuple[object, object]:
    """What must be equal, beside the conditions, for two seeds to be samples of one distribution."""
    manifest = evaluation.manifest
    return manifest["checkpoint"].get("weights_sha"), (manifest.get("prompt") or {}).get("fingerprint")


def _draws(evaluation: Evaluation) -> bool:
    return bool(evaluation.manifest["decoding"].get("temperature"))


def _seed(evaluation: Evaluation) -> int:
    return int(evaluation.manifest["decoding"].get("seed") or 0)
