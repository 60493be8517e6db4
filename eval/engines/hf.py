"""transformers `generate`: the fallback where vLLM does not run, and the second opinion on its token ids."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.engines.base import NAN_LOGITS, Finished, Loaded, Prompt, Stops
from eval.engines.draws import draw_tokens, list_draws
from eval.records import Completion, Decoding, UserError

if TYPE_CHECKING:
    import torch

# Prompts decoded together; sorted by length, so that little of a batch is padding.
BATCH_PROMPTS = 32
SCALED_BY_LENGTH = ("dynamic", "longrope")  # kinds of rotary embedding


class HuggingFace:
    """One model at a time in this process."""

    name = "hf"

    def __init__(self, device: str) -> None:
        import transformers

        self.device = device
        # Versions without a mark obeyed generation_config.json, which is no part of the key.
        self.version = f"{transformers.__version__}+{device}+explicit"
        self.max_model_tokens = 0  # needs no reservation here
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self, folder: Path) -> Loaded:
        """Reads the weights of `folder`; from_pretrained itself refuses tensors that are missing or misshapen."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        began = time.monotonic()
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.close()
        # `generate` fills what its caller leaves open from there: penalties, beams, forbidden tokens, a minimum length.
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, generation_config=GenerationConfig())
        self._model = self._model.to(self.device).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)  # only to find the text that stops
        return Loaded(0.0, round(time.monotonic() - began, 3))

    def generate(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Yields completions batch by batch, shortest prompts first."""
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids))
        size = 1 if self._is_rope_shared() else decoding.max_batch or BATCH_PROMPTS
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            outputs = self._decode([prompts[index] for index in batch], decoding, stops)
            for row, index in enumerate(batch):
                samples = outputs[row * decoding.n_samples : (row + 1) * decoding.n_samples]
                yield index, [self._completion(ids, stops) for ids in samples]

    def close(self) -> None:
        """Frees the model."""
        self._model = None
        gc.collect()

    def _is_rope_shared(self) -> bool:
        """Whether positions are scaled by the longest sequence of the batch, so that one prompt would change another's output."""
        config = self._model.config.get_text_config(decoder=True)
        return any(kind in json.dumps(getattr(config, "rope_parameters", None)) for kind in SCALED_BY_LENGTH)

    def _decode(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> list[list[int]]:
        import torch
        from transformers import LogitsProcessorList

        rows = [prompt.token_ids for prompt in prompts for _ in range(decoding.n_samples)]
        width = max(map(len, rows))
        padding = stops.token_ids[0]  # any id: the mask hides it
        input_ids = torch.tensor([[padding] * (width - len(ids)) + ids for ids in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in rows], device=self.device)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=input_ids,  # (prompts * n_samples, width)
                attention_mask=mask,
                max_new_tokens=decoding.max_tokens,
                do_sample=False,
                eos_token_id=list(stops.token_ids),
                pad_token_id=padding,
                logits_processor=LogitsProcessorList(
                    [_refuse_nan, *([_drawing(prompts, decoding, width)] if decoding.temperature else [])]
                ),
                **({"stop_strings": [stops.next_problem], "tokenizer": self._tokenizer} if stops.next_problem else {}),
            )
        return [row[width:].tolist() for row in output]  # (prompts * n_samples, new tokens)

    def _completion(self, ids: list[int], stops: Stops) -> Completion:
        """Cuts the padding behind what stopped the output, which is kept: vLLM reports it too."""
        whole = next((place for place, token in enumerate(ids) if token in stops.token_ids), len(ids))
        if stops.next_problem and stops.next_problem in self._text(ids[:whole]):
            whole = next(n for n in range(whole + 1) if stops.next_problem in self._text(ids[:n]))
            return Completion(tuple(ids[:whole]), "problem")
        if whole < len(ids):
            return Completion(tuple(ids[: whole + 1]), "stop")
        return Completion(tuple(ids), "length")

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


def _drawing(
    prompts: Sequence[Prompt], decoding: Decoding, width: int
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A logits processor after which the most likely token is the one that was drawn."""
    draws = [draw for prompt in prompts for draw in list_draws(decoding, prompt.problem)]

    def draw(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return draw_tokens(scores, draws, [ids.shape[1] - width] * len(draws))

    return draw


def _refuse_nan(_: Any, scores: Any) -> Any:
    """A processor of logits that changes nothing: the largest of NaN would be the first token of the vocabulary."""
    if scores.isnan().any():
        raise UserError(f"{NAN_LOGITS}.", 1)
    return scores
