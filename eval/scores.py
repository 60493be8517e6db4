"""What the grader said, as one number a problem: the matrices that paired statistics need. Reads verdicts only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.stats import Scores
from eval.store import read_lines
from graders import NOT_JUDGED

LEVELS = ("strict", "normalized", "equivalent")
# Of what was not judged, all but a limit that was met is a defect: the commands then exit with 1.
DEFECTS = tuple(status for status in NOT_JUDGED if status != "timeout")


@dataclass(frozen=True)
class Graded:
    """One evaluation: for each problem and level the share of its judged samples that are right, nan where none was judged.

    `undecided` counts outputs by status. Problems of one benchmark sha are the same where their ids are.
    """

    benchmark_sha: str
    samples: int
    ids: tuple[str, ...]
    levels: Mapping[str, Scores]
    undecided: Mapping[str, int]


def read_graded(folder: Path, manifest: Mapping[str, Any], grader: str) -> Graded:
    """The verdicts of reports/<key> under a grader version. Raises UserError where they cannot be read."""
    positions: dict[str, int] = {}
    rows, undecided = [], Counter[str]()
    for line in read_lines(folder / f"verdicts.{Path(grader).name}.jsonl"):
        position = positions.setdefault(line["id"], len(positions))
        if line["status"] in NOT_JUDGED:
            undecided[line["status"]] += 1
        else:
            rows.append((position, line["strict"], line["normalized"], line["correct"]))
    where, *right = np.array(rows, dtype=np.int64).reshape(-1, 1 + len(LEVELS)).T
    judged = np.bincount(where, minlength=len(positions))
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan: no sample was judged
        levels = {
            level: np.bincount(where, weights=column, minlength=len(positions)) / judged
            for level, column in zip(LEVELS, right, strict=True)
        }
    return Graded(
        manifest["benchmark"]["sha256"], manifest["decoding"]["n_samples"], tuple(positions), levels, undecided
    )


def aligned(evaluations: Sequence[Graded], level: str = "equivalent") -> Scores:
    """(evaluations, problems): the same problem in the same column, nan where an evaluation lacks it."""
    if all(graded.ids == evaluations[0].ids for graded in evaluations):
        return np.stack([graded.levels[level] for graded in evaluations])
    ids = dict.fromkeys(id_ for graded in evaluations for id_ in graded.ids)
    columns = {id_: column for column, id_ in enumerate(ids)}
    scores = np.full((len(evaluations), len(ids)), np.nan)
    for row, graded in zip(scores, evaluations, strict=True):
        row[[columns[id_] for id_ in graded.ids]] = graded.levels[level]
    return scores
