"""What tests of whole runs share: a config, a launch, and what a run has left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from eval import checkpoints

ROOT = Path(__file__).resolve().parents[2]


def write_config(place: Path, tiny_llama: Path, name: str, **changes) -> Path:
    settings = yaml.safe_load((ROOT / "demo_config.yaml").read_text()) | {
        "model_name_or_path": str(tiny_llama), "dataset_name_or_path": str(place / "data"),
        "output_dir": str(place / "checkpoints"), "run_name": name, "max_steps": 6, "save_steps": 3, "logging_steps": 1,
        "per_device_train_batch_size": 4, "learning_rate": 1.0e-03, "save_only_model": False, "report_to": "tensorboard",
    } | changes  # fmt: skip
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def heard() -> None:
    """Signals as a shell in the foreground hands them on; what starts the tests may have ignored some."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(
    config: Path, *options: str, processes: int = 1, launch: tuple[str, ...] = (), root: Path = ROOT, before=heard
) -> subprocess.Popen:
    """The contract's command by launch.py; `before` is called in the new process, before Python is there."""
    command = [sys.executable, root / "launch.py", f"--config_file={root / 'deepspeed_zero3.yaml'}"]
    command += [f"--num_processes={processes}", *launch, root / "sft.py", config, *options]
    environment = os.environ | {"DS_ACCELERATOR": "cpu", "COLUMNS": "400"}  # sentences in one line
    return subprocess.Popen(
        list(map(str, command)), cwd=root, preexec_fn=before, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def train(config: Path, *options: str, **launch) -> str:
    """Runs to the end; returns what the user saw."""
    process = start(config, *options, **launch)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out + err


def losses(run: Path) -> list[float]:
    state = json.loads((checkpoints.steps(run)[-1] / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def refused(config: Path, *options: str, **launch) -> str:
    """Runs until it is refused; returns the sentence."""
    process = start(config, *options, **launch)
    _, err = process.communicate(timeout=600)
    assert process.returncode in (1, 2) and "Traceback" not in err, err
    (sentence,) = [line for line in err.splitlines() if line.startswith("error: ")]
    return f"{sentence} (exit code {process.returncode})"
