"""What the pages show of a section beside its table: changes, error classes, groups of problems, and the sentences under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.outcomes import CLASSES, Tally, tally
from eval.report import ranking
from eval.report.changes import Change, changes
from eval.report.conditions import Section
from eval.report.data import GROUPS
from eval.report.items import Columns, scores_by, shares_by
from eval.report.ranking import Row, best_row, percent
from eval.report.training import tokens_by_key
from eval.stats import accuracy_interval, wilson

ROWS_SIDE_BY_SIDE = 8  # checkpoints whose shares stand side by side in a table of subjects
LEAST_SHOWN = 0.005  # a share of outputs below half a percent is no finding


@dataclass(frozen=True)
class Share:
    """One group of problems: how many judged outputs, the share that is right, and its 95 % interval."""

    label: str
    judged: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One group of problems over several checkpoints; None where a checkpoint has no judged output of it."""

    label: str
    judged: int
    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """The groups of one kind ("subject", …) over the checkpoints in `rows`."""

    rows: tuple[Row, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class View:
    """A section with all that its part of the index shows. Mappings are by key, `groups` by kind of group."""

    section: Section
    sentences: tuple[str, ...]
    changes: Mapping[str, Change]
    kinds: tuple[str, ...]
    classes: Mapping[str, Mapping[str, Tally]]
    points: Mapping[str, float]
    groups: Mapping[str, Table]
    tokens: Mapping[str, int]

    def label_of(self, key: str) -> str:
        """The label of the row with this key."""
        return next(row.label for row in self.section.group.rows if row.summary["key"] == key)


def make_view(section: Section, columns: Mapping[str, Columns], problems: Sequence[Mapping[str, Any]]) -> View:
    """The view of a section; `columns` by key, `problems` those of its benchmark."""
    rows = section.group.rows
    classes = {row.summary["key"]: classes_of(columns[row.summary["key"]]) for row in rows}
    occurring = dict.fromkeys(kind for tallies in classes.values() for kind in tallies)
    points = {key: sum(one.points for one in tallies.values()) for key, tallies in classes.items()}
    return View(
        section=section,
        sentences=(*section_sentences(section), *_recoverable_sentences(rows, points)),
        changes=changes(section),
        kinds=tuple(kind for kind in _order(occurring) if kind != "right"),
        classes=classes,
        points=points,
        groups=_groups(section, columns, problems),
        tokens=tokens_by_key(section.current),
    )


def section_sentences(section: Section) -> list[str]:
    """What belongs under a section's table: standing, samples, prompts, what ran on, noise floor, and what may be wrong."""
    rows = section.group.rows
    standing = [
        *ranking.standing_sentences(section.group),
        *ranking.seeds_sentences(rows),
        *ranking.asked_sentences(rows),
    ]
    return [*standing, *ran_on_sentences(rows), *section.noise, *section.doubts]


def ran_on_sentences(rows: Sequence[Row]) -> list[str]:
    """Which rows went on into the template's next problem, in one sentence; none where none did to speak of."""
    shares = [(row.label, float(row.summary.get("ran_on") or 0)) for row in rows]
    told = [f"{label} {percent(share)}" for label, share in shares if share >= LEAST_SHOWN]
    return [f"Outputs that went on into a next problem: {ranking.join_words(ranking.shortened(told))}."] if told else []


def breakdowns(columns: Columns, problems: Sequence[Mapping[str, Any]]) -> dict[str, list[Share]]:
    """{kind of group: its shares} of one evaluation, for the kinds that tell at least two groups apart."""
    kinds = {kind: counts for kind, counts in shares_by(columns, problems, GROUPS).items() if len(counts) > 1}
    return {kind: _shares(kind, counts, columns, problems) for kind, counts in kinds.items()}


def strict_points(summary: Mapping[str, Any]) -> float:
    """Points that writing every right answer as the reference does would win by the strict reading."""
    return 100 * float(summary["equivalent"] - summary["strict"])


def _shares(
    kind: str, counts: Mapping[str, tuple[int, int]], columns: Columns, problems: Sequence[Mapping[str, Any]]
) -> list[Share]:
    """Samples of one problem are one cluster: with several, the interval is over problems."""
    scores = scores_by(columns, problems, kind) if columns.samples > 1 else {}
    intervals = {label: accuracy_interval(mine, columns.samples) for label, mine in scores.items()}
    return [
        Share(label, judged, right / judged if judged else 0.0, *intervals.get(label, wilson(right, judged)))
        for label, (right, judged) in counts.items()
    ]


def classes_of(columns: Columns) -> dict[str, Tally]:
    """{class: its tally} of one evaluation, in the order of tables."""
    return {one.kind: one for one in tally(columns.outcomes())}


def _order(kinds: Mapping[str, None]) -> list[str]:
    return [kind for kind in CLASSES if kind in kinds]


def _recoverable_sentences(rows: Sequence[Row], points: Mapping[str, float]) -> list[str]:
    told = [
        f"{row.label} {points[row.summary['key']]:.1f}"
        for row in rows
        if points[row.summary["key"]] >= 100 * LEAST_SHOWN
    ]
    if not told:
        return []
    return [
        f"Points recoverable, because a right answer stands in the output: {ranking.join_words(ranking.shortened(told))}."
    ]


def _groups(
    section: Section, columns: Mapping[str, Columns], problems: Sequence[Mapping[str, Any]]
) -> dict[str, Table]:
    rows = _side_by_side(section)
    shares = [shares_by(columns[row.summary["key"]], problems, GROUPS) for row in rows]
    found = {}
    for kind in GROUPS:
        counts = [one[kind] for one in shares]
        labels = sorted({label for one in counts for label in one})
        if len(labels) > 1:
            lines = tuple(_line(label, [one.get(label) for one in counts]) for label in labels)
            found[kind] = Table(rows, lines)
    return found


def _line(label: str, counts: Sequence[tuple[int, int] | None]) -> Line:
    judged = max(count[1] for count in counts if count)
    return Line(label, judged, tuple(count[0] / count[1] if count else None for count in counts))


def _side_by_side(section: Section) -> tuple[Row, ...]:
    """All rows of a short sweep; of a long one the base, the best and the last."""
    rows = section.group.rows
    if len(rows) <= ROWS_SIDE_BY_SIDE:
        return rows
    kept = (section.group.base, best_row(section.group), section.group.candidates[-1])
    return tuple(row for row in rows if any(row is one for one in kept))
