"""LoRA: the trainer's adapter settings, and what they train. Evaluation merges what is saved (eval/adapters.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from eval.records import UserError, first_line

if TYPE_CHECKING:
    from peft import LoraConfig


@dataclass
class LoraArguments:
    """The adapter keys of TRL's ModelConfig, under its names; local, because the contract's stock parser knows none of them."""

    use_peft: bool = False
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_target_modules: list[str] | str = field(default_factory=lambda: ["all-linear"])

    def config(self) -> LoraConfig | None:
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


def add_adapters(path: Path, lora: LoraArguments, model: PreTrainedModel) -> Any:
    """`model`, a skeleton, with peft's adapters. Raises UserError where peft finds no such modules or cannot adapt one of them."""
    from peft import get_peft_model

    try:
        return get_peft_model(model, lora.config())
    except Exception as error:  # peft's own types, and those of `re` for a pattern
        raise UserError(f"{path}: lora_target_modules {lora.lora_target_modules!r}: {first_line(error)}") from None


def check_targets(path: Path, lora: LoraArguments, model: PreTrainedModel) -> None:
    """Raises UserError for a name that matches no module, and for the embedding or output layer of a model that ties the two.

    There an adapter changes one of the two layers during training, but both after merging: the scored model would not be
    the trained one.
    """
    names = {id(module): name for name, module in model.named_modules()}
    ends = [names.get(id(module)) for module in (model.get_input_embeddings(), model.get_output_embeddings())]
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    chosen = add_adapters(path, lora, model).base_model.targeted_module_names
    both = next((name for name in ends if tied and name in chosen), None)
    if both:
        raise UserError(
            f"{path}: lora_target_modules {lora.lora_target_modules!r} selects {both}, but this model ties its embedding and "
            "output layer: training would adapt one of the two, and merging would change both; leave it out."
        )
    for target in lora.lora_target_modules if isinstance(lora.lora_target_modules, list) else ():
        if target != "all-linear" and not any(f".{name}".endswith(f".{target}") for name in chosen):
            raise UserError(
                f"{path}: lora_target_modules has {target!r}, which matches no module of this model; correct or remove it."
            )
