"""transformers `generate`: the fallback where vLLM does not run, and the second opinion on its token ids."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eval.engines.base import Loaded
from eval.records import Completion, Decoding

# Prompts decoded together; sorted by length, so that little of a batch is padding.
BATCH_PROMPTS = 32


class HuggingFace:
    """One model at a time in this process."""

    name = "hf"

    def __init__(self, device: str) -> None:
        import transformers

        self.device = device
        self.version = f"{transformers.__version__}+{device}"
        self.max_model_tokens = 0  # needs no reservation here
        self._model: Any = None

    def load(self, folder: Path) -> Loaded:
        """Reads the weights of `folder`; from_pretrained itself refuses tensors that are missing or misshapen."""
        import torch
        from transformers import AutoModelForCausalLM

        began = time.monotonic()
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.close()
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(self.device).eval()
        return Loaded(0.0, round(time.monotonic() - began, 3))

    def generate(
        self, prompts: list[list[int]], decoding: Decoding, stop_token_ids: list[int]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yields completions batch by batch, shortest prompts first."""
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), BATCH_PROMPTS):
            batch = order[start : start + BATCH_PROMPTS]
            outputs = self._decode([prompts[index] for index in batch], decoding, stop_token_ids)
            for row, index in enumerate(batch):
                samples = outputs[row * decoding.n_samples : (row + 1) * decoding.n_samples]
                yield index, [_completion(ids, stop_token_ids) for ids in samples]

    def close(self) -> None:
        """Frees the model."""
        self._model = None
        gc.collect()

    def _decode(self, prompts: list[list[int]], decoding: Decoding, stop_token_ids: list[int]) -> list[list[int]]:
        import torch

        width = max(map(len, prompts))
        padding = stop_token_ids[0]  # any id: the mask hides it
        input_ids = torch.tensor([[padding] * (width - len(ids)) + ids for ids in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=self.device)
        sampling = (
            {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
            if decoding.temperature
            else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        )
        torch.manual_seed(decoding.seed)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=input_ids,  # (prompts, width)
                attention_mask=mask,
                max_new_tokens=decoding.max_tokens,
                num_return_sequences=decoding.n_samples,
                eos_token_id=stop_token_ids,
                pad_token_id=padding,
                **sampling,
            )
        return [row[width:].tolist() for row in output]  # (prompts * n_samples, new tokens)


def _completion(ids: list[int], stop_token_ids: list[int]) -> Completion:
    """Cuts the padding behind the first stop token, which is kept: vLLM reports it too."""
    for position, token in enumerate(ids):
        if token in stop_token_ids:
            return Completion(tuple(ids[: position + 1]), "stop")
    return Completion(tuple(ids), "length")
