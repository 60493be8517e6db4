"""Whole runs on two CPU cores: the same losses however they are split, the same weights whenever they were stopped."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.synthetic import write_dataset
from eval import checkpoints

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="compares float32 runs on CPU processes")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_llama) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_dataset(folder / "data", train=64, test=1, validation=8)
    return folder


def write_config(place: Path, tiny_llama: Path, name: str, **changes) -> Path:
    settings = yaml.safe_load((ROOT / "demo_config.yaml").read_text()) | {
        "model_name_or_path": str(tiny_llama), "dataset_name_or_path": str(place / "data"),
        "output_dir": str(place / "checkpoints"), "run_name": name, "max_steps": 6, "save_steps": 3, "logging_steps": 1,
        "per_device_train_batch_size": 4, "learning_rate": 1.0e-03, "save_only_model": False, "report_to": "tensorboard",
    } | changes  # fmt: skip
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def start(config: Path, *options: str, processes: int = 1, launch: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [sys.executable, ROOT / "launch.py", f"--config_file={ROOT / 'deepspeed_zero3.yaml'}"]
    command += [f"--num_processes={processes}", *launch, ROOT / "sft.py", config, *options]
    environment = os.environ | {"DS_ACCELERATOR": "cpu"}
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def train(config: Path, *options: str, processes: int = 1) -> str:
    """Runs to the end; returns what the user saw."""
    process = start(config, *options, processes=processes)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out + err


def losses(run: Path) -> list[float]:
    state = json.loads((checkpoints.steps(run)[-1] / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def straight(place, tiny_llama) -> Path:
    """Six steps without a stop, on one process."""
    said = train(write_config(place, tiny_llama, "straight"))
    assert re.search(r"train  6/6  .* left  loss \d+\.\d+ grad \S+ lr \S+ [\d,]+ tokens/s MFU \d+ %", said), said
    return place / "checkpoints" / "straight"


def test_a_run_leaves_what_it_says(straight):
    first, last = checkpoints.steps(straight)
    state = {"global_step6", "latest", "rng_state.pth", "scheduler.pt"}
    assert state <= {path.name for path in last.iterdir()}, "the newest checkpoint can be resumed from"
    assert not {path.name for path in first.iterdir()} & {"global_step3", *state}, "older states are pruned"
    assert json.loads((straight / checkpoints.FINISHED).read_text())["checkpoints"] == ["checkpoint-3", "checkpoint-6"]
    final = straight / "final"
    assert (final / "model.safetensors").samefile(last / "model.safetensors"), "no second copy on the disk"
    assert checkpoints.identify(final).weights_sha == checkpoints.identify(last).weights_sha
    assert not {path.name for path in final.iterdir()} & state


def test_tensorboard_shows_the_numbers(straight):
    board = EventAccumulator(str(next((straight / "runs").iterdir())))
    board.Reload()
    assert {"train/loss", "train/grad_norm", "train/tokens_per_second", "train/mfu"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]


def test_two_processes_have_the_losses_of_one(place, tiny_llama, straight):
    train(write_config(place, tiny_llama, "two", per_device_train_batch_size=2), processes=2)
    mine = losses(place / "checkpoints" / "two")
    assert mine == pytest.approx(losses(straight), abs=1e-3) and mine[-1] < mine[0]


def test_a_killed_run_goes_on_to_the_same_weights(place, tiny_llama, straight):
    config = write_config(place, tiny_llama, "killed")
    run = place / "checkpoints" / "killed"
    process = start(config)
    while process.poll() is None and not (run / "checkpoint-3" / "run.json").is_file():
        time.sleep(0.05)
    # The launcher's workers have sessions of their own: its death alone would let them finish.
    for one in (*psutil.Process(process.pid).children(recursive=True), process):
        one.kill()
    process.communicate()
    assert not (run / checkpoints.FINISHED).exists()
    shutil.rmtree(run / "checkpoint-6", ignore_errors=True)
    assert "resumed behind step 3" in train(config, "--resume")
    for folder in ("checkpoint-3", "checkpoint-6"):
        mine, theirs = weights(run / folder), weights(straight / folder)
        assert mine.keys() == theirs.keys()
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=1e-6)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_nodes_on_loopback_give_one_correct_checkpoint(place, tiny_llama, straight):
    """As on two machines: the same command on each, with its rank and the address of the first."""
    config, port = write_config(place, tiny_llama, "nodes", per_device_train_batch_size=2), free_port()
    nodes = [
        start(config, processes=2, launch=(
            "--num_machines=2", f"--machine_rank={rank}", "--main_process_ip=127.0.0.1", f"--main_process_port={port}",
        ))
        for rank in (0, 1)
    ]  # fmt: skip
    for node in nodes:
        _, err = node.communicate(timeout=600)
        assert node.returncode == 0, err
    run = place / "checkpoints" / "nodes"
    assert losses(run) == pytest.approx(losses(straight), abs=1e-3)
    assert checkpoints.identify(run / "final").run == "final"
    note = json.loads((run / "checkpoint-6" / "run.json").read_text())
    assert note["engine"] == "DeepSpeed ZeRO-3, processes: 2"


@pytest.fixture(scope="module")
def adapters_run(place, tiny_llama) -> Path:
    train(write_config(place, tiny_llama, "lora", use_peft=True, lora_r=4, lora_alpha=8, max_steps=4, save_steps=2))
    return place / "checkpoints" / "lora"


def test_lora_saves_adapters_and_evaluation_merges_them(adapters_run, tiny_llama):
    first, last = checkpoints.steps(adapters_run)
    assert not (last / "model.safetensors").exists() and (last / "adapter_model.safetensors").stat().st_size < 100_000
    found = checkpoints.resolve([str(adapters_run)])
    assert [(one.name, one.step, one.run) for one in found] == [(str(first), 2, "lora"), (str(last), 4, "lora")]
    assert len({one.weights_sha for one in found} | {checkpoints.weights_sha(tiny_llama)}) == 3
    base, merged, adapter = weights(tiny_llama), weights(found[1].path), load_file(last / "adapter_model.safetensors")
    name = "model.layers.1.mlp.down_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    torch.testing.assert_close(merged[f"{name}.weight"], base[f"{name}.weight"] + 8 / 4 * b @ a)
    assert torch.equal(merged["model.norm.weight"], base["model.norm.weight"])
    assert {"prompt.json", "data.json", "run.json"} <= {path.name for path in found[1].path.iterdir()}


def test_a_merged_model_is_kept_until_its_adapter_changes(adapters_run):
    last = checkpoints.steps(adapters_run)[-1]
    merged = checkpoints.identify(last).path / "model.safetensors"
    then = merged.stat().st_mtime_ns
    assert checkpoints.identify(last).path / "model.safetensors" == merged and merged.stat().st_mtime_ns == then
    shutil.copy2(adapters_run / "checkpoint-2" / "adapter_model.safetensors", last)
    assert checkpoints.identify(last).weights_sha == checkpoints.identify(adapters_run / "checkpoint-2").weights_sha
