"""Settings are refused with one sentence before anything is loaded."""

from pathlib import Path

import pytest
import yaml

from eval.records import UserError
from training import settings

ROOT = Path(__file__).resolve().parents[2]

GOOD = {"model_name_or_path": "m", "dataset_name_or_path": "d", "output_dir": "checkpoints", "learning_rate": 2.0e-05}
SHIPPED = ("sft_config.yaml", "demo_config.yaml")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_configs_are_accepted(name):
    read = settings.read_settings(ROOT / name)
    assert (ROOT / name).read_text().startswith("# accelerate launch --config_file=deepspeed_zero3.yaml")
    assert read["save_strategy"] == "steps" and read["run_name"]


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
        ("lora_alfa: 8", "did you mean 'lora_alpha'?"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_fix(line, said, tmp_path):
    key = line.split(":")[0]
    kept = yaml.safe_dump({name: value for name, value in GOOD.items() if name != key})
    with pytest.raises(UserError) as refused:
        settings.read_settings(write(tmp_path, kept + line + "\n"))
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
        settings.read_settings(write(tmp_path, text))


def test_a_config_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes("model_name_or_path: Modèle".encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.yaml is not UTF-8 \(byte 23"):
        settings.read_settings(tmp_path / "config.yaml")


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read \(No such file"):
        settings.read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset_mode": "remote"}, "must be local or online"),
        ({"eval_strategy": "sometimes"}, "sometimes"),
        ({"max_length": 4096}, "max_length is 4096; the contract allows 1 to 2,048 tokens an example"),
        ({"max_length": None}, "max_length is None"),
        ({"report_to": "wandbb"}, "report_to is 'wandbb', which is not to be had here \\(but all, none, tensorboard"),
        ({"report_to": ["tensorboard", "comet"]}, "report_to is 'comet'"),
        ({"lora_r": 8}, "lora_r has no effect without use_peft: true"),
        ({"resume_from_checkpoint": "run/checkpoint-8"}, "leave it out and resume with make train RESUME=1"),
    ],
)
def test_a_value_outside_its_choices_is_refused(change, said, tmp_path):
    values = GOOD | {"use_cpu": True, "bf16": False} | change
    with pytest.raises(UserError, match=said):
        settings.parse_settings(tmp_path / "config.yaml", values, tmp_path)


def test_a_shorter_limit_than_the_contracts_is_kept(tmp_path):
    values = GOOD | {"use_cpu": True, "bf16": False, "max_length": 512}
    assert settings.parse_settings(tmp_path / "config.yaml", values, tmp_path)[2].max_length == 512


def test_the_submitted_config_uses_only_keys_that_the_stock_parser_knows():
    assert settings.local_keys(settings.read_settings(ROOT / "sft_config.yaml")) == []
    assert settings.local_keys(settings.read_settings(ROOT / "demo_config.yaml")) == ["completion_only_loss"]


def test_the_launch_config_gathers_the_weights_and_leaves_clipping_to_the_trainer():
    config = yaml.safe_load((ROOT / "deepspeed_zero3.yaml").read_text())["deepspeed_config"]
    assert config["zero_stage"] == 3 and config["zero3_save_16bit_model"] is True
    assert "gradient_clipping" not in config and "gradient_accumulation_steps" not in config
