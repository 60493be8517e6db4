"""Attention over packed rows without flash-attn: every example attends to itself alone.

TRL packs several examples into a row and says where each begins (`cu_seq_lens`, positions that start again at 0).
FlashAttention reads those. PyTorch's own attention would get a dense mask over the whole flattened batch: exact, but
its cost grows with the square of the batch's tokens. Asked example by example it costs what the examples cost alone.
"""

from __future__ import annotations

import importlib.util
import itertools
from typing import Any

import torch
from rich.console import Console
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

BY_EXAMPLE = "sdpa_by_example"


def attend_by_example(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example; (batch, heads, tokens, head size) in, (batch, tokens, heads, head size) out.

    `cu_seq_lens_q` holds where the examples of the one packed row begin, and its end. Without it the batch is padded on
    the right, where causality alone keeps real tokens from seeing padding.
    """
    kwargs["is_causal"] = True
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, None, **kwargs)
    bounds = cu_seq_lens_q.tolist()
    parts = [
        sdpa_attention_forward(
            module, query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], None, **kwargs
        )[0]
        for begin, end in itertools.pairwise(bounds)
    ]
    return torch.cat(parts, dim=1), None


AttentionInterface.register(BY_EXAMPLE, attend_by_example)


def choose_attention(dtype: torch.dtype, packing: bool, console: Console) -> str:
    """FlashAttention 2 where it is installed for a GPU that is there and for `dtype`, else PyTorch's own; says so once."""
    ours = BY_EXAMPLE if packing else "sdpa"
    if not torch.cuda.is_available():
        return ours
    if dtype == torch.float32:
        console.print(f"float32: attention by PyTorch ({ours}), because FlashAttention needs bf16: true")
        return ours
    if importlib.util.find_spec("flash_attn") is None:
        console.print(f"flash-attn is not installed: attention by PyTorch ({ours})")
        return ours
    return "flash_attention_2"
