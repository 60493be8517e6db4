"""Whole runs on two CPU cores: the same losses however they are split, the same weights whenever they were stopped."""

import json
import re
import shutil
import socket
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.synthetic import write_dataset
from eval import checkpoints
from tests.training.real_runs import losses, refused, start, train, weights, write_config

pytestmark = pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="compares float32 runs on CPU processes")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_llama) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_dataset(folder / "data", train=64, test=1, validation=8)
    return folder


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
    card = ModelCard.load(final / "README.md")
    assert card.data.base_model == "tiny-llama" and "# `straight`, step 6" in card.text
    assert not (straight / "README.md").exists(), "a run is no model"


def test_tensorboard_shows_the_numbers(straight):
    board = EventAccumulator(str(next((straight / "runs").iterdir())))
    board.Reload()
    assert {"train/loss", "train/grad_norm", "train/tokens_per_second", "train/mfu"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]


def test_two_processes_have_the_losses_of_one(place, tiny_llama, straight):
    train(write_config(place, tiny_llama, "two", per_device_train_batch_size=2), processes=2)
    mine = losses(place / "checkpoints" / "two")
    assert mine == pytest.approx(losses(straight), abs=1e-3) and mine[-1] < mine[0]


@pytest.fixture(scope="module")
def stopped(place, tiny_llama) -> Path:
    """A run as `straight`, killed behind its third step."""
    config, run = write_config(place, tiny_llama, "stopped"), place / "checkpoints" / "stopped"
    process = start(config)
    while process.poll() is None and not (run / "checkpoint-3" / "run.json").is_file():
        time.sleep(0.05)
    process.kill()  # the launcher alone: its workers go with it
    process.communicate()
    assert not (run / checkpoints.FINISHED).exists()
    shutil.rmtree(run / "checkpoint-6", ignore_errors=True)
    return run


def go_on(place: Path, tiny_llama: Path, stopped: Path, name: str, **changes) -> Path:
    """The config of a copy of the stopped run, with other settings."""
    shutil.copytree(stopped, place / "checkpoints" / name)
    return write_config(place, tiny_llama, name, **changes)


def assert_same_weights(mine: Path, theirs: Path, tolerance: float) -> None:
    one, other = weights(mine), weights(theirs)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance)


def test_a_killed_run_goes_on_to_the_same_weights(place, tiny_llama, straight, stopped):
    assert "resumed behind step 3" in train(go_on(place, tiny_llama, stopped, "killed"), "--resume")
    run = place / "checkpoints" / "killed"
    for folder in ("checkpoint-3", "checkpoint-6"):
        assert_same_weights(run / folder, straight / folder, 1e-6)


def test_the_advice_for_too_little_memory_can_be_followed_on_a_resume(place, tiny_llama, straight, stopped):
    """Half the batch, twice the accumulation, checkpointed gradients; other checkpoints and evaluations, too."""
    changes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "gradient_checkpointing": True}
    changes |= {"save_steps": 1, "save_total_limit": 2, "eval_strategy": "steps", "eval_steps": 2}
    said = train(go_on(place, tiny_llama, stopped, "split", **changes), "--resume")
    assert "per_device_train_batch_size: 4 -> 2" in said and "gradient_checkpointing: False -> True" in said
    run = place / "checkpoints" / "split"
    assert [folder.name for folder in checkpoints.steps(run)] == ["checkpoint-5", "checkpoint-6"]
    assert losses(run) == pytest.approx(losses(straight), abs=1e-5)
    assert_same_weights(run / "checkpoint-6", straight / "checkpoint-6", 1e-5)


PLAIN = "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nuse_cpu: true\n"


@pytest.mark.parametrize(
    ("launch", "now"),
    [
        ({"processes": 2}, "DeepSpeed ZeRO-3, processes: 2"),
        ({"launch": ("--zero_stage=2",)}, "DeepSpeed ZeRO-2, processes: 1"),
        ({"launch": ("--config_file=no-deepspeed.yaml",)}, "plain PyTorch without DeepSpeed, processes: 1"),
    ],
    ids=["two processes", "ZeRO-2", "plain"],
)
def test_another_engine_does_not_go_on(launch, now, place, tiny_llama, stopped, request):
    (place / "no-deepspeed.yaml").write_text(PLAIN)
    options = tuple(
        word.replace("no-deepspeed.yaml", str(place / "no-deepspeed.yaml")) for word in launch.get("launch", ())
    )
    config = go_on(place, tiny_llama, stopped, request.node.callspec.id.replace(" ", "-"))
    before = sorted(path.name for path in (place / "checkpoints" / config.stem).rglob("*"))
    said = refused(config, "--resume", **launch | {"launch": options})
    assert f"engine: DeepSpeed ZeRO-3, processes: 1 -> {now}" in said and said.endswith("(exit code 1)")
    assert sorted(path.name for path in (place / "checkpoints" / config.stem).rglob("*")) == before


def test_a_constant_rate_can_be_trained_for_longer(place, tiny_llama):
    """On the plain engine, whose optimizer is one file."""
    (place / "no-deepspeed.yaml").write_text(PLAIN)
    plain = {"launch": (f"--config_file={place / 'no-deepspeed.yaml'}",)}
    constant = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2}
    train(write_config(place, tiny_llama, "whole", **constant), **plain)
    train(write_config(place, tiny_llama, "longer", **constant, max_steps=3), **plain)
    run = place / "checkpoints" / "longer"
    assert (run / checkpoints.FINISHED).is_file()
    said = train(write_config(place, tiny_llama, "longer", **constant), "--resume", **plain)
    assert "max_steps: 3 -> 6" in " ".join(said.split())
    assert json.loads((run / checkpoints.FINISHED).read_text())["steps"] == 6
    assert losses(run) == pytest.approx(losses(place / "checkpoints" / "whole"), abs=1e-6)
    assert_same_weights(run / "final", place / "checkpoints" / "whole" / "final", 1e-6)


def test_the_best_checkpoint_outlives_the_limit_and_is_the_final_one(place, tiny_llama):
    """At this rate the loss rises after the first step; ZeRO-3's states of older checkpoints are gone by then."""
    settings = {"load_best_model_at_end": True, "save_total_limit": 1, "eval_strategy": "steps", "eval_steps": 1}
    settings |= {"save_steps": 1, "max_steps": 3, "learning_rate": 1.0, "warmup_steps": 0}
    train(write_config(place, tiny_llama, "best", **settings))
    run = place / "checkpoints" / "best"
    state = json.loads((run / "checkpoint-3" / "trainer_state.json").read_text())
    best = run / f"checkpoint-{state['best_global_step']}"
    assert {folder.name for folder in checkpoints.steps(run)} == {best.name, "checkpoint-3"}
    assert (run / "final" / "model.safetensors").samefile(best / "model.safetensors")


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
    assert ModelCard.load(last / "README.md").data.base_model == "tiny-llama"
    assert {"prompt.json", "data.json", "run.json"} <= {path.name for path in found[1].path.iterdir()}


def test_a_merged_model_is_kept_until_its_adapter_changes(adapters_run):
    last = checkpoints.steps(adapters_run)[-1]
    merged = checkpoints.identify(last).path / "model.safetensors"
    then = merged.stat().st_mtime_ns
    assert checkpoints.identify(last).path / "model.safetensors" == merged and merged.stat().st_mtime_ns == then
    shutil.copy2(adapters_run / "checkpoint-2" / "adapter_model.safetensors", last)
    assert checkpoints.identify(last).weights_sha == checkpoints.identify(adapters_run / "checkpoint-2").weights_sha
