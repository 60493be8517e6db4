"""What the contract's trainer adds to TrainingArguments: keys and other defaults, and findings about keys left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Fault = tuple[str, str, str, str, bool]  # check, key, problem, fix, fatal

_TEXT = {"types": ["str", "null"]}
_FLAG = {"types": ["bool"], "default": False}
_TEXTS = {"types": ["list"], "default": []}

# Keys beyond those of TrainingArguments.
KEYS: dict[str, dict[str, Any]] = {
    "model_name_or_path": {"types": ["str"]},
    "dataset_name_or_path": {"types": ["str"]},
    "dataset_mode": {"types": ["str"], "choices": ["local", "online"], "default": "online"},
    "packing": {"types": ["bool"], "default": True},
    "max_length": {"types": ["int", "null"], "default": None},
    "benchmarks": _TEXTS,
    "mask_user_turns": _FLAG,
    "hub_model_revision": _TEXT | {"default": "main"},
    "overwrite_hub_revision": _FLAG,
    "push_to_hub_revision": _FLAG,
    "reward_loss_fn": _TEXT | {"default": "NegLogSigmoid"},
    "quants": _TEXTS,
    "wandb_tags": {"types": ["list", "null"], "default": None},
    "wandb_enabled": {"types": ["bool"], "default": True},
    "wandb_project": _TEXT | {"default": "h4"},
    "wandb_entity": _TEXT | {"default": "huggingface"},
    "wandb_run_group": _TEXT | {"default": "tr_00_some-descriptor"},
    "wandb_run_id": _TEXT | {"default": None},
}
# Defaults that differ from those of TrainingArguments.
DEFAULTS = {
    "logging_first_step": True,
    "optim": "adamw_torch",
    "save_strategy": "steps",
    "save_steps": 0.1,
    "save_total_limit": 1,
}
# Names and labels: the parser checks no type, and they do not change what is learnt.
LABELS = {"run_name", "benchmarks", "hub_model_revision", "reward_loss_fn", "quants"}
LABELS |= {key for key in KEYS if key.startswith("wandb_")}


def findings(settings: dict[str, Any]) -> Iterator[Fault]:
    """Findings about the contract's own keys and defaults."""
    yield from switches(settings)
    yield from left_out(settings)
    yield from without_effect(settings)


def switches(settings: dict[str, Any]) -> Iterator[Fault]:
    """do_train and do_eval: without them the contract's trainer ends with exit code 0 all the same."""
    meanings = {
        "do_train": "nothing would be trained: the base model is saved, with exit code 0",
        "do_eval": "the contract's trainer would report no validation loss",
    }
    for key, meaning in meanings.items():
        if settings.get(key, False) is False:  # other types give another finding
            state = "is false" if key in settings else "is left out, which means false"
            yield key.replace("_", "-"), key, f"{key} {state}; {meaning}", f"{key}: true", True


def left_out(settings: dict[str, Any]) -> Iterator[Fault]:
    """Keys whose default there may differ from what the author expects."""
    if "packing" not in settings:
        problem = "packing is left out, which means true in the contract's trainer"
        yield "packing", "packing", problem, "state it: packing: true, or packing: false", True
    if "dataset_mode" not in settings:
        problem = "dataset_mode is left out, which means online there: the rows are loaded from the hub"
        yield "dataset-mode", "dataset_mode", problem, "dataset_mode: local", True
    if "learning_rate" not in settings:
        problem = "learning_rate is left out, which means 5e-05 there and 2e-05 here"
        yield "default", "learning_rate", problem, "state it, for instance learning_rate: 2.0e-05", False


def without_effect(settings: dict[str, Any]) -> Iterator[Fault]:
    """Keys that the contract's parser takes and its trainer does not use."""
    if settings.get("max_length") not in (None, 2048):
        problem = f"max_length is {settings['max_length']!r:.40} and has no effect there: it is always 2,048 tokens"
        yield "no-effect", "max_length", problem, "leave it out; drop rows when the dataset is built", False
    if settings.get("mask_user_turns"):
        problem = "mask_user_turns has no effect there: the whole text is learnt, problems included"
        yield "no-effect", "mask_user_turns", problem, "leave it out", False
