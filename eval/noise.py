"""The noise floor: what changes when the same checkpoint is decoded again, or in other batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.scores import Graded, aligned
from eval.words import tenths

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Noise:
    """`flipped` of `problems` get another score in at least one of the `decodings`; their accuracies span low to high."""

    decodings: int
    problems: int
    flipped: int
    low: float
    high: float

    def __str__(self) -> str:
        low, high = tenths(100 * self.low), tenths(100 * self.high)
        span = f"give {low} to {high} %" if low != high else f"all give {low} %"
        return f"{self.flipped:,} of {self.problems:,} problems flip between {self.decodings} decodings, which {span}"


def fold_repeats(
    summaries: Iterable[Summary], graded: Mapping[str, Graded]
) -> tuple[list[dict[str, Any]], dict[str, Noise]]:
    """(the summaries that are no repeats, the noise floor of those that were repeated, by key).

    Repeats follow the decoding that they repeat, as `eval.run` yields them.
    """
    together: list[list[Summary]] = []
    for summary in summaries:
        if summary["repeat"]:
            together[-1].append(summary)
        else:
            together.append([summary])
    floors = {row[0]["key"]: noise_floor([graded[s["key"]] for s in row]) for row in together if len(row) > 1}
    return [dict(row[0]) for row in together], floors


def noise_floor(decodings: list[Graded]) -> Noise:
    """What differs between equal decodings of one checkpoint on one benchmark."""
    scores = aligned(decodings)
    same = (scores == scores[0]) | (np.isnan(scores) & np.isnan(scores[0]))
    accuracies = np.nanmean(scores, axis=1)
    flipped = int((~same.all(axis=0)).sum())
    return Noise(len(scores), scores.shape[1], flipped, float(accuracies.min()), float(accuracies.max()))
