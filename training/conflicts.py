"""Settings that cannot work together, with this trainer, or on this machine: refused before anything is loaded."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_token
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from eval.records import UserError
from training.spelling import nearest
from training.values import mapping

# Keys by which TRL would change the tokenizer or the rows after preflight has checked them.
BEHIND_PREFLIGHT = {
    "eos_token": "set it in get_tokenizer (sft_utils.py), where preflight, evaluation and a submission see it",
    "pad_token": "set it in get_tokenizer (sft_utils.py), where preflight, evaluation and a submission see it",
    "chat_template_path": "write the template into apply_chat_template (sft_utils.py), the only place where it is read",
}
LAUNCH = ("deepspeed", "fsdp", "fsdp_config", "parallelism_config")
METRICS = ("loss", "mean_token_accuracy", "entropy", "num_tokens")  # what TRL's trainer measures in validation
HALF = ("fp16", "fp16_full_eval", "tf32")


def refuse_conflicts(path: Path, settings: dict[str, Any]) -> None:
    """Raises UserError for the first setting (under today's keys) that cannot work here."""
    for key, problem in (*purposes(settings), *machine(settings)):
        raise UserError(f"{path}: {key} is {settings[key]!r}; {problem}.")


def purposes(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """(key, what to do) for settings that belong in other files or commands."""
    found = [(key, fix) for key, fix in BEHIND_PREFLIGHT.items() if settings.get(key) is not None]
    if settings.get("do_train") is False:
        found.append(
            ("do_train", "nothing would be trained: write do_train: true (make preflight checks without training)")
        )
    if mapping(settings.get("dataset_kwargs")).get("skip_prepare_dataset"):
        found.append(("dataset_kwargs", "skip_prepare_dataset would skip packing and the loss mask; remove it"))
    if settings.get("resume_from_checkpoint"):
        found.append(("resume_from_checkpoint", "this key is not used: remove it, and resume with make train RESUME=1"))
    metric = settings.get("metric_for_best_model")
    if metric is not None and metric.removeprefix("eval_") not in METRICS:
        found.append(("metric_for_best_model", f"validation measures {', '.join(METRICS)}: use one of them"))
    for key in LAUNCH:
        if settings.get(key):
            found.append((key, "the launch config decides this: remove it here, and see deepspeed_zero3.yaml"))
    if settings.get("push_to_hub") and not (settings.get("hub_token") or get_token()):
        found.append(("push_to_hub", "no login is found: run .venv/bin/hf auth login, or remove it"))
    return found


def machine(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """(key, what to do) for settings that this machine does not support."""
    gpu = torch.cuda.is_available() and not settings.get("use_cpu")
    found = []
    if not gpu:
        found += [(key, "it needs a GPU, and none is used; remove it") for key in HALF if settings.get(key)]
        if settings.get("torch_compile") and os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
            found.append(("torch_compile", "under DeepSpeed it needs a GPU, and none is used; remove it"))
        if settings.get("activation_offloading"):
            found.append(("activation_offloading", "it needs a GPU, and none is used; remove it"))
    if settings.get("use_liger_kernel"):
        missing = (
            "a GPU" if not gpu else None if importlib.util.find_spec("liger_kernel") else "the package liger-kernel"
        )
        if missing:
            found.append(("use_liger_kernel", f"it needs {missing}, which is not found; remove it"))
    return found


def choose_trackers(path: Path, wanted: str | list[str] | None) -> tuple[list[str], list[str]]:
    """(the trackers to report to, one line for each that is not installed).

    Raises UserError for a name that transformers does not know.
    """
    there = get_available_reporting_integrations()
    names = [wanted] if isinstance(wanted, str) else list(wanted or [])
    for name in names:
        if name not in {"none", "all", *INTEGRATION_TO_CALLBACK}:
            near = nearest(name, INTEGRATION_TO_CALLBACK)
            advice = (
                f"did you mean {near!r}?"
                if near
                else f"it must be none, all or some of {', '.join(INTEGRATION_TO_CALLBACK)}."
            )
            raise UserError(f"{path}: report_to is {name!r}, which is not a known tracker; {advice}")
    if "all" in names:
        return there, []
    chosen = [name for name in dict.fromkeys(names) if name != "none"]
    return [name for name in chosen if name in there], [
        f"report_to: {name} is not installed and is left out" for name in chosen if name not in there
    ]
