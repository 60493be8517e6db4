"""Which data made which score: every evaluated checkpoint with its training set, sources, and the difference it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.provenance import data_note
from eval.report.ablation import Ablation, ArmRow, Table, rows_by_key
from eval.report.conditions import Section
from eval.report.load import Evaluation, weights_folder
from eval.report.ranking import Row
from eval.report.training import tokens_seen
from eval.scores import aligned
from eval.stats import Paired, paired


@dataclass(frozen=True)
class DataSet:
    """What a checkpoint was trained on. `sources` are (name, rows, tokens), most tokens first; none where nobody counted."""

    id: str
    name: str
    digest: str
    path: str
    rows: int | None
    tokens: int | None
    sources: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Entry:
    """One evaluated model. `base` is its difference to the base model, `arm` its place in an ablation."""

    row: Row
    data: DataSet | None
    tokens_seen: int | None
    base: Paired | None
    arm: tuple[Ablation, Table, ArmRow] | None


@dataclass(frozen=True)
class Ledger:
    """The entries of each section, best first, and the data sets in the order in which they first appear."""

    sections: tuple[tuple[Section, tuple[Entry, ...]], ...]
    sets: tuple[DataSet, ...]

    @property
    def by_key(self) -> dict[str, DataSet]:
        """{key of an evaluation: its data set}, where it is known."""
        entries = (entry for _, entries in self.sections for entry in entries)
        return {entry.row.summary["key"]: entry.data for entry in entries if entry.data}

    def trained_on(self, data: DataSet) -> list[tuple[Section, Entry]]:
        """Where checkpoints of a data set stand."""
        return [(section, entry) for section, entries in self.sections for entry in entries if entry.data == data]


def make_ledger(sections: Sequence[Section], ablations: Sequence[Ablation] = ()) -> Ledger:
    """The ledger of a report's sections."""
    places = rows_by_key(ablations)
    found = tuple((section, _entries(section, places)) for section in sections)
    sets = dict.fromkeys(entry.data for _, entries in found for entry in entries if entry.data)
    return Ledger(found, tuple(sets))


def data_of(evaluation: Evaluation) -> DataSet | None:
    """The training set, as evaluation wrote it down, or from the folder while it holds that step; None for models of others."""
    checkpoint = evaluation.manifest["checkpoint"]
    note = checkpoint.get("data")
    if not isinstance(note, dict):
        note = _note_beside(weights_folder(evaluation), checkpoint.get("step"))
    try:
        return _data_set(note) if note else None
    except (KeyError, TypeError, ValueError, AttributeError):  # somebody else's data.json
        return None


def _data_set(note: Mapping[str, Any]) -> DataSet:
    sources = {str(name): (int(one["rows"]), int(one["tokens"])) for name, one in (note.get("sources") or {}).items()}
    path, digest = str(note["dataset"]), str(note.get("digest") or "")
    identity = hashlib.sha256(json.dumps([note.get("name"), digest, path]).encode()).hexdigest()[:12]
    return DataSet(
        id=identity,
        name=str(note.get("name") or path),
        digest=digest,
        path=path,
        rows=note.get("rows"),
        tokens=note.get("tokens"),
        sources=tuple((name, *counts) for name, counts in sorted(sources.items(), key=lambda one: -one[1][1])),
    )


def _note_beside(folder: Path, wanted: int | None) -> dict[str, Any] | None:
    try:
        step = json.loads((folder / "run.json").read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return data_note(folder) if step == wanted else None


def _entries(section: Section, places: Mapping[str, tuple[Ablation, Table, ArmRow]]) -> tuple[Entry, ...]:
    base = section.group.base
    entries = []
    for row in section.group.rows:
        evaluation = section.evaluation_of(row.summary)
        against = None if base is None or row is base else _against(section, base, row)
        entries.append(
            Entry(row, data_of(evaluation), tokens_seen(evaluation), against, places.get(row.summary["key"]))
        )
    return tuple(sorted(entries, key=lambda entry: -entry.row.summary["equivalent"]))


def _against(section: Section, base: Row, row: Row) -> Paired | None:
    graded = [section.graded.get(one.summary["key"]) for one in (base, row)]
    known = [one for one in graded if one is not None]
    if len(known) < 2:
        return None
    scores = aligned(known)
    return paired(scores[0], scores[1], known[0].samples)
