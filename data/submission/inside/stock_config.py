"""The config as the contract's trainer declares it, and what a rehearsal on a CPU changes in it."""

from __future__ import annotations

import copy
import dataclasses
import os
from typing import Any, ClassVar

from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_utils import IntervalStrategy
from transformers.training_args import OptimizerNames


@dataclasses.dataclass
class SFTConfig(TrainingArguments):
    """One dataclass over TrainingArguments: every other key ends the parser."""

    benchmarks: list[str] = dataclasses.field(default_factory=list)
    mask_user_turns: bool = False
    max_length: int | None = None
    neftune_noise_alpha: float | None = None
    hub_model_revision: str | None = "main"
    logging_first_step: bool = True
    optim: str | None = "adamw_torch"
    overwrite_hub_revision: bool = False
    packing: bool = True
    push_to_hub_revision: bool = False
    reward_loss_fn: str | None = "NegLogSigmoid"
    quants: list[str] = dataclasses.field(default_factory=list)
    save_strategy: str | None = "steps"
    save_steps: float | None = 0.1
    save_total_limit: int | None = 1
    wandb_tags: list[str] | None = None
    wandb_enabled: bool = True
    wandb_project: str | None = "h4"
    wandb_entity: str | None = "huggingface"
    wandb_run_group: str | None = "tr_00_some-descriptor"
    wandb_run_id: str | None = None
    model_name_or_path: str | None = None
    dataset_name_or_path: str | None = None
    dataset_mode: str = "online"


# Values for a machine without a GPU; a key that already has this value is not changed.
# bf16: torch 2.1.2's autocast on CPU leaves attention with two dtypes.
CPU_FORCES: dict[str, Any] = {
    "bf16": False,
    "fp16": False,
    "tf32": None,
    "torch_compile": False,
    "torch_compile_backend": None,
    "torch_compile_mode": None,
    "torchdynamo": None,
    "ddp_backend": None,
    "fp16_full_eval": False,
    "bf16_full_eval": False,
}
FUSED = ("_fused", "_8bit", "_bnb", "_apex", "npu", "paged_")  # optimizers that need a GPU


@dataclasses.dataclass
class Rehearsed(SFTConfig):
    """SFTConfig, changed only where a CPU forces it or a rehearsal shortens it.

    `forced` and `shortened`: key -> its value here; `meant`: the arguments as submitted, with the stock defaults.
    """

    out: ClassVar[str] = ""  # where it may write

    def __post_init__(self) -> None:
        self.forced = forced(self)
        submitted = {key: getattr(self, key) for key in self.forced}
        for key, value in self.forced.items():
            setattr(self, key, value)
        self.output_dir = os.path.join(self.out, "checkpoints")  # noqa: PTH118
        super().__post_init__()
        os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
        self.meant = copy.copy(self)
        if "optim" in submitted:
            self.meant.optim = OptimizerNames(submitted["optim"])
        self.shortened = shortened(self)
        for key, value in self.shortened.items():
            setattr(self, key, value)


def forced(config: SFTConfig) -> dict[str, Any]:
    """What the CPU and the missing network force. Two precisions at once stay, so that the parser
    refuses them."""
    wanted = {key: value for key, value in CPU_FORCES.items() if getattr(config, key)}
    for pair in (("bf16", "fp16"), ("bf16_full_eval", "fp16_full_eval")):
        if all(key in wanted for key in pair):
            wanted = {key: value for key, value in wanted.items() if key not in pair}
    if any(part in str(config.optim) for part in FUSED) and str(config.optim) in [one.value for one in OptimizerNames]:
        wanted["optim"] = "adamw_torch"
    named = [config.report_to] if isinstance(config.report_to, str) else config.report_to
    if named is None or (named and all(one in (*INTEGRATION_TO_CALLBACK, "all") for one in named)):
        wanted["report_to"] = "none"
    return wanted


def shortened(config: SFTConfig) -> dict[str, Any]:
    """Without warm-up, whose first learning rate is 0, both steps train; every step is an update, and is logged."""
    short: dict[str, Any] = {"warmup_steps": 0, "warmup_ratio": 0.0, "gradient_accumulation_steps": 1}
    short = {key: value for key, value in short.items() if getattr(config, key) > value}
    return short | {"logging_strategy": IntervalStrategy.STEPS, "logging_steps": 1, "disable_tqdm": True}
