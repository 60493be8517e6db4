"""Sizes of a run, from its settings: rows per step, steps, checkpoints, disk space."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from trl import SFTConfig

from training.records import Run

# Bytes per parameter: Adam's two moments and the float32 master weights.
STATE_BYTES = 12
LLAMA_1B = 1_235_814_400  # parameters of Llama-3.2-1B


def batch_rows(run: Run) -> int:
    """Rows of one optimizer step, over all processes."""
    args = run.arguments
    return int(args.per_device_train_batch_size * args.gradient_accumulation_steps * run.processes)


def packed_rows(run: Run) -> int:
    """Rows per epoch. Packed rows are estimated as full; best-fit packing comes within a few percent of that."""
    rows = run.rendered["train"]
    return (
        math.ceil(sum(map(len, rows["input_ids"])) / run.arguments.max_length) if run.arguments.packing else len(rows)
    )


def total_steps(run: Run) -> int:
    """Optimizer steps of the run."""
    if run.arguments.max_steps > 0:
        return int(run.arguments.max_steps)
    return math.ceil(epoch_steps(run) * run.arguments.num_train_epochs)


def epoch_steps(run: Run) -> int:
    """Optimizer steps per epoch; 0 where dataloader_drop_last leaves no batch."""
    args = run.arguments
    batches = packed_rows(run) / (args.per_device_train_batch_size * run.processes)
    whole = math.floor(batches) if args.dataloader_drop_last else math.ceil(batches)
    return math.ceil(whole / args.gradient_accumulation_steps)


def save_count(args: SFTConfig, steps: int) -> int:
    """Checkpoints that the run writes; a save_steps below 1 is a share of the run."""
    if args.save_strategy.value != "steps":
        return math.ceil(args.num_train_epochs) if args.save_strategy.value == "epoch" else 0
    every = math.ceil(args.save_steps * steps) if args.save_steps < 1 else int(args.save_steps)
    written = math.ceil(steps / max(every, 1))
    return min(written, args.save_total_limit or written)


def size_in_parameters(run: Run) -> int:
    """Parameters that are trained and saved; those of Llama-3.2-1B where the number is unknown."""
    return run.parameters or LLAMA_1B


def weight_bytes(run: Run) -> int:
    """Bytes of one checkpoint's weights."""
    return size_in_parameters(run) * (2 if run.arguments.bf16 else 4)


def free_bytes(folder: Path) -> int:
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free
