"""Settings are refused with one sentence before anything is loaded; data is never truncated."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from rich.console import Console

import sft
from eval import prompts
from eval.records import UserError

ROOT = Path(__file__).resolve().parent.parent

GOOD = {"model_name_or_path": "m", "dataset_name_or_path": "d", "output_dir": "checkpoints", "learning_rate": 2.0e-05}
SHIPPED = ("sft_config.yaml", "demo_config.yaml")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_configs_are_accepted(name):
    settings = sft.read_settings(ROOT / name)
    assert (ROOT / name).read_text().startswith("# accelerate launch --config_file=deepspeed_zero3.yaml")
    assert settings["save_strategy"] == "steps" and settings["run_name"]


def test_every_config_in_the_tree_is_a_tested_one():
    assert sorted(path.name for path in ROOT.glob("*_config.yaml")) == sorted(SHIPPED)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("learning_rat: 1.0e-05", "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ("zzz: 1", "unknown key 'zzz'; remove it"),
        ("learning_rate: 2e-5", "a string, because YAML 1.1 needs a dot in such a number; write 2.0e-05"),
        ("weight_decay: none", "which is str; it must be float"),
        ("num_train_epochs: [3]", "which is list; it must be float"),
        ("packing: 'yes'", "which is str; it must be bool"),
        ("weight_decay: '0.1'", "write 1.0e-01"),
        ("seed: 4.5", "which is float; it must be int"),
        ("seed: '4'", "which is str; it must be int"),
        ("per_device_train_batch_size: true", "must be int"),
        ("model_name_or_path: 7", "must be str"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_fix(line, said, tmp_path):
    key = line.split(":")[0]
    kept = yaml.safe_dump({name: value for name, value in GOOD.items() if name != key})
    with pytest.raises(UserError) as refused:
        sft.read_settings(write(tmp_path, kept + line + "\n"))
    assert said in str(refused.value) and "config.yaml" in str(refused.value) and refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
        ("model_name_or_path: m\noutput_dir: o\n", "dataset_name_or_path is missing"),
    ],
)
def test_a_file_that_is_no_config_is_refused(text, said, tmp_path):
    with pytest.raises(UserError, match=said):
        sft.read_settings(write(tmp_path, text))


def test_a_config_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes("model_name_or_path: Modèle".encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.yaml is not UTF-8 \(byte 23"):
        sft.read_settings(tmp_path / "config.yaml")


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read \(No such file"):
        sft.read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset_mode": "remote"}, "must be local or online"),
        ({"eval_strategy": "sometimes"}, "sometimes"),
        ({"max_length": 4096}, "max_length is 4096; the contract allows 1 to 2,048 tokens an example"),
        ({"max_length": None}, "max_length is None"),
    ],
)
def test_a_value_outside_its_choices_is_refused(change, said, tmp_path):
    settings = GOOD | {"use_cpu": True, "bf16": False} | change
    with pytest.raises(UserError, match=said):
        sft.parse_settings(tmp_path / "config.yaml", settings, tmp_path)


def test_a_shorter_limit_than_the_contracts_is_kept(tmp_path):
    settings = GOOD | {"use_cpu": True, "bf16": False, "max_length": 512}
    assert sft.parse_settings(tmp_path / "config.yaml", settings, tmp_path)[1].max_length == 512


def test_a_run_folder_with_checkpoints_is_not_trained_into_again(tmp_path):
    sft.refuse_to_mix(tmp_path, None)
    (tmp_path / "checkpoint-8").mkdir()
    with pytest.raises(UserError, match=r"holds 1 checkpoints of an earlier training \(checkpoint-8, …\)"):
        sft.refuse_to_mix(tmp_path, None)
    with pytest.raises(UserError, match=r"checkpoint-8 is no checkpoint of a run \(it has no trainer_state\.json\)"):
        sft.refuse_to_mix(tmp_path, str(tmp_path / "checkpoint-8"))
    (tmp_path / "checkpoint-8" / "trainer_state.json").write_text("{}")
    sft.refuse_to_mix(tmp_path, str(tmp_path / "checkpoint-8"))


@pytest.mark.parametrize(
    ("gpu", "installed", "dtype", "chosen"),
    [
        (False, True, torch.bfloat16, "sdpa"),
        (True, True, torch.bfloat16, "flash_attention_2"),
        (True, True, torch.float32, "sdpa"),
        (True, False, torch.bfloat16, "sdpa"),
    ],
)
def test_flash_attention_is_chosen_where_it_works(gpu, installed, dtype, chosen, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    assert sft.choose_attention(dtype, Console(quiet=True)) == chosen


def test_only_the_first_process_of_a_launch_says_what_went_wrong(tmp_path, monkeypatch, capsys):
    for rank in (3, 0):
        (tmp_path / "attempt_0" / str(rank)).mkdir(parents=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "attempt_0" / str(rank) / "error.json"))
        sft.say_once(f"error: of process {rank}")
    assert capsys.readouterr().err == "error: of process 3\n"
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    sft.say_once("error: alone")
    assert capsys.readouterr().err == "error: alone\n"


def rows(*pairs):
    return Dataset.from_list([prompts.example_of(*pair) for pair in pairs])


def test_tokens_of_the_solution_and_eos_are_supervised(smollm2_tokenizer):
    encoded = sft.tokenise(rows(("What is 1 + 1?", "It is \\boxed{2}.")), smollm2_tokenizer, "d", Console(quiet=True))[
        0
    ]
    supervised = [t for t, keep in zip(encoded["input_ids"], encoded["completion_mask"], strict=True) if keep]
    assert smollm2_tokenizer.decode(supervised) == " It is \\boxed{2}.<|im_end|>"


def test_a_row_that_is_too_long_is_refused_not_cut(smollm2_tokenizer):
    data = rows(("Short?", "1"), ("Long?", "1 " * sft.MAX_TOKENS))
    with pytest.raises(UserError, match=r"1 rows exceed 2,048 tokens \(row 1 has 4,"):
        sft.tokenise(data, smollm2_tokenizer, "d", Console(quiet=True))
    with pytest.raises(UserError, match="2 rows exceed 4 tokens"):
        sft.tokenise(data, smollm2_tokenizer, "d", Console(quiet=True), limit=4)


def test_a_line_of_the_data_that_is_no_json_is_named(tmp_path):
    good = json.dumps(prompts.example_of("One?", "1"))
    (tmp_path / "train.jsonl").write_text(f"{good}\n{{'messages': 1}}\n")
    (tmp_path / "validation.jsonl").write_text(f"{good}\n")
    with pytest.raises(UserError, match=r"train\.jsonl:2: .* is no JSON object; write one row"):
        sft.load_splits(sft.ContractArguments("m", str(tmp_path)))


@pytest.mark.parametrize(("solution_only", "supervised"), [(True, 3), (False, 7)])
def test_supervised_tokens_are_those_of_the_loss(solution_only, supervised):
    split = Dataset.from_list([{"input_ids": [1] * 7, "completion_mask": [0, 0, 0, 0, 1, 1, 1]}])
    described = sft.describe_data(sft.ContractArguments("m", "d"), {"train": split}, solution_only)
    assert (described["train"]["tokens"], described["train"]["supervised_tokens"]) == (7, supervised)


def test_a_row_without_an_answer_is_named(smollm2_tokenizer):
    with pytest.raises(UserError, match="row 1 has no user and assistant turn"):
        sft.tokenise(rows(("One?", "1"), ("Two?",)), smollm2_tokenizer, "d", Console(quiet=True))


@pytest.mark.parametrize(("split", "limit"), [("train", "MAX_TRAIN"), ("validation", "MAX_VALIDATION")])
def test_the_contracts_counts_are_held(split, limit, monkeypatch):
    monkeypatch.setattr(sft, "load_datasets", lambda name: (rows(("a", "b"), ("c", "d")), rows(("e", "f"), ("g", "h"))))
    monkeypatch.setattr(sft, limit, 1)
    with pytest.raises(UserError, match=f"{split} has 2 rows, the contract allows 1 to 1"):
        sft.load_splits(sft.ContractArguments("m", "d"))


def test_the_launch_config_gathers_the_weights_and_leaves_clipping_to_the_trainer():
    config = yaml.safe_load((ROOT / "deepspeed_zero3.yaml").read_text())["deepspeed_config"]
    assert config["zero_stage"] == 3 and config["zero3_save_16bit_model"] is True
    assert "gradient_clipping" not in config and "gradient_accumulation_steps" not in config
