"""transformers `generate`: the fallback where vLLM does not run, and the second opinion on its token ids."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eval.engines.base import NAN_LOGITS, Finished, Loaded, Stops
from eval.records import Completion, Decoding, UserError

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
        self._tokenizer: Any = None

    def load(self, folder: Path) -> Loaded:
        """Reads the weights of `folder`; from_pretrained itself refuses tensors that are missing or misshapen."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        began = time.monotonic()
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        self.close()
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(self.device).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)  # only to find the text that stops
        return Loaded(0.0, round(time.monotonic() - began, 3))

    def generate(self, prompts: list[list[int]], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Yields completions batch by batch, shortest prompts first."""
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        size = decoding.max_batch or BATCH_PROMPTS
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

    def _decode(self, prompts: list[list[int]], decoding: Decoding, stops: Stops) -> list[list[int]]:
        import torch
        from transformers import LogitsProcessorList

        width = max(map(len, prompts))
        padding = stops.token_ids[0]  # any id: the mask hides it
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
                eos_token_id=list(stops.token_ids),
                pad_token_id=padding,
                logits_processor=LogitsProcessorList([_refuse_nan]),
                **({"stop_strings": [stops.next_problem], "tokenizer": self._tokenizer} if stops.next_problem else {}),
                **sampling,
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


def _refuse_nan(_: Any, scores: Any) -> Any:
    """A processor of logits that changes nothing: the largest of NaN would be the first token of the vocabulary."""
    if scores.isnan().any():
        raise UserError(f"{NAN_LOGITS}.", 1)
    return scores
