"""Reads a reports folder: finished evaluations, unfinished ones, and the graded items of one evaluation.

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
from itertools import islice
from math import ceil
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


@dataclass(frozen=True)
class Item:
    """One output with its problem and verdict. `status` is "ungraded" where there is no verdict yet."""

    id: str
    sample: int
    problem: str
    gold: str
    text: str
    truncated: bool
    status: str
    rule: str | None
    extracted: str | None


def load_summaries(reports_dir: Path) -> list[dict[str, Any]]:
    """The summary of every finished evaluation that repeats no other, in order of its key; raises as `load_evaluations`."""
    summaries = (evaluation.summary for evaluation in load_evaluations(reports_dir))
    return [summary for summary in summaries if not summary.get("repeat")]


def load_evaluations(reports_dir: Path) -> list[Evaluation]:
    """Every evaluation with a DONE file, in order of its key. Raises UserError where one can't be read."""
    return [
        Evaluation(folder, read_object(folder / "manifest.json"), read_object(folder / "summary.json"))
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


def load_items(evaluation: Evaluation, limit: int) -> list[Item]:
    """At most `limit` outputs, those of the first problems in benchmark order. Raises UserError on a damaged line."""
    reports_dir = evaluation.folder.parent
    # Only the name is taken: a manifest must not be able to point outside the reports folder.
    benchmark = reports_dir / "benchmarks" / Path(evaluation.manifest["benchmark"]["file"]).name
    samples = evaluation.manifest["decoding"]["n_samples"]
    problems = {line["id"]: line for line in islice(read_lines(benchmark), ceil(limit / samples))}
    verdicts = evaluation.folder / f"verdicts.{evaluation.summary['grader']}.jsonl"
    graded = {(line["id"], line["sample"]): line for line in read_lines(verdicts) if line["id"] in problems}
    outputs = {
        (line["id"], line["sample"]): line
        for line in read_lines(evaluation.folder / "predictions.jsonl")
        if line["id"] in problems
    }
    keys = [(problem, sample) for problem in problems for sample in range(samples) if (problem, sample) in outputs]
    return [_item(problems[key[0]], outputs[key], graded.get(key)) for key in keys[:limit]]


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


def _item(problem: Summary, output: Summary, verdict: Summary | None) -> Item:
    return Item(
        id=output["id"],
        sample=output["sample"],
        problem=problem["problem"],
        gold=problem["answer"],
        text=output["text"],
        truncated=output["finish_reason"] == "length",
        status=verdict["status"] if verdict else "ungraded",
        rule=verdict["rule"] if verdict else None,
        extracted=verdict["extracted"] if verdict else None,
    )
