"""Starts the trainings that are compared: each in its own processes, with library output in a log."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from eval.records import UserError
from parity.plain import Weights
from parity.rungs import Rung

ROOT = Path(__file__).resolve().parent.parent
# Checks of preflight that have no influence on whether two trainers take the same steps.
ALLOWED = ("validation-block", "duplicates", "leak", "box", "saving", "schedule", "disk")

Training = tuple[list[float], Weights]
Steps = list[list[dict[str, Any]]]  # one list per step, one batch per process


def train_here(
    settings: dict[str, Any], work: Path, launch_config: Path, processes: int
) -> tuple[Training, Steps, Any]:
    """((losses, weights), batches, optimizer's settings) of sft.py under `launch_config`; losses are means over processes."""
    name = str(settings["run_name"])
    config, out = work / f"{name}.yaml", work / f"{name}.steps"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    cores = max((os.cpu_count() or 1) // processes, 1)
    environment = {"OMP_NUM_THREADS": str(cores)} | ({} if torch.cuda.is_available() else {"DS_ACCELERATOR": "cpu"})
    start(
        [sys.executable, "launch.py", f"--config_file={launch_config}", f"--num_processes={processes}",
         "parity/record.py", config, out, *(word for check in ALLOWED for word in ("--allow", check))],
        work / f"{name}.log", environment,
    )  # fmt: skip
    recorded = [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]
    steps = [[each["steps"][step][0] for each in recorded] for step in range(settings["max_steps"])]
    losses = [sum(each["steps"][step][1] for each in recorded) / processes for step in range(settings["max_steps"])]
    saved = work / "checkpoints" / name / f"checkpoint-{settings['max_steps']}" / "model.safetensors"
    return (losses, load_file(saved)), steps, recorded[0]["settings"]


def train_stock(python: str, settings: dict[str, Any], work: Path, rungs: list[Rung]) -> list[Training]:
    """(losses, weights) of each rung by the contract's trainer; `settings` are those of the run it is compared with."""
    name = str(settings["run_name"])
    job, out = work / f"{name}.job.json", work / f"{name}.stock"
    shared = {key: settings[key] for key in ("max_steps", "per_device_train_batch_size", "seed") if key in settings}
    job.write_text(json.dumps({
        "settings": shared, "packing": settings["packing"], "base": settings["model_name_or_path"],
        "rows": str(Path(settings["dataset_name_or_path"]) / "train.jsonl"), "sft_utils": str(ROOT / "sft_utils.py"),
        "recorded": str(work / f"{name}.steps.0"), "out": str(work / "stock"),
        "rungs": [dataclasses.asdict(rung) for rung in rungs],
    }), encoding="utf-8")  # fmt: skip
    environment = {"HF_HOME": str(work / "cache"), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    start([python, "parity/stock.py", job, out], work / f"{name}.stock.log", environment)
    return [tuple(training) for training in torch.load(out, weights_only=True)]


def start(command: list[Any], log: Path, environment: dict[str, str]) -> None:
    """Runs a command to its end. Raises UserError (exit code 1) with its last line where it fails."""
    with log.open("wb") as sink:
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, env=os.environ | environment, stdout=sink, stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
    if done.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        raise UserError(f"{Path(str(command[1])).name} failed: {said[-1][:300]} (the whole log: {log})", 1)
