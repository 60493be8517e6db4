"""What changed between two checkpoints of a section: each against the one before it, and the pairs that pages compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from eval.report.conditions import Section
from eval.report.ranking import Row, best_row, changed_prompt
from eval.scores import LEVELS, Graded, aligned
from eval.stats import Paired, paired

# All pairs of 32 checkpoints. A pair takes 5 ms, so the 4,950 of 100 checkpoints would take longer than all else.
PAIRS = 500


@dataclass(frozen=True)
class Change:
    """A row against the one before it: problems that it gets right more often (`fixed`), and less often (`broken`)."""

    before: str  # key
    fixed: int
    broken: int


def changes(section: Section) -> dict[str, Change]:
    """{key: what changed since the step before}; the first checkpoint of a run is held against the base model."""
    found: dict[str, Change] = {}
    for before, row in _neighbours(section):
        a, b = aligned([section.graded[_key(before)], section.graded[_key(row)]])
        with np.errstate(invalid="ignore"):  # nan, where nothing was judged, is neither
            found[_key(row)] = Change(_key(before), int((b > a).sum()), int((b < a).sum()))
    return found


def pairs(section: Section) -> dict[str, dict[str, Any]]:
    """{"A B" (keys): levels and verdict of B against A}: all pairs of a short sweep; of a long one neighbours and best."""
    rows = section.group.rows
    wanted = list(combinations(rows, 2))
    if len(wanted) > PAIRS:
        best = best_row(section.group)
        near = {(id(a), id(b)) for a, b in _neighbours(section)}
        wanted = [(a, b) for a, b in wanted if (id(a), id(b)) in near or a is best or b is best]
    found = {}
    for a, b in wanted:
        levels = _levels(section.graded, _key(a), _key(b))
        found[f"{_key(a)} {_key(b)}"] = _described(levels)
        found[f"{_key(b)} {_key(a)}"] = _described({level: _swapped(pair) for level, pair in levels.items()})
    return found


def _neighbours(section: Section) -> Iterator[tuple[Row, Row]]:
    """(the row before, row) for each checkpoint that has one; verdicts must be on the same problems."""
    before: Row | None = None
    for row in section.group.checkpoints:
        same_run = before is not None and before.summary["run"] == row.summary["run"]
        earlier = before if same_run else section.group.base
        if earlier is not None and earlier is not row:
            yield earlier, row
        if not changed_prompt(row.summary):
            before = row


def _levels(graded: Mapping[str, Graded], a: str, b: str) -> dict[str, Paired]:
    both = (graded[a], graded[b])
    scores = {level: aligned(both, level) for level in LEVELS}
    return {level: paired(rows[0], rows[1], both[0].samples) for level, rows in scores.items()}


def _described(levels: Mapping[str, Paired]) -> dict[str, Any]:
    # Imported late: it imports this package's reader and conditions.
    from eval.compare import verdict_on

    return {"verdict": verdict_on(levels), "levels": {level: asdict(found) for level, found in levels.items()}}


def _swapped(found: Paired) -> Paired:
    """A against B instead."""
    return replace(
        found, a=found.b, b=found.a, low=-found.high, high=-found.low, fixed=found.broken, broken=found.fixed
    )


def _key(row: Row) -> str:
    return str(row.summary["key"])
