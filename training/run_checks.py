"""Checks of the config against launcher, schedule and disk; of the rows, only their number matters."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import get_scheduler

from eval.records import first_line
from training.arithmetic import (
    STATE_BYTES,
    epoch_steps,
    free_bytes,
    save_count,
    size_in_parameters,
    total_steps,
    weight_bytes,
)
from training.records import Check, Run

LOOKED_AT = 1000  # steps of a schedule
WITHOUT_WARM_UP = ("constant", "reduce_lr_on_plateau")
ROUNDING = 1e-6  # of a share


def launcher(run: Run) -> Iterator[Check]:
    """What the launch config says of DeepSpeed; accelerate passes it in the environment."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") != "true":
        return
    gathered = os.environ.get("ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL", "false") == "true"
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
    fix = "checkpoints would hold no model; set zero3_save_16bit_model: true in deepspeed_zero3.yaml"
    yield Check("gather", stage != "3" or gathered, f"ZeRO-{stage}, weights gathered on save: {gathered}", fix)
    clip = os.environ.get("ACCELERATE_GRADIENT_CLIPPING", "none")
    same = clip in ("none", "auto") or float(clip) == run.arguments.max_grad_norm
    wanted = run.arguments.max_grad_norm
    fix = f"DeepSpeed would clip at {clip}, not at max_grad_norm {wanted}; drop gradient_clipping from deepspeed_zero3.yaml"
    yield Check("clipping", same, f"max_grad_norm {wanted}, launch config {clip}", fix)


def validation_block(run: Run) -> Check:
    tokens, block = sum(map(len, run.rendered["validation"]["input_ids"])), run.arguments.max_length
    ok = not run.arguments.packing or not run.arguments.do_eval or tokens >= block
    fix = (
        f"validation has {tokens:,} tokens, less than one packed row of {block:,}, and the contract's stock trainer raises on "
        "that; add rows, or packing: false"
    )
    return Check("validation-block", ok, f"{tokens:,} validation tokens", fix)


def schedule(run: Run) -> Check:
    """The learning rate over the run, computed by the library for the planned number of steps."""
    args, steps = run.arguments, total_steps(run)
    if not epoch_steps(run):
        fix = "there are not enough rows for one full batch, and dataloader_drop_last: true drops a smaller one; set it to false"
        return Check("schedule", False, "no step", fix)
    warm = args.get_warmup_steps(steps)
    try:
        shares = rates(run, steps)
    except Exception as error:  # of a function that takes the user's arguments
        fix = f"{args.lr_scheduler_type.value} cannot be computed ({first_line(error)}); correct lr_scheduler_kwargs"
        return Check("schedule", False, f"lr_scheduler_kwargs {args.lr_scheduler_kwargs}", fix)
    name = args.lr_scheduler_type.value
    found, fix = f"{name}, {warm:,} of {steps:,} steps warm-up", ""
    if warm and name in WITHOUT_WARM_UP:
        found = f"{name} ignores warm-up, here and in the contract's trainer; constant_with_warmup has it"
    if shares and not all(math.isfinite(share) and 0 <= share <= 1 + ROUNDING for share in shares):
        fix = f"the rate reaches {max(shares, key=abs) * args.learning_rate:.1e}, outside 0 to learning_rate; correct lr_scheduler_kwargs"
    elif shares and max(shares) < 1 - ROUNDING:
        fix = (
            f"learning_rate is never reached: the rate rises to {max(shares):.0%} of it, with {warm:,} steps of warm-up in a run of "
            f"{steps:,}; lower warmup_steps (or warmup_ratio), or train longer"
        )
    return Check("schedule", not fix, found, fix)


def rates(run: Run, steps: int) -> list[float]:
    """The learning rate as a share of learning_rate, at every step or at evenly spaced ones; [] where it follows the validation loss."""
    args = run.arguments
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=args.learning_rate)
    warm = args.get_warmup_steps(steps)
    schedule = get_scheduler(args.lr_scheduler_type, optimizer, warm, steps, args.lr_scheduler_kwargs)
    places = {*range(0, steps, math.ceil(steps / LOOKED_AT)), min(warm, max(steps - 1, 0))}
    return [float(share(place)) for share in getattr(schedule, "lr_lambdas", ()) for place in sorted(places)]


def saving(run: Run) -> Check:
    args = run.arguments
    strategy, written = args.save_strategy.value, save_count(args, total_steps(run))
    ok = strategy != "no" and not (strategy == "best" and args.eval_strategy.value == "no")
    fix = "no checkpoint would be written; set save_strategy: steps"
    last = "; one checkpoint: only the last step can be scored" if strategy == "steps" and written == 1 else ""
    return Check("saving", ok, f"save_strategy {strategy}{last}", fix)


def disk(run: Run) -> Check:
    free = free_bytes(Path(run.arguments.output_dir))
    needed = save_count(run.arguments, total_steps(run)) * weight_bytes(run)
    if not run.arguments.save_only_model:
        needed += 2 * size_in_parameters(run) * STATE_BYTES  # the older state goes when the newer one is safe
    fix = f"the run writes {needed / 1e9:.1f} GB and {run.arguments.output_dir} has {free / 1e9:.1f}; save less often, or free some space"
    guessed = "" if run.parameters else "; the model's size is unknown, so that of Llama-3.2-1B is used"
    return Check("disk", free > needed, f"{needed / 1e9:.1f} GB to be written, {free / 1e9:.0f} GB free{guessed}", fix)
