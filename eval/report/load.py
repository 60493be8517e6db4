"""Reads a reports folder: finished evaluations and unfinished ones. What they hold is read by `items`.

reports/benchmarks/<name>-<sha12>.jsonl   the problems
reports/<key>/manifest.json               everything that went in
              predictions.jsonl           one line a problem and sample
              verdicts.<grader>.jsonl     one line a graded prediction
              summary.json                the shares that tables show
              DONE                        written last; without it the folder is no result
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.records import UserError
from eval.scores import Graded, read_graded
from eval.store import read_lines, read_object

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation. `folder` is reports/<key>."""

    folder: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Unfinished:
    """A folder that is no result: how many outputs it holds, of how many (None where the manifest does not say)."""

    key: str
    checkpoint: str
    benchmark: str
    predictions: int
    expected: int | None


def load_summaries(reports_dir: Path) -> list[dict[str, Any]]:
    """The summary of every finished evaluation that repeats no other, in order of its key; raises as `load_evaluations`."""
    summaries = (evaluation.summary for evaluation in load_evaluations(reports_dir))
    return [summary for summary in summaries if not summary.get("repeat")]


def load_evaluations(reports_dir: Path) -> list[Evaluation]:
    """Every evaluation with a DONE file, in order of its key. Raises UserError where one can't be read."""
    return [
        # The folder's name is the key, also where somebody copied it.
        Evaluation(
            folder, read_object(folder / "manifest.json"), read_object(folder / "summary.json") | {"key": folder.name}
        )
        for folder in _evaluation_folders(reports_dir)
        if (folder / "DONE").exists()
    ]


def load_graded(reports_dir: Path, summaries: Iterable[Summary]) -> dict[str, Graded]:
    """The verdicts behind summaries, by key. Raises UserError where they cannot be read."""
    folders = {summary["key"]: (reports_dir / summary["key"], summary["grader"]) for summary in summaries}
    return {
        key: read_graded(folder, read_object(folder / "manifest.json"), grader)
        for key, (folder, grader) in folders.items()
    }


def load_unfinished(reports_dir: Path) -> list[Unfinished]:
    """Every evaluation without a DONE file, in order of its key."""
    return [_unfinished(folder) for folder in _evaluation_folders(reports_dir) if not (folder / "DONE").exists()]


def find_evaluations(reports_dir: Path, summaries: Iterable[Summary]) -> list[Evaluation]:
    """The evaluations behind summaries, each under the name that its summary gives it. Raises as `load_evaluations`."""
    folders = ((reports_dir / summary["key"], dict(summary)) for summary in summaries)
    return [Evaluation(folder, read_object(folder / "manifest.json"), summary) for folder, summary in folders]


def _evaluation_folders(reports_dir: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in reports_dir.glob("*/manifest.json"))


def _unfinished(folder: Path) -> Unfinished:
    try:
        manifest = read_object(folder / "manifest.json")
    except UserError:  # torn while being written: nothing else is known of this folder
        return Unfinished(folder.name, "unknown", "unknown", 0, None)
    benchmark = manifest["benchmark"]
    problems = min(benchmark["n"], benchmark["limit"] or benchmark["n"])
    predictions = folder / "predictions.jsonl"
    return Unfinished(
        key=folder.name,
        checkpoint=manifest["checkpoint"]["path"],
        benchmark=benchmark["name"],
        predictions=sum(1 for _ in read_lines(predictions)) if predictions.exists() else 0,
        expected=problems * manifest["decoding"]["n_samples"],
    )
