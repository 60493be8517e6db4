"""LoRA: the trainer's adapter settings, and how many parameters they train. Evaluation merges what is saved (eval/adapters.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from eval.checkpoints import Shapes


@dataclass
class LoraArguments:
    """The adapter keys of TRL's ModelConfig, under its names; local, because the contract's stock parser knows none of them."""

    use_peft: bool = False
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_target_modules: list[str] = field(default_factory=lambda: ["all-linear"])

    def config(self) -> object | None:
        """peft's LoraConfig; None where the whole model is trained."""
        if not self.use_peft:
            return None
        from peft import LoraConfig

        modules = self.lora_target_modules
        return LoraConfig(
            r=self.lora_r,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            target_modules="all-linear" if modules == ["all-linear"] else modules,
            task_type="CAUSAL_LM",
        )

    def trained(self, shapes: Shapes) -> int:
        """Parameters that are trained, of a model with these tensors: all of them, or r (in + out) a matrix (Hu et al. 2021).

        "all-linear" means every matrix but those of embedding and output, as peft reads it.
        """
        if not self.use_peft:
            return sum(map(math.prod, shapes.values()))
        matrices = [(name.split(".")[-2], shape) for name, shape in shapes.items() if len(shape) == 2]
        chosen = set(self.lora_target_modules)
        if chosen == {"all-linear"}:
            chosen = {module for module, _ in matrices} - {"embed_tokens", "lm_head"}
        return sum(self.lora_r * sum(shape) for module, shape in matrices if module in chosen)
