"""The contract's stock config trains here: every key that it can hold is read as today's, ignored with a line, or refused."""

import json
import math
from pathlib import Path

import pytest
import yaml

from eval.records import UserError
from tests.data.stock_submission import CONFIG
from training import settings, stock_keys

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "model_name_or_path": "m", "dataset_name_or_path": "d", "dataset_mode": "online", "output_dir": "checkpoints",
    "packing": True, "do_train": True, "use_cpu": True, "bf16": False,
}  # fmt: skip

# What transformers 4.48.1's TrainingArguments knows, and what the contract's own class adds to it.
STOCK = json.loads((ROOT / "data/submission/stock_keys.json").read_text())
OWN = {
    "benchmarks": [], "mask_user_turns": False, "max_length": None, "neftune_noise_alpha": None, "hub_model_revision": "main",
    "logging_first_step": True, "optim": "adamw_torch", "overwrite_hub_revision": False, "packing": True,
    "push_to_hub_revision": False, "reward_loss_fn": "NegLogSigmoid", "quants": [], "save_strategy": "steps", "save_steps": 0.1,
    "save_total_limit": 1, "wandb_tags": None, "wandb_enabled": True, "wandb_project": "h4", "wandb_entity": "huggingface",
    "wandb_run_group": "tr_00_some-descriptor", "wandb_run_id": None,
}  # fmt: skip
DEFAULTS = {key: row["default"] for key, row in STOCK.items() if "default" in row} | OWN
STOCK_CONFIG = CONFIG | {"run_name": "stock"}


def parse(tmp_path, values):
    """(arguments, the lines that were said) of a config as sft.py takes it: written, read, parsed."""
    path, said = tmp_path / "config.yaml", []
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    read = settings.read_settings(path)
    return settings.parse_settings(path, read, settings.run_folder(read), said.append)[2], said


def gone():
    """The keys of the stock parser that no annotation of today's libraries has."""
    return sorted(set(DEFAULTS) - set(settings.known_keys()))


def test_the_table_has_all_that_is_gone_and_nothing_else():
    assert set(gone()) == stock_keys.OLD and len(stock_keys.OLD) == 45


@pytest.mark.parametrize("key", sorted(set(DEFAULTS) - {"do_train"}))  # whose default would train nothing
def test_every_stock_key_with_its_default_is_taken(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, said = parse(tmp_path, GOOD | {key: DEFAULTS[key]})
    about = [line for line in said if line.startswith(f"{key}: ")]
    assert len(about) == (key in stock_keys.OLD or (DEFAULTS[key] is None and key in stock_keys.NULLABLE)), said


# Key -> a value that is not its default, and what comes of it: today's key with its value, or None where nothing does.
OTHERS = {
    "_n_gpu": (2, None), "adafactor": (True, ("optim", "adafactor")), "benchmarks": (["gsm8k"], None),
    "dispatch_batches": (False, ("accelerator_config", {"dispatch_batches": False})),
    "evaluation_strategy": ("epoch", ("eval_strategy", "epoch")), "fp16_backend": ("cuda_amp", None),
    "fp16_opt_level": ("O2", None), "fsdp_min_num_params": (5, None), "fsdp_transformer_layer_cls_to_wrap": ("Layer", None),
    "group_by_length": (True, ("train_sampling_strategy", "group_by_length")), "half_precision_backend": ("cpu_amp", None),
    "hub_model_revision": ("v2", None), "include_inputs_for_metrics": (True, None), "include_tokens_per_second": (True, None),
    "jit_mode_eval": (True, None), "logging_dir": ("elsewhere", None), "mask_user_turns": (True, None),
    "no_cuda": (True, ("use_cpu", True)), "overwrite_hub_revision": (True, None), "overwrite_output_dir": (True, None),
    "per_gpu_eval_batch_size": (3, ("per_device_eval_batch_size", 3)),
    "per_gpu_train_batch_size": (3, ("per_device_train_batch_size", 3)),
    "push_to_hub_model_id": ("name", ("hub_model_id", "name")), "push_to_hub_organization": ("org", None),
    "push_to_hub_revision": (True, None), "push_to_hub_token": ("secret", ("hub_token", "secret")), "quants": (["q4"], None),
    "ray_scope": ("all", None), "reward_loss_fn": ("Other", None), "save_safetensors": (False, None),
    "split_batches": (True, ("accelerator_config", {"split_batches": True})),
    "torchdynamo": ("eager", ("torch_compile_backend", "eager")), "tpu_metrics_debug": (True, None), "tpu_num_cores": (8, None),
    "use_ipex": (True, None), "use_legacy_prediction_loop": (True, None), "use_mps_device": (True, None),
    "wandb_enabled": (False, None), "wandb_entity": ("me", None), "wandb_project": ("p", None), "wandb_run_group": ("g", None),
    "wandb_run_id": ("7", None), "wandb_tags": (["sft"], None), "warmup_ratio": (0.3, ("warmup_steps", 0.3)),
}  # fmt: skip
REFUSED = {"mp_parameters": "x=1", "past_index": 1, "half_precision_backend": "apex", "fp16_backend": "apex"}


@pytest.mark.parametrize("key", gone())
def test_every_key_that_is_gone_says_what_becomes_of_another_value(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if key in REFUSED:
        with pytest.raises(UserError, match=rf"config.yaml: {key} is .*changes what is learnt.*remove it"):
            parse(tmp_path, GOOD | {key: REFUSED[key]})
    if key not in OTHERS:
        assert key in REFUSED
        return
    value, becomes = OTHERS[key]
    arguments, said = parse(tmp_path, GOOD | {key: value})
    (line,) = (line for line in said if line.startswith(f"{key}: "))
    assert "secret" not in line
    if becomes is None:
        assert ": ignored, " in line
    else:
        found = getattr(arguments, becomes[0])
        if becomes[0] == "accelerator_config":
            assert found.to_dict() | becomes[1] == found.to_dict()
        else:
            assert getattr(found, "value", found) == becomes[1]
        assert "read as" in line and becomes[0] in line


@pytest.mark.parametrize(
    ("both", "said"),
    [
        ({"evaluation_strategy": "epoch", "eval_strategy": "steps"}, "evaluation_strategy is epoch, which means eval_strategy: epo"),
        ({"adafactor": True, "optim": "sgd"}, "adafactor is true, which means optim: adafactor, but optim is sgd"),
        ({"no_cuda": True, "use_cpu": False}, "no_cuda is true, which means use_cpu: true, but use_cpu is false"),
        ({"per_gpu_train_batch_size": 2, "per_device_train_batch_size": 4}, "keep per_device_train_batch_size and remove per_gpu"),
        ({"group_by_length": True, "train_sampling_strategy": "sequential"}, "but train_sampling_strategy is sequential"),
        ({"split_batches": True, "accelerator_config": {"split_batches": False}}, "but split_batches is false"),
    ],
)  # fmt: skip
def test_two_spellings_that_disagree_are_refused(both, said, tmp_path):
    with pytest.raises(UserError, match=said):
        parse(tmp_path, GOOD | both)


def test_two_spellings_that_agree_are_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, _ = parse(
        tmp_path, GOOD | {"evaluation_strategy": "epoch", "eval_strategy": "epoch", "adafactor": False, "optim": "sgd"}
    )
    assert arguments.eval_strategy == "epoch" and arguments.optim == "sgd"


@pytest.mark.parametrize("ratio", [0.03, 0.1, 0.5])
@pytest.mark.parametrize("steps", [1, 7, 10, 333])
def test_warm_up_has_as_many_steps_as_in_the_contract(ratio, steps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, _ = parse(tmp_path, GOOD | {"warmup_ratio": ratio})
    assert arguments.get_warmup_steps(steps) == math.ceil(ratio * steps)


def test_a_number_of_warm_up_steps_wins_over_the_ratio(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, said = parse(tmp_path, GOOD | {"warmup_ratio": 0.5, "warmup_steps": 3})
    assert arguments.get_warmup_steps(100) == 3
    assert "warmup_ratio: ignored, warmup_steps: 3 takes precedence, as in the contract's trainer" in said
    assert parse(tmp_path, GOOD | {"warmup_ratio": 0.5, "warmup_steps": 0})[0].get_warmup_steps(100) == 50


def test_the_stock_config_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, said = parse(tmp_path, STOCK_CONFIG | {"use_cpu": True, "report_to": ["tensorboard", "comet_ml"]})
    assert [line.split(":")[0] for line in said] == [
        "overwrite_hub_revision", "evaluation_strategy", "hub_model_revision", "overwrite_output_dir", "wandb_run_group",
        "wandb_run_id", "wandb_tags", "warmup_ratio", "packing", "save_strategy", "report_to",
    ]  # fmt: skip
    assert "evaluation_strategy: read as eval_strategy: epoch" in said
    assert "report_to: comet_ml is not installed and is left out" in said and arguments.report_to == ["tensorboard"]
    assert arguments.packing and arguments.max_length == 2048 and arguments.eval_strategy == "epoch"
    assert arguments.get_warmup_steps(30) == 3 and arguments.num_train_epochs == 3


def test_the_contract_knows_its_own_keys(tmp_path):
    assert settings.local_keys(STOCK_CONFIG | OWN | dict(DEFAULTS)) == []
    newer = {
        key for key in settings.known_keys() if key not in {*STOCK, *OWN, *settings.names(settings.ContractArguments)}
    }
    assert set(settings.local_keys(dict.fromkeys(newer))) == newer and newer >= stock_keys.LATER
