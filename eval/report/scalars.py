"""Accuracy over steps as TensorBoard scalars, beside the losses that training wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

from eval.names import printable_parts
from eval.report.conditions import Section
from eval.report.load import Evaluation, weights_folder
from eval.report.ranking import changed_prompt

SHARES = ("equivalent", "normalized", "strict", "truncated", "no_box")
OURS = "accuracy"  # the folder under <run>/runs, where training's own event files are


def write_scalars(sections: Iterable[Section], folder: Path) -> list[Path]:
    """One event file a run: in <run>/runs/accuracy where the run's folder is still there, else under `folder`/tensorboard.

    Written anew each time, so that a point is there once. `tensorboard --logdir checkpoints/<run>` shows both.
    """
    points: dict[Path, list[tuple[str, Evaluation]]] = {}
    for section in sections:
        name = section.title.replace("/", "_") + (f" ({section.id[:4]})" if section.note else "")
        for row in section.group.checkpoints:
            if not changed_prompt(row.summary):
                evaluation = section.evaluation_of(row.summary)
                points.setdefault(_place(evaluation, folder), []).append((name, evaluation))
    for place, members in points.items():
        _write(place, members)
    return sorted(points)


def _place(evaluation: Evaluation, folder: Path) -> Path:
    run = weights_folder(evaluation).parent
    if run.is_absolute() and run.is_dir():
        return run / "runs" / OURS
    # A run's label may be the end of a path, and so are the names of runs on TensorBoard.
    return folder.joinpath("tensorboard", *printable_parts(str(evaluation.summary["run"]).lstrip("/")), OURS)


def _write(place: Path, members: Sequence[tuple[str, Evaluation]]) -> None:
    for old in place.glob("events.out.tfevents.*"):
        old.unlink()
    writer = EventFileWriter(str(place))
    for name, evaluation in sorted(members, key=lambda one: (one[0], one[1].summary["step"])):
        when = datetime.fromisoformat(evaluation.manifest["created"]).timestamp()
        event = Event(wall_time=when, step=evaluation.summary["step"], summary=_values(name, evaluation.summary))
        writer.add_event(event)
    writer.close()


def _values(name: str, summary: Mapping[str, Any]) -> Any:
    return Summary(value=[Summary.Value(tag=f"{name}/{share}", simple_value=summary[share]) for share in SHARES])
