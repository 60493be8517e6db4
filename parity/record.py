"""sft.py unchanged, with the batch and exact loss of each step recorded: launched like sft.py, one file per process.

launch.py --config_file=deepspeed_zero3.yaml parity/record.py CONFIG OUT [option of sft.py …]
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sft  # noqa: E402 - found through the line above, from any folder
from training.trainer import Trainer  # noqa: E402

# What an optimizer step depends on, apart from the batch.
OPTIMISATION = (
    "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "max_grad_norm",
    "adam_beta1", "adam_beta2", "adam_epsilon", "optim",
)  # fmt: skip


def record(out: Path) -> None:
    """Makes the trainer append (batch, loss) of each of its steps to `out`.<rank>; its arithmetic is not touched."""
    steps: list[tuple[dict[str, Any], float]] = []
    train = Trainer.training_step

    def step(self: Any, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **more: Any) -> torch.Tensor:
        batch = {name: value.clone() if torch.is_tensor(value) else value for name, value in inputs.items()}
        loss = train(self, model, inputs, *args, **more)
        steps.append((batch, loss.item()))
        if self.state.global_step + 1 == self.state.max_steps:
            settings = {name: plain(getattr(self.args, name)) for name in OPTIMISATION}
            settings["warmup_steps"] = self.args.get_warmup_steps(self.state.max_steps)
            torch.save({"steps": steps, "settings": settings}, f"{out}.{os.environ.get('RANK', '0')}")
        return loss

    Trainer.training_step = step


def plain(value: Any) -> Any:
    """A setting as a plain value: enumerations and dataclasses are unwrapped."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else getattr(value, "value", value)


if __name__ == "__main__":
    record(Path(sys.argv[2]))
    sys.exit(sft.main([sys.argv[1], *sys.argv[3:]]))
