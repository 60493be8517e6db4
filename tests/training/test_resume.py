"""A run goes on only where its end will be that of one run: its own settings, its own data, a state to go on from."""

import json

import pytest

from eval.checkpoints import FINISHED
from eval.records import UserError
from training import resume
from training.notes import finish, has_state, prune_states

NOTES = {
    "run.json": {"config": {"learning_rate": 0.001, "seed": 1}},
    "data.json": {"train": {"rows": 3, "token_ids_sha256": "a"}, "validation": {"rows": 1}},
}


@pytest.fixture
def run(tmp_path):
    """Checkpoints 3 and 6 with notes, weights and optimizer state."""
    for step in (3, 6):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / f"global_step{step}").mkdir(parents=True)
        for name in ("trainer_state.json", "model.safetensors", "latest", "rng_state_0.pth", "scheduler.pt"):
            (folder / name).write_text(name)
        for name, note in NOTES.items():
            (folder / name).write_text(json.dumps(note))
    return tmp_path


def test_a_run_begins_where_there_is_none(tmp_path):
    assert resume.checkpoint(tmp_path / "new", False, NOTES) is None


def test_a_run_that_is_there_is_not_trained_into_unasked(run):
    with pytest.raises(UserError, match=r"holds 2 checkpoints .* go on with it \(make train RESUME=1\)"):
        resume.checkpoint(run, False, NOTES)


def test_the_newest_checkpoint_with_a_state_is_taken(run):
    assert resume.checkpoint(run, True, NOTES) == str(run / "checkpoint-6")
    (run / "checkpoint-6" / "run.json").unlink()  # killed before it was whole
    assert resume.checkpoint(run, True, NOTES) == str(run / "checkpoint-3")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda notes: notes["run.json"]["config"].update(learning_rate=0.002), "learning_rate: 0.001 -> 0.002"),
        (lambda notes: notes["run.json"]["config"].update(bf16=True), "bf16: None -> True"),
        (lambda notes: notes["data.json"]["train"].update(token_ids_sha256="b"), "train token_ids_sha256: a -> b"),
    ],
)
def test_other_settings_or_data_are_refused_with_the_difference(change, said, run):
    notes = json.loads(json.dumps(NOTES))
    change(notes)
    with pytest.raises(UserError, match=said) as refused:
        resume.checkpoint(run, True, notes)
    assert refused.value.exit_code == 1


def test_without_a_state_or_after_the_end_there_is_nothing_to_resume(run):
    for step in (3, 6):
        (run / f"checkpoint-{step}" / f"global_step{step}").rename(run / f"elsewhere{step}")
    with pytest.raises(UserError, match=r"no checkpoint with optimizer state .* save_only_model: false"):
        resume.checkpoint(run, True, NOTES)
    (run / FINISHED).write_text("{}")
    with pytest.raises(UserError, match="has finished, there is nothing to resume"):
        resume.checkpoint(run, True, NOTES)


def test_older_states_go_when_the_newer_one_is_whole(run):
    (run / "checkpoint-6" / "run.json").rename(run / "run.json")
    prune_states(run, keep=run / "checkpoint-6")
    assert has_state(run / "checkpoint-3"), "the newer one is not safe yet"
    (run / "run.json").rename(run / "checkpoint-6" / "run.json")
    prune_states(run, keep=run / "checkpoint-6")
    assert has_state(run / "checkpoint-6") and not has_state(run / "checkpoint-3")
    assert {path.name for path in (run / "checkpoint-3").iterdir()} == {
        "model.safetensors",
        "trainer_state.json",
        *NOTES,
    }


def test_the_end_leaves_the_last_model_under_a_fixed_name(run):
    assert [folder.name for folder in finish(run, 6)] == ["checkpoint-3", "checkpoint-6"]
    assert {path.name for path in (run / "final").iterdir()} == {"model.safetensors", "trainer_state.json", *NOTES}
    assert (run / "final" / "model.safetensors").samefile(run / "checkpoint-6" / "model.safetensors")
    assert json.loads((run / FINISHED).read_text()) == {"steps": 6, "checkpoints": ["checkpoint-3", "checkpoint-6"]}
