"""Settings that the contract's parser takes, and under which its trainer raises or moves no weight.

The rehearsal sees most of them; here they are named before anything is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data.submission.checks.contract import Fault
from data.submission.checks.findings import shown

LOG_LEVELS = ("passive", "detail", "debug", "info", "warning", "error", "critical")
SMALLEST_RATE = 1e-9  # below this no weight in bfloat16 moves
# transformers asks torch.compiler.is_compiling there, which torch 2.1.2 does not have.
COMPILES = ("torch_compile", "torch_compile_backend", "torch_compile_mode", "torchdynamo")
NO_WARMUP = ("constant", "reduce_lr_on_plateau")
MOST_NOISE = 1000
# A setting that is only there with a newer accelerate than the contract's.
NEWER_ACCELERATE = {"data_seed": "1.1.0", "eval_use_gather_object": "0.30.0"}


def findings(settings: dict[str, Any]) -> Iterator[Fault]:
    """One fatal fault for each setting, or pair of settings, that ends the training or leaves it without effect."""
    for key, problem, fix in (*alone(settings), *together(settings)):
        yield "raises", key, problem, fix, True
    yield from untrained(settings)


def alone(settings: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key, version in NEWER_ACCELERATE.items():
        if settings.get(key) not in (None, False):
            problem = f"{key} needs accelerate {version}, and the contract has 0.28.0: the parser raises"
            yield key, problem, "leave it out"
    for key in ("log_level", "log_level_replica"):
        if isinstance(settings.get(key), str) and settings[key] not in LOG_LEVELS:
            problem = f"{key} is {shown(settings[key])}: the trainer raises"
            yield key, problem, f"write one of {', '.join(LOG_LEVELS)}"
    for key in ("save_steps", "eval_steps"):
        every = settings.get(key)
        if isinstance(every, float) and every > 1 and every != int(every):
            yield key, f"{key} is {every}: the parser raises", "a whole number of steps, or a share below 1"
    for key in COMPILES:
        if settings.get(key):
            problem = f"{key} compiles the model, which raises with the contract's torch 2.1.2 and transformers 4.48.1"
            yield key, problem, "leave it out"
    if settings.get("label_names"):
        problem = "label_names is set: the evaluation then has no eval_loss, and the trainer raises"
        yield "label_names", problem, "leave it out"


def together(settings: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for pair in (("bf16", "fp16"), ("bf16_full_eval", "fp16_full_eval")):
        if all(settings.get(key) is True for key in pair):
            yield pair[1], f"{pair[0]} and {pair[1]} are both true: the parser raises", "keep one of the two"
    if settings.get("dataloader_prefetch_factor") is not None and not settings.get("dataloader_num_workers"):
        problem = "dataloader_prefetch_factor without dataloader_num_workers: the parser raises"
        yield "dataloader_prefetch_factor", problem, "leave it out"
    if settings.get("dataloader_persistent_workers") and not settings.get("dataloader_num_workers"):
        problem = "dataloader_persistent_workers without dataloader_num_workers: the trainer raises"
        yield "dataloader_persistent_workers", problem, "leave it out"
    schedule, options = settings.get("lr_scheduler_type"), settings.get("lr_scheduler_kwargs")
    named = options if isinstance(options, dict) else {}
    if schedule == "cosine_with_min_lr" and not {"min_lr", "min_lr_rate"} & named.keys():
        problem = "lr_scheduler_type is cosine_with_min_lr without min_lr in lr_scheduler_kwargs: the trainer raises"
        yield "lr_scheduler_type", problem, "lr_scheduler_kwargs: {min_lr: 1.0e-6}"
    evaluates = settings.get("evaluation_strategy") or settings.get("eval_strategy") or "no"
    if schedule == "reduce_lr_on_plateau" and evaluates in ("no", False):
        problem = "lr_scheduler_type is reduce_lr_on_plateau without an evaluation strategy: the parser raises"
        yield "lr_scheduler_type", problem, "eval_strategy: epoch"


def untrained(settings: dict[str, Any]) -> Iterator[Fault]:
    """Updates that move nothing: clipped away, or all of them at the beginning of the warm-up."""
    clip = settings.get("max_grad_norm")
    if isinstance(clip, int | float) and 0 < clip < 1e-6:
        problem = f"max_grad_norm is {clip}, which leaves nothing of a gradient"
        yield "untrained", "max_grad_norm", problem, "max_grad_norm: 1.0", True
    noise = settings.get("neftune_noise_alpha")
    if isinstance(noise, int | float) and not 0 <= noise <= MOST_NOISE:
        problem = f"neftune_noise_alpha is {noise}: the noise drowns the tokens, or is none"
        yield "untrained", "neftune_noise_alpha", problem, f"between 0 and {MOST_NOISE}, usually 5", True
    steps, warmup = settings.get("max_steps"), warmup_of(settings)
    if isinstance(steps, int) and steps > 0 and warmup and settings.get("lr_scheduler_type") not in NO_WARMUP:
        rate = settings.get("learning_rate", 5e-5)
        if isinstance(rate, float) and rate * min(1, (steps - 1) / warmup) < SMALLEST_RATE:
            problem = f"max_steps is {steps}, and the warm-up begins with a learning rate of 0: nothing is trained"
            yield "untrained", "max_steps", problem, "more steps, or no warm-up", True


def warmup_of(settings: dict[str, Any]) -> float:
    """Steps of warm-up as far as the config alone says."""
    steps, share, most = (settings.get(key) or 0 for key in ("warmup_steps", "warmup_ratio", "max_steps"))
    if not all(isinstance(each, int | float) for each in (steps, share, most)):
        return 0
    return float(steps or -(-share * most // 1))
