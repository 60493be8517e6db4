"""Grading of what is stored, which needs no model: once after decoding, and again when the grader's rules have changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eval import store
from eval.console import progress
from eval.records import UserError
from eval.summary import summarise
from graders import GRADER_VERSION, Verdict, grade_many


@dataclass(frozen=True)
class Flip:
    """One output on which two versions of the grader disagree."""

    id: str
    sample: int
    gold: str
    extracted: str | None
    before: str
    after: str


@dataclass(frozen=True)
class Regraded:
    """A finished evaluation before and after: its summaries, and the outputs whose status changed."""

    before: dict[str, Any]
    after: dict[str, Any]
    flips: list[Flip]


def grade_stored(
    folder: Path, manifest: dict[str, Any], workers: int | None, console: Console, label: str
) -> tuple[dict[str, str], dict[store.Owner, Verdict]]:
    """Grades every prediction of reports/<key>, in benchmark order, and writes the verdicts; (golds by id, verdicts)."""
    problems = folder.parent / "benchmarks" / Path(manifest["benchmark"]["file"]).name
    golds = {line["id"]: line["answer"] for line in store.read_lines(problems)}
    predictions = store.read_predictions(folder)
    owners = [(id_, sample) for id_ in golds for sample in range(manifest["decoding"]["n_samples"])]
    pairs = [(predictions[owner].text, golds[owner[0]]) for owner in owners]
    with progress(console, f"grade {label}", len(pairs), "output") as advance:
        graded = grade_many(pairs, workers=workers, progress=lambda done, _total: advance(done))
    verdicts = dict(zip(owners, graded, strict=True))
    store.write_verdicts(folder, verdicts)
    return golds, verdicts


def regrade(reports: Path, workers: int | None, console: Console) -> Iterator[Regraded]:
    """Grades every finished evaluation whose verdicts are of another grader version; yields what changed in each."""
    for folder in _finished(reports):
        before = store.read_object(folder / "summary.json")
        if before["grader"] == GRADER_VERSION:
            continue
        with store.locked(folder):
            manifest = store.read_manifest(folder)
            old = {(line["id"], line["sample"]): line for line in _verdict_lines(folder, before["grader"])}
            golds, verdicts = grade_stored(folder, manifest, workers, console, folder.name)
            after = before | summarise(manifest, store.read_predictions(folder), verdicts)
            store.finish(folder, after)
        yield Regraded(before, after, list(_flips(old, verdicts, golds)))


def _finished(reports: Path) -> list[Path]:
    if not reports.is_dir():
        raise UserError(f"{reports} is no folder; score a checkpoint first: make eval CKPT=…")
    return sorted(done.parent for done in reports.glob("*/DONE"))


def _verdict_lines(folder: Path, grader: str) -> Iterator[dict[str, Any]]:
    path = folder / f"verdicts.{Path(grader).name}.jsonl"
    return store.read_lines(path) if path.is_file() else iter(())


def _flips(
    old: dict[store.Owner, dict[str, Any]], new: dict[store.Owner, Verdict], golds: dict[str, str]
) -> Iterator[Flip]:
    for (id_, sample), verdict in new.items():
        before = old.get((id_, sample))
        if before and before["status"] != verdict.status:
            yield Flip(id_, sample, golds[id_], verdict.extracted, before["status"], verdict.status)
