"""TRL's trainer with two additions: it stops at a loss that is no number, and logs what the hardware does."""

from __future__ import annotations

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
        """Each checkpoint gets a card of its own (training/card.py); TRL's names no base where that is a folder."""

    def _load_best_model(self) -> None:
        """Nothing is done with the model after training, and the state that DeepSpeed would load was pruned: `final` is the best."""

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
    """What to change when the device's memory did not suffice, with today's numbers."""
    batch, steps = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    advice = []
    if batch > 1:
        advice.append(
            f"per_device_train_batch_size {batch} -> {batch // 2} with gradient_accumulation_steps {steps} -> {2 * steps}"
        )
    if not arguments.gradient_checkpointing:
        advice.append("gradient_checkpointing: true")
    if not arguments.bf16:
        advice.append("bf16: true")
    advice.append("offload_optimizer_device: cpu in deepspeed_zero3.yaml")
    return UserError(
        f"the device ran out of memory ({str(error).splitlines()[0][:120]}); change one of: {'; '.join(advice)}.", 1
    )
