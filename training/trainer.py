"""TRL's trainer with two additions: it stops at a loss that is no number, and logs what the hardware does."""

from __future__ import annotations

import os
import traceback
from typing import Any

import torch
from datasets import Dataset
from trl import SFTTrainer

from eval.records import UserError
from training.progress import Meter

SHOWN = 8


class Trainer(SFTTrainer):
    """`examples` are the rendered training rows, to name those of a bad batch; `meter` adds its numbers to every log."""

    examples: Dataset
    meter: Meter

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        batch = inputs["input_ids"], inputs.get("position_ids")
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} in step {self.state.global_step + 1}, on {name_rows(self.examples, *batch)}; look at "
                "those, lower learning_rate, or set bf16: false. Finished checkpoints are kept.",
                1,
            )
        return loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: each checkpoint gets its own card (training/card.py), and TRL's omits a base model that is a folder."""

    def _load_best_model(self) -> None:
        """Does nothing: the model is not used after training, DeepSpeed's state is pruned, and `final` links the best checkpoint."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and getattr(self, "meter", None):
            logs |= self.meter.read(int(self.state.num_input_tokens_seen))
        super().log(logs, *args, **kwargs)


def name_rows(examples: Dataset, input_ids: torch.Tensor, position_ids: torch.Tensor | None) -> str:
    """The rows of `examples` that a batch holds, as "rows 3, 17 and 2 more of train"."""
    numbers = {tuple(ids): index for index, ids in enumerate(examples["input_ids"])}
    found = [numbers[ids] for ids in split_batch(input_ids, position_ids, set(map(len, numbers))) if ids in numbers]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"rows {', '.join(map(str, found[:SHOWN]))}{more} of train"


def split_batch(input_ids: torch.Tensor, position_ids: torch.Tensor | None, lengths: set[int]) -> list[tuple[int, ...]]:
    """The examples of a batch: where positions begin again in a packed row, else every beginning that is as long as one."""
    if position_ids is not None:
        row, begins = input_ids[0].tolist(), (position_ids[0] == 0).nonzero().flatten().tolist()
        return [tuple(row[begin:end]) for begin, end in zip(begins, [*begins[1:], len(row)], strict=True)]
    return [tuple(row[:length]) for row in input_ids.tolist() for length in lengths if length <= len(row)]


def explain_memory(arguments: Any, error: Exception) -> UserError:
    """What to change after the device ran out of memory, with the current values.

    First the changes that allow a resume, because they do not change what is learnt; then those that need a new run.
    """
    said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    same = [line for line in (smaller_parts(arguments, error), without_activations(arguments)) if line]
    anew = other_settings(arguments)
    advice = (
        [f"set {' or '.join(same)}, then resume with make train RESUME=1 and the same number of processes"]
        if same
        else []
    )
    if anew:
        advice.append(f"start a new run, under another run_name, with {' or '.join(anew)}")
    return UserError(
        f"the device ran out of memory ({said}); {'; or '.join(advice) or 'use a device with more memory, or more processes'}.",
        1,
    )


def smaller_parts(arguments: Any, error: Exception) -> str:
    """The same batch in smaller parts, as config lines; "" where a part is one row already."""
    if any(frame.name == "evaluation_loop" for frame in traceback.extract_tb(error.__traceback__)):
        rows = arguments.per_device_eval_batch_size
        return f"per_device_eval_batch_size: {rows // 2} (now {rows})" if rows > 1 else ""
    batch, steps = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    parts = next((parts for parts in range(2, batch + 1) if batch % parts == 0), None)
    if parts is None:
        return ""
    return (
        f"per_device_train_batch_size: {batch // parts} (now {batch}) with gradient_accumulation_steps: {steps * parts} "
        f"(now {steps})"
    )


def without_activations(arguments: Any) -> str:
    return "" if arguments.gradient_checkpointing else "gradient_checkpointing: true"


def other_settings(arguments: Any) -> list[str]:
    """Settings that need less memory but change what is learnt, or do not fit the saved optimizer state."""
    found = []
    if os.environ.get("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE") == "none":
        found.append("offload_optimizer_device: cpu in deepspeed_zero3.yaml")
    if not arguments.bf16:
        found.append("bf16: true (which changes what is learnt)")
    return found
