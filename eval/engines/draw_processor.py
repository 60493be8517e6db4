"""`draws` inside vLLM, which loads this module in the process that holds the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from eval.engines.draws import Draw, draw_tokens

if TYPE_CHECKING:
    import torch


class DrawProcessor(LogitsProcessor):  # type: ignore[misc]
    """Leaves of each sampled request's logits the token that is drawn, for greedy decoding to take."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._samples: dict[int, tuple[Draw, list[int]]] = {}  # row of the batch -> draw, tokens so far

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: Any) -> None:
        process_dict_updates(self._samples, batch_update, _new_sample)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        rows = sorted(self._samples)
        if not rows:
            return logits
        draws, outputs = zip(*(self._samples[row] for row in rows), strict=True)
        logits[rows] = draw_tokens(logits[rows], draws, [len(output) for output in outputs])
        return logits


def _new_sample(parameters: Any, prompt: list[int] | None, output: list[int]) -> tuple[Draw, list[int]] | None:
    draw = (parameters.extra_args or {}).get("draw")
    return (Draw(*draw), output) if draw else None
