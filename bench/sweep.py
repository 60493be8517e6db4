"""All checkpoints of a run by one command, with one resident engine, against a command and an engine for each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.numpy import load_file, save_file

from bench.measure import DATA, Row, seconds, trained_checkpoints
from data.synthetic import BENCHMARK

CHECKPOINTS = 8


def rows() -> list[Row]:
    """One row: the whole commands, start-up of Python, checks, grading and reports included."""
    with tempfile.TemporaryDirectory(dir="checkpoints") as place:
        run = Path(place) / "run"
        folders = [distinct(trained_checkpoints(), number, run) for number in range(1, CHECKPOINTS + 1)]
        together = seconds(lambda: score([run], Path(place) / "together"))
        apart = sum(seconds(lambda folder=folder: score([folder], Path(place) / "apart")) for folder in folders)
    return [
        (
            f"{CHECKPOINTS} checkpoints, one resident engine",
            f"{together:.0f} s",
            f"an engine for each {apart:.0f} s",
            f"{apart / together:.2f}",
        )
    ]


def distinct(trained: list[Path], number: int, run: Path) -> Path:
    """A copy of one of the trained checkpoints with weights of its own: equal ones would be scored once."""
    folder = run / f"checkpoint-{number}"
    shutil.copytree(trained[number % len(trained)], folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * (1 + number * 1e-6)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def score(checkpoints: list[Path], reports: Path) -> None:
    options = ["--benchmark", BENCHMARK, "--benchmarks-dir", DATA, "--reports", reports, "--max-tokens", "160"]
    command = [sys.executable, "-m", "eval", "run", *checkpoints, *options]
    subprocess.run(list(map(str, command)), check=True)
