"""A checkpoint that lacks a part or is cut short is refused by name; one that is a run's last ends it without another step."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from data.synthetic import write_dataset
from eval import checkpoints
from eval.records import UserError
from tests.training.real_runs import refused, train, weights, write_config
from training import resume


@pytest.fixture
def saved(tmp_path):
    """A checkpoint's files."""
    (tmp_path / "trainer_state.json").write_text('{"global_step": 6, "max_steps": 6}')
    for name in ("scheduler.pt", "rng_state.pth", "optimizer.pt"):
        torch.save({"a": 1}, tmp_path / name)
    save_file({"a": torch.zeros(9)}, tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("model.safetensors", "*.safetensors"),
        ("scheduler.pt", "scheduler.pt"),
        ("rng_state.pth", "rng_state*.pth"),
        ("trainer_state.json",) * 2,
    ],
)
def test_a_part_that_is_gone_is_named(name, pattern, saved):
    (saved / name).unlink()
    with pytest.raises(UserError) as error:
        resume.refuse_damaged(saved)
    assert (
        f"{saved} lacks {pattern}, so the run cannot go on from it" in str(error.value) and error.value.exit_code == 1
    )


@pytest.mark.parametrize(
    "name", ["scheduler.pt", "rng_state.pth", "optimizer.pt", "global_step6/zero_pp_optim_states.pt"]
)
def test_a_part_that_is_cut_short_is_named(name, saved):
    (saved / "global_step6").mkdir()
    torch.save({"a": 1}, saved / name)
    os.truncate(saved / name, 50)
    with pytest.raises(UserError, match=f"has a damaged {name}, so the run cannot go on from it"):
        resume.refuse_damaged(saved)


def test_a_damaged_record_and_damaged_weights_are_named(saved):
    resume.refuse_damaged(saved)
    (saved / "trainer_state.json").write_text("{")
    with pytest.raises(UserError, match=r"trainer_state\.json is missing or damaged"):
        resume.refuse_damaged(saved)
    os.truncate(saved / "model.safetensors", 20)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        resume.refuse_damaged(saved)


def test_a_run_that_was_killed_behind_its_last_checkpoint_takes_no_step_more(tmp_path, tiny_llama):
    """transformers looks at max_steps after a step: it would take one more, beyond the schedule."""
    write_dataset(tmp_path / "data", train=32, test=1, validation=8)
    config = write_config(tmp_path, tiny_llama, "short", max_steps=2, save_steps=1, warmup_steps=0, report_to="none")
    train(config)
    run = tmp_path / "checkpoints" / "short"
    (run / checkpoints.FINISHED).unlink()
    before = weights(run / "checkpoint-2")
    train(config, "--resume")
    assert [folder.name for folder in checkpoints.steps(run)] == ["checkpoint-1", "checkpoint-2"]
    assert json.loads((run / checkpoints.FINISHED).read_text())["steps"] == 2
    for folder in (run / "checkpoint-2", run / "final"):
        assert all(torch.equal(tensor, before[name]) for name, tensor in weights(folder).items())
    (run / checkpoints.FINISHED).unlink()
    (run / "checkpoint-2" / "scheduler.pt").unlink()
    assert "lacks scheduler.pt" in refused(config, "--resume")
    assert not (run / checkpoints.FINISHED).exists()
