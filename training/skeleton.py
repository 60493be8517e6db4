"""The model without its weights, built from its config on the meta device: fast, and without memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from eval import checkpoints
from eval.records import UserError, first_line


def read_model_config(name: str) -> Any | None:
    """The config of a folder or a hub id (from the cache or the hub); None where it cannot be read: loading will say why."""
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError):
        return None


def build_skeleton(name: str, attention: str | None = None) -> PreTrainedModel | None:
    """The model on the meta device; None where its config cannot be read or names no causal language model.

    Raises what transformers raises for an `attention` that is unknown or cannot be used here. The class is called directly,
    because under ZeRO-3 the factories of transformers would shard the model.
    """
    config = read_model_config(name)
    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if config is None or kind is None:
        return None
    if attention is not None:
        config._attn_implementation = attention
    with torch.device("meta"):
        model: PreTrainedModel = kind(config)
    return model


def check_attention(path: Path, name: str, attention: Any) -> None:
    """Raises UserError for an attn_implementation that is unknown, not installed or not for this machine."""
    if attention is None:
        return
    if "flash" in str(attention) and not torch.cuda.is_available():
        reason = "needs a GPU, and none is found"
    else:
        try:
            build_skeleton(name, str(attention))
            return
        except (ImportError, ValueError) as error:
            reason = f"cannot be used ({first_line(error)})"
    raise UserError(
        f"{path}: model_init_kwargs: attn_implementation {str(attention)!r} {reason}; leave it out to use the best one on this machine."
    )


def count_parameters(name: str) -> int | None:
    """The number of parameters, tied ones counted once; None where neither the config nor a local folder gives it."""
    model = build_skeleton(name)
    if model is not None:
        return sum(weight.numel() for weight in model.parameters())
    folder = Path(name)
    shapes = checkpoints.stored_shapes(folder) if folder.is_dir() else {}
    return sum(torch.Size(shape).numel() for shape in shapes.values()) or None
