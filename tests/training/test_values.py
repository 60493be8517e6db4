"""A value that cannot be meant is refused with one sentence, and an unknown key gets the hint that is right."""

import typing

import pytest
import yaml
from trl import SFTConfig

from eval.records import UserError
from training import settings, spelling

GOOD = {"model_name_or_path": "m", "dataset_name_or_path": "d", "dataset_mode": "online", "output_dir": "checkpoints"}


def refusal(tmp_path, text="", **changes):
    """What read_settings says of a config with these changes; `text` is appended as it stands."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes) + text + "\n")
    with pytest.raises(UserError) as refused:
        settings.read_settings(path)
    assert refused.value.exit_code == 2 and str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_steps", 0, "it must be 1 or more, or -1 for num_train_epochs to decide; left out it is -1"),
        ("max_steps", -5, "it must be 1 or more, or -1"),
        ("num_train_epochs", 0, "it must be above 0; left out it is 3.0"),
        ("num_train_epochs", -1, "it must be above 0"),
        ("per_device_train_batch_size", 0, "it must be 1 or more; left out it is 8"),
        ("per_gpu_train_batch_size", 0, "it must be 1 or more"),
        ("per_device_eval_batch_size", -2, "it must be 1 or more"),
        ("gradient_accumulation_steps", 0, "it must be 1 or more; left out it is 1"),
        ("save_steps", 0, "it must be above 0"),
        ("save_steps", -0.1, "it must be above 0"),
        ("save_steps", 2.5, "a whole number of steps, or a share of the run below 1"),
        ("eval_steps", 0, "it must be above 0"),
        ("logging_steps", 0, "it must be above 0"),
        ("logging_steps", -1, "it must be above 0"),
        ("save_total_limit", 0, "it must be 1 or more"),
        ("learning_rate", -1e-05, "it must be above 0"),
        ("learning_rate", 0, "it must be above 0"),
        ("learning_rate", float("nan"), "numbers must be finite"),
        ("learning_rate", float("inf"), "numbers must be finite"),
        ("learning_rate", "nan", "which is str; it must be float"),
        ("model_name_or_path", "", "model_name_or_path is missing; add a line"),
        ("learning_rate", 10**400, "numbers must be finite"),
        ("num_train_epochs", float("inf"), "numbers must be finite"),
        ("weight_decay", -0.1, "it must be 0 or more"),
        ("max_grad_norm", -1, "it must be 0 or more"),
        ("adam_beta1", 1.0, "it must be 0 or more, and below 1"),
        ("label_smoothing_factor", 1.5, "it must be 0 or more, and below 1"),
        ("neftune_noise_alpha", -5.0, "it must be above 0"),
        ("warmup_steps", -1, "it must be 0 or more"),
        ("warmup_steps", 1.5, "a whole number of steps, or a share of the run below 1"),
        ("warmup_ratio", 1.5, "0 or more, and below 1, because it is a share of the run"),
        ("warmup_ratio", 1, "0 or more, and below 1"),
        ("warmup_ratio", -0.1, "0 or more, and below 1"),
        ("learning_rate", "2.0e-5", "a string, because it is quoted; write 2.0e-05 without quotes"),
        ("run_name", "final", "which is the name of a checkpoint within a run"),
        ("run_name", "a/checkpoint-5", "which is the name of a checkpoint within a run"),
        ("warmup_ratio", "1e-1", "a string, because YAML 1.1 needs a dot in such a number; write 1.0e-01"),
        ("seed", -1, "it must be 0 or more"),
        ("seed", 2**32, "at most 4,294,967,295"),
        ("data_seed", -1, "it must be 0 or more"),
        ("max_steps", 10**30, "at most 2,147,483,647"),
        ("dataloader_num_workers", -1, "it must be 0 or more"),
        ("pad_to_multiple_of", 0, "it must be 1 or more"),
        ("lora_r", 0, "it must be 1 or more"),
        ("lora_dropout", 1.0, "it must be 0 or more, and below 1"),
        ("lr_scheduler_kwargs", {"min_lr": float("nan")}, "numbers must be finite"),
        ("lr_scheduler_type", "cosin", "did you mean 'cosine'?"),
        ("eval_strategy", "sometimes", "it must be one of no, steps, epoch."),
        ("evaluation_strategy", "epochs", "did you mean 'epoch'?"),
        ("optim", "adamw_apex_fused", "it must be one of adamw_torch, "),
        ("eval_strategy", True, "eval_strategy is True; it must be one of no, steps, epoch."),
        ("split_batches", ["a"], "which is list; it must be bool | None"),
        ("optim", 3, "optim is 3; it must be one of adamw_torch, "),
        ("log_level", "loud", "it must be one of detail, debug"),
        ("loss_type", "foo", "it must be one of nll, dft, chunked_nll."),
        ("packing_strategy", "bdf", "did you mean 'bfd'?"),
        ("save_strategy", False, 'as YAML 1.1 reads no without quotes; write save_strategy: "no".'),
        ("evaluation_strategy", False, 'as YAML 1.1 reads no without quotes; write evaluation_strategy: "no".'),
        ("lora_target_modules", [1], "it must be"),
        ("dataset_kwargs", "x", "which is not a mapping; write dataset_kwargs: {name: value}."),
        ("lr_scheduler_kwargs", "", "which is not a mapping; write lr_scheduler_kwargs: {name: value}."),
        ("output_dir", None, "output_dir is missing; add a line"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(key, value, said, tmp_path):
    message = refusal(tmp_path, **{key: value})
    assert said in message and key in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_steps", -1), ("num_train_epochs", 0.5), ("save_steps", 0.1), ("save_steps", 1), ("save_steps", 3.0),
        ("warmup_steps", 0.1), ("warmup_ratio", 0.0), ("weight_decay", 0), ("max_grad_norm", 0.0), ("seed", 2**32 - 1),
        ("eval_steps", None), ("save_total_limit", None), ("save_strategy", "no"), ("evaluation_strategy", None),
        ("fsdp", []), ("deepspeed", ""),
    ],
)  # fmt: skip
def test_a_value_that_can_be_meant_is_taken(key, value, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(GOOD | {key: value}))
    assert settings.read_settings(path) == GOOD | {key: value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nlearning_rate: 1.0e-05\nseed: 2", "'seed' is in line 5 and again in line 7"),
        ('seed: 1\n"seed": 1', "'seed' is in line 5 and again in line 6"),
        ("lr_scheduler_kwargs:\n  min_lr: 0.1\n  min_lr: 0.2", "'min_lr' is in line 6 and again in line 7"),
        ("lr_scheduler_kwargs: {min_lr: 0.1, min_lr: 0.2}", "'min_lr' is in line 5 and again in line 5"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text, said, tmp_path):
    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "name",
    [
        "../elsewhere",
        "a/../../b",
        "/tmp/elsewhere",
        "",
        " ",
        ".",
        "..",
        "./",
        "a\0b",
        "a\nb",
        "a\x1b[31m",
        "a\\b",
        "x" * 300,
    ],
)
def test_a_run_stays_within_output_dir(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "run_name" in refusal(tmp_path, run_name=name)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["a", "a/b", "run-1_x.2", "Übung 3", None])
def test_a_plain_run_name_is_a_folder_of_output_dir(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(GOOD | {"run_name": name}))
    assert str(settings.run_folder(settings.read_settings(path))) == "/".join(
        ["checkpoints", *([name] if name else [])]
    )


def test_an_output_dir_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "file", tmp_path / "file/below", tmp_path / "dangling"):
        assert "is not a folder; set another output_dir" in refusal(tmp_path, output_dir=str(folder))
    for text in ("", "a\0b"):
        assert "output_dir is" in refusal(tmp_path, output_dir=text)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/run").write_text("")
    assert "is not a folder" in refusal(tmp_path, output_dir=str(tmp_path / "there"), run_name="run")


HINTS = {
    "torch_dtype": "write bf16: true (bfloat16) or bf16: false", "dtype": "write bf16: true", "max_seq_length": "today's key is max_length",
    "tokenizer": "get_tokenizer (sft_utils.py)", "lr": "write learning_rate", "epochs": "write num_train_epochs",
    "batch_size": "write per_device_train_batch_size", "use_flash_attention_2": "model_init_kwargs: {attn_implementation",
    "attn_implementation": "model_init_kwargs: {attn_implementation", "chat_template": "apply_chat_template (sft_utils.py)",
    "load_in_4bit": "quantised training is not supported", "num_processes": "make train PROCESSES=",
    "modules_to_save": "only adapters are trained",
    "Learning-Rate": "did you mean 'learning_rate'?", "learning_rat": "did you mean 'learning_rate'?", "seeed": "did you mean 'seed'?",
    "lora_alfa": "did you mean 'lora_alpha'?", "eval_step": "did you mean 'eval_steps'?", "warmup_ration": "did you mean 'warmup_ratio'?",
    "min_steps": "remove it", "warmup_epochs": "remove it", "adam_beta3": "remove it", "lora_b": "remove it", "zzz": "remove it",
    "save_epochs": "remove it", "fp8": "remove it", "1": "remove it",
}  # fmt: skip


@pytest.mark.parametrize("key", HINTS)
def test_the_hint_about_an_unknown_key_leads_to_the_right_one(key, tmp_path):
    message = refusal(tmp_path, f"{key}: 1")
    assert "unknown key" in message and HINTS[key] in message


def test_no_known_key_has_a_hint_and_every_hint_names_known_keys():
    known = set(settings.known_keys())
    assert not known & set(spelling.ELSEWHERE)
    named = {text.split("write ")[1].split(":")[0] for text in spelling.ELSEWHERE.values() if text.startswith("write ")}
    assert named <= known and "learning_rate" in named


def test_no_key_is_taken_for_a_misspelling_of_another():
    """Every key of today, were it unknown, would lead to none or to one that is spelt almost alike."""
    known = set(typing.get_type_hints(SFTConfig))
    wrong = {key: near for key in sorted(known) if (near := spelling.nearest(key, known - {key}))}
    assert wrong.keys() <= {"bf16", "fp16", "bf16_full_eval", "fp16_full_eval"}
