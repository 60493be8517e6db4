"""Reads a reports folder: finished evaluations and unfinished ones. What they hold is read by `items`.

reports/benchmarks/<name>-<sha12>.jsonl   the problems
reports/<key>/manifest.json               everything that went in
              predictions.jsonl           one line a problem and sample
              verdicts.<grader>.jsonl     one line a graded prediction
              summary.json                the shares that tables show
              DONE                        written last; without it the folder is no result
              places/<sha12>.json         where the weights were when it was used again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.names import label_paths
from eval.places import Place, by_holder, place_in, places_of
from eval.records import UserError
from eval.scores import Graded, read_graded
from eval.store import read_lines, read_manifest, read_object

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation. `folder` is reports/<key>; `places` are those of its weights, the one that is shown first.

    As it is loaded, `run` in its summary is what tells the run from all others in the store (see `eval.names`), and
    `checkpoint` the path that was typed, or the absolute one where two folders were typed alike.
    """

    folder: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    places: tuple[Place, ...] = ()

    @property
    def seen(self) -> str:
        """When its weights were last known to be where they are shown, as an ISO moment."""
        return self.places[0].seen if self.places else str(self.manifest["created"])


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
    return _name_apart([_read(folder) for folder in _evaluation_folders(reports_dir) if (folder / "DONE").exists()])


def load_stored(reports_dir: Path) -> list[Evaluation]:
    """As `load_evaluations`, with those that are not finished: their summary has the names alone."""
    return _name_apart([_read(folder) for folder in _evaluation_folders(reports_dir)])


def weights_folder(evaluation: Evaluation) -> Path:
    """Where the weights were last known to be; for a model of the hub no folder that is there."""
    if evaluation.places:
        return Path(evaluation.places[0].folder)
    return Path(str(evaluation.manifest["checkpoint"]["path"]))


def load_graded(reports_dir: Path, summaries: Iterable[Summary]) -> dict[str, Graded]:
    """The verdicts behind summaries, by key. Raises UserError where they cannot be read."""
    folders = {summary["key"]: (reports_dir / summary["key"], summary["grader"]) for summary in summaries}
    return {key: read_graded(folder, read_manifest(folder), grader) for key, (folder, grader) in folders.items()}


def load_unfinished(reports_dir: Path) -> list[Unfinished]:
    """Every evaluation without a DONE file, in order of its key."""
    return [_unfinished(folder) for folder in _evaluation_folders(reports_dir) if not (folder / "DONE").exists()]


def find_evaluations(reports_dir: Path, summaries: Iterable[Summary]) -> list[Evaluation]:
    """The evaluations behind summaries, each at the place that its summary names. Raises as `load_evaluations`."""
    asked = [_read(reports_dir / summary["key"], dict(summary)) for summary in summaries]
    stored = [_read(folder) for folder in _evaluation_folders(reports_dir) if (folder / "DONE").exists()]
    return _name_apart([*asked, *stored])[: len(asked)]


def _read(folder: Path, summary: dict[str, Any] | None = None) -> Evaluation:
    """An evaluation under the names of its summary, where one is given; else with all of its places."""
    manifest = read_manifest(folder)
    if summary is not None:
        told = {name: summary.get(name) for name in ("run", "step", "folder")} | {"path": summary["checkpoint"]}
        return Evaluation(folder, manifest, summary, (place_in(told, manifest["created"], folder.parent),))
    # The folder's name is the key, also where somebody copied it.
    done = read_object(folder / "summary.json") if (folder / "DONE").exists() else _names_alone(manifest)
    return Evaluation(folder, manifest, done | {"key": folder.name}, places_of(folder, manifest))


def _names_alone(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "benchmark": manifest["benchmark"]["name"],
        "limit": manifest["benchmark"]["limit"],
        "repeat": manifest["decoding"].get("repeat"),
        "prompt_variant": manifest.get("prompt", {}).get("variant", ""),
    }


def _name_apart(evaluations: list[Evaluation]) -> list[Evaluation]:
    """The evaluations with names in their summaries that no two runs, and no two folders, share."""
    weights = [str(evaluation.manifest["checkpoint"].get("weights_sha")) for evaluation in evaluations]
    ordered = by_holder([evaluation.places for evaluation in evaluations], weights)
    shown = [places[0] for places in ordered]
    runs = label_paths([place.home for place in shown], {place.home for place in shown if place.hub})
    typed: dict[str, set[str]] = {}
    for place in shown:
        typed.setdefault(place.path, set()).add(place.folder)
    return [
        replace(
            evaluation,
            places=places,
            summary=evaluation.summary
            | {
                "checkpoint": places[0].path if len(typed[places[0].path]) == 1 else places[0].folder,
                "run": runs[places[0].home],
                "step": places[0].step,
                "folder": None if places[0].hub else places[0].folder,
            },
        )
        for evaluation, places in zip(evaluations, ordered, strict=True)
    ]


def _evaluation_folders(reports_dir: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in reports_dir.glob("*/manifest.json"))


def _unfinished(folder: Path) -> Unfinished:
    try:
        manifest = read_manifest(folder)
    except UserError:  # torn while being written: nothing else is known of this folder
        return Unfinished(folder.name, "unknown", "unknown", 0, None)
    benchmark = manifest["benchmark"]
    problems = min(benchmark["n"], benchmark["limit"] or benchmark["n"])
    predictions = folder / "predictions.jsonl"
    return Unfinished(
        key=folder.name,
        checkpoint=places_of(folder, manifest)[0].path,
        benchmark=benchmark["name"],
        predictions=sum(1 for _ in read_lines(predictions)) if predictions.exists() else 0,
        expected=problems * manifest["decoding"]["n_samples"],
    )
