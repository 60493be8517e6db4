"""Are the weights inside a running vLLM really those of the file? Asked of what the model does, not of what it stores.

A linear layer applied to a one-hot vector returns one column of its matrix, exactly, in any precision, whether the
kernel reads the parameter, a fused one (qkv_proj) or a private repacked copy. Comparing parameters would not do: on
CPU vLLM 0.32 decodes with repacked copies, and after `reload_weights` the output layer of a model with tied
embeddings kept the copy of the old weights while its parameter already showed the new ones.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import checkpoints

if TYPE_CHECKING:
    import torch

# Columns asked of each matrix, and rows of each embedding, evenly spread.
PROBES = 8
HEAD = "lm_head.weight"


class SwapWorker:
    """Mixed into vLLM's worker, which calls these in the process that holds the model."""

    def swap_weights(self, folder: str) -> None:
        """Replaces the weights by those of `folder`, the repacked copy of a tied output layer included."""
        self.reload_weights(weights_path=folder)  # type: ignore[attr-defined]
        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        head = getattr(model, "lm_head", None)
        if head is not None and getattr(model.config, "tie_word_embeddings", False):
            head.quant_method.process_weights_after_loading(head)

    def probe_weights(self) -> dict[str, str]:
        """File names of a layer's tensors, joined by "+" -> digest of what the layer answers to the probes."""
        import torch

        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        packed = getattr(model, "packed_modules_mapping", {})
        answers = {}
        with torch.inference_mode():
            for name, module in model.named_modules():
                values = _answer(module)
                if values is not None:
                    prefix, _, last = name.rpartition(".")
                    parts = packed.get(last, [last])
                    answers["+".join(f"{prefix}.{part}.weight".lstrip(".") for part in parts)] = digest(values)
        return answers


def file_digests(folder: Path, names: set[str], dtype: str) -> dict[str, str]:
    """The same digests computed from the weight files, for those of `names` whose tensors are there; `dtype` as in torch."""
    import torch
    from safetensors import safe_open

    homes: dict[str, Any] = {}
    for path in checkpoints.weight_files(folder):
        opened: Any = safe_open(path, framework="pt")
        homes |= dict.fromkeys(opened.keys(), opened)
    digests = {}
    for name in names:
        # Tied output weights are stored once, under the name of the embedding.
        parts = [
            "model.embed_tokens.weight" if part == HEAD and HEAD not in homes else part for part in name.split("+")
        ]
        if all(part in homes for part in parts):
            matrix = torch.cat([homes[part].get_tensor(part) for part in parts]).to(getattr(torch, dtype))
            digests[name] = digest(matrix if matrix.ndim == 1 else _chosen(matrix, name))
    return digests


def digest(values: torch.Tensor) -> str:
    """sha256 (hex) of a tensor's shape and bytes; negative zeros count as zeros, which kernels may return for them."""
    import torch

    plain = (values + 0.0).contiguous().cpu()
    return hashlib.sha256(str(tuple(plain.shape)).encode() + plain.view(torch.uint8).numpy().tobytes()).hexdigest()


def _chosen(matrix: torch.Tensor, name: str) -> torch.Tensor:
    """What `_answer` gives for this matrix: (probes, width) rows of an embedding, (probes, out) columns otherwise."""
    if "embed_tokens" in name:
        return matrix[positions(matrix.shape[0])]
    return matrix[:, positions(matrix.shape[1])].T


def positions(size: int) -> list[int]:
    """PROBES indices spread evenly over range(size)."""
    return [index * size // PROBES for index in range(PROBES)]


def _answer(module: Any) -> torch.Tensor | None:
    import torch

    weight, method = getattr(module, "weight", None), getattr(module, "quant_method", None)
    if not isinstance(weight, torch.Tensor):
        return None
    if method is None:
        return weight if weight.ndim == 1 else None  # a norm
    if hasattr(module, "org_vocab_size"):
        return _answer_of_vocabulary(module, method, weight)
    width = getattr(module, "input_size_per_partition", getattr(module, "input_size", None))
    answer: torch.Tensor | None = None if width is None else method.apply(module, _one_hot(width, weight))
    return answer


def _answer_of_vocabulary(module: Any, method: Any, weight: torch.Tensor) -> torch.Tensor:
    import torch

    if type(module).__name__ == "ParallelLMHead":
        logits: torch.Tensor = method.apply(module, _one_hot(module.embedding_dim, weight))
        return logits[:, : module.org_vocab_size]
    rows: torch.Tensor = method.embedding(module, torch.tensor(positions(module.org_vocab_size), device=weight.device))
    return rows


def _one_hot(width: int, like: torch.Tensor) -> torch.Tensor:
    import torch

    vectors = torch.zeros(PROBES, width, dtype=like.dtype, device=like.device)
    vectors[range(PROBES), positions(width)] = 1
    return vectors
