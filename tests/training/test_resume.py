"""A run goes on only where its end will be that of one run: its own settings, its own data, a state to go on from."""

import json
import os
import re

import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from eval.checkpoints import FINISHED
from eval.records import UserError
from training import resume
from training.notes import finish, has_state, prune_states, rotate

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
    with pytest.raises(
        UserError, match=r"no checkpoint with optimizer state, so it cannot be resumed; .* save_only_model: false"
    ):
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


def changed(**settings):
    """Notes of a run with these settings beside those of NOTES."""
    notes = json.loads(json.dumps(NOTES))
    notes["run.json"]["config"] |= settings
    return notes


def trained_with(run, **note):
    """Has the checkpoints of `run` say more of themselves; `config` adds to the settings."""
    for step in (3, 6):
        path = run / f"checkpoint-{step}" / "run.json"
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | note | {"config": told["config"] | note.get("config", {})}))


CONSTANT = {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2, "max_steps": 8}
SPLIT = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, {"gradient_checkpointing": False}),
        ({}, {"logging_steps": 1, "report_to": "none", "log_level": "passive"}),
        ({}, {"eval_strategy": "steps", "eval_steps": 3, "per_device_eval_batch_size": 1}),
        ({"save_steps": 3}, {"save_steps": 1, "save_total_limit": 2, "save_strategy": "steps"}),
        ({}, {"dataloader_num_workers": 2, "dataloader_pin_memory": False}),
        ({}, {"output_dir": "moved", "run_name": "b", "dataset_name_or_path": "moved"}),
        ({}, {"load_best_model_at_end": True, "metric_for_best_model": "loss"}),
        ({"per_device_train_batch_size": 8}, SPLIT),
        ({}, SPLIT),
        ({"gradient_accumulation_steps": 4, "per_device_train_batch_size": 1}, {"per_device_train_batch_size": 4}),
        ({}, {"weight_decay": 0.0, "max_steps": -1}),
        (CONSTANT, CONSTANT | {"max_steps": 20}),
        ({"lr_scheduler_type": "constant"}, {"lr_scheduler_type": "constant", "num_train_epochs": 5}),
        ({"max_steps": 8}, {"max_steps": 8, "num_train_epochs": 9}),
        ({"use_peft": True}, {"use_peft": True, "lora_target_modules": ["all-linear"]}),
    ],
)
def test_settings_that_do_not_change_what_is_learnt_do_not_stop_a_resume(then, now, run):
    trained_with(run, config=then)
    said = []
    assert resume.checkpoint(run, True, changed(**now), said.append) == str(run / "checkpoint-6")
    before, after = (resume.with_defaults(NOTES["run.json"]["config"] | one) for one in (then, now))
    assert bool(said) == (before != after), "what is other is told"


@pytest.mark.parametrize(("processes", "filled"), [(1, False), (2, True)])
def test_where_a_split_batch_is_not_quite_the_same_it_is_said(processes, filled, run):
    """Rows of a step by accelerate's own sampler: other ones only in the last step, and only of several processes."""

    def steps(batch, accumulation):
        sampler = BatchSampler(range(9), batch, drop_last=False)
        shards = [list(sampler)]
        if processes > 1:
            shards = [list(BatchSamplerShard(sampler, processes, process)) for process in range(processes)]
        starts = range(0, len(shards[0]), accumulation)
        return [
            sorted(row for shard in shards for one in shard[at : at + accumulation] for row in one) for at in starts
        ]

    assert steps(2, 1)[:-1] == steps(1, 2)[:-1] and (steps(2, 1)[-1] != steps(1, 2)[-1]) == filled
    said, notes = [], changed(**SPLIT, neftune_noise_alpha=5)
    trained_with(run, config={"neftune_noise_alpha": 5})
    notes["run.json"]["engine"] = f"DeepSpeed ZeRO-3, processes: {processes}"
    resume.checkpoint(run, True, notes, said.append)
    assert ("the last step of an epoch may be filled up with other rows" in said[0]) == filled
    assert "noise is drawn differently" in said[0]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (
            {},
            {"per_device_train_batch_size": 4},
            "a step would not see the same rows (8 x 1 -> 4 x 1 rows per process)",
        ),
        (
            {"dataloader_drop_last": True},
            SPLIT | {"dataloader_drop_last": True},
            "per_device_train_batch_size: 8 -> 4",
        ),
        (
            {"train_sampling_strategy": "group_by_length"},
            SPLIT | {"train_sampling_strategy": "group_by_length"},
            "gradient_accumulation_steps: 1 -> 2",
        ),
        ({"max_steps": 8}, {"max_steps": 20}, "max_steps: 8 -> 20"),
        ({"max_steps": 8}, {"max_steps": 20}, "the learning rates so far (linear) depend on the length of the run"),
        ({}, {"num_train_epochs": 5}, "num_train_epochs: 3.0 -> 5"),
        (CONSTANT | {"warmup_steps": 0.1}, CONSTANT | {"warmup_steps": 0.1, "max_steps": 20}, "max_steps: 8 -> 20"),
        (CONSTANT, CONSTANT | {"max_steps": 6}, "max_steps: 8 -> 6"),
        ({}, {"optim": "adafactor"}, "optim: adamw_torch_fused -> adafactor"),
        ({}, {"lr_scheduler_type": "constant"}, "lr_scheduler_type: linear -> constant"),
        ({}, {"use_peft": True}, "use_peft: False -> True"),
        ({}, {"tf32": True}, "tf32: None -> True"),
        ({}, {"max_grad_norm": 0.5}, "max_grad_norm: 1.0 -> 0.5"),
    ],
)
def test_settings_that_change_what_is_learnt_are_refused_with_the_reason(then, now, said, run):
    trained_with(run, config=then)
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        resume.checkpoint(run, True, changed(**now), print)
    assert refused.value.exit_code == 1


ZERO3 = "DeepSpeed ZeRO-3, processes: 2"


@pytest.mark.parametrize(
    ("key", "then", "now"),
    [
        ("engine", ZERO3, "DeepSpeed ZeRO-3, processes: 1"),
        ("engine", ZERO3, "DeepSpeed ZeRO-2, processes: 2"),
        ("engine", ZERO3, "plain PyTorch without DeepSpeed, processes: 2"),
        ("engine", "plain PyTorch without DeepSpeed, processes: 2", ZERO3),
        ("precision", "float32 weights, mixed precision: no", "bfloat16 weights, mixed precision: bf16"),
        ("packing", False, True),
    ],
)
def test_a_state_of_another_engine_or_precision_is_refused(key, then, now, run):
    trained_with(run, **{key: then})
    notes = changed()
    notes["run.json"][key] = then
    assert resume.checkpoint(run, True, notes, print) == str(run / "checkpoint-6")
    notes["run.json"][key] = now
    with pytest.raises(UserError, match=re.escape(f"{key}: {then} -> {now}")):
        resume.checkpoint(run, True, notes, print)


def test_packing_is_compared_as_it_was_not_as_it_was_spelled(run):
    trained_with(run, config={"packing": True}, packing=True)
    notes = changed()
    notes["run.json"]["packing"] = True
    assert resume.checkpoint(run, True, notes, print) == str(run / "checkpoint-6")


def test_a_finished_run_goes_on_where_it_is_asked_for_more_steps(run):
    trained_with(run, config=CONSTANT | {"max_steps": 6})
    (run / FINISHED).write_text("{}")
    with pytest.raises(UserError, match="has finished, there is nothing to resume"):
        resume.checkpoint(run, True, changed(**CONSTANT | {"max_steps": 6}), print)
    found = resume.checkpoint(run, True, changed(**CONSTANT | {"max_steps": 9}), print)
    assert found == str(run / "checkpoint-6") and (run / FINISHED).is_file(), "nothing is touched before it is accepted"
    resume.clear(run, found)
    assert not (run / FINISHED).exists()


def test_a_half_written_checkpoint_is_gone_when_the_run_goes_on(run):
    (run / "checkpoint-6" / "run.json").unlink()
    found = resume.checkpoint(run, True, NOTES, print)
    resume.clear(run, found)
    assert [path.name for path in run.iterdir()] == ["checkpoint-3"]


def test_what_a_stranger_wrote_into_a_note_moves_no_cursor(run):
    trained_with(run, config={"optim": "\x1b[2Jx", "\x1b[31mkey": 1})
    with pytest.raises(UserError) as refused:
        resume.checkpoint(run, True, NOTES, print)
    assert "\x1b" not in str(refused.value) and "optim:  [2Jx -> adamw_torch_fused" in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", "", "{}", '{"config": 1}'])
def test_a_damaged_note_is_named(text, run):
    (run / "checkpoint-6" / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"checkpoint-6/run\.json is missing or damaged; remove"):
        resume.checkpoint(run, True, NOTES, print)


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [3, 6, 9, 12]),
        (0, None, [3, 6, 9, 12]),
        (2, None, [9, 12]),
        (1, None, [12]),
        (9, None, [3, 6, 9, 12]),
        (2, 3, [3, 9, 12]),
        (2, 9, [9, 12]),
        (1, 6, [6, 12]),
    ],
)
def test_the_newest_checkpoints_by_step_are_kept_and_the_best(limit, best, kept, tmp_path):
    for age, step in enumerate((12, 9, 6, 3)):  # the oldest was touched last
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        os.utime(folder, (1_000 * age, 1_000 * age))
    rotate(tmp_path, limit, best)
    assert sorted(int(folder.name.split("-")[1]) for folder in tmp_path.iterdir()) == kept


def test_the_best_model_is_the_final_one_where_that_was_asked(run):
    finish(run, 6, best=3)
    assert (run / "final" / "model.safetensors").samefile(run / "checkpoint-3" / "model.safetensors")
