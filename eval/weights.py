"""Weights that can be read but not trusted: in another format than safetensors, or with values that are no numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from eval.records import UserError

if TYPE_CHECKING:
    import torch

BLOCK_ELEMENTS = 1 << 24  # what is converted at a time where torch cannot look at a type directly
RESAVE = (
    'python -c "from transformers import AutoModelForCausalLM as M; '
    "M.from_pretrained({folder!r}, {more}dtype='auto').save_pretrained({folder!r})\""
)
# Pattern of a file or folder -> what it is, and the command that makes safetensors of it; the first that is found counts.
FORMATS = {
    "pytorch_model*.bin*": ("weights as pickles, which can run code when they are read", RESAVE),
    "consolidated*.pth": (
        "weights in the format of Meta's own download",
        "python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir {shell} --output_dir {shell}-hf with "
        "transformers 4, which still has that script",
    ),
    "*.gguf": ("weights as GGUF", RESAVE),
    "*.pt": ("pickled weights without a standard layout", "the tool that wrote it, and save_pretrained"),
    "*.pth": ("pickled weights without a standard layout", "the tool that wrote it, and save_pretrained"),
    "*.msgpack": ("weights of Flax", "from_pretrained({folder!r}, from_flax=True).save_pretrained({folder!r}) with transformers 4"),
    "*.h5": ("weights of TensorFlow", "from_pretrained({folder!r}, from_tf=True).save_pretrained({folder!r}) with transformers 4"),
    "global_step*": (
        "ZeRO shards of DeepSpeed, not gathered",
        "python -m deepspeed.utils.zero_to_fp32 {shell} {shell} --safe_serialization",
    ),
}  # fmt: skip


def foreign_weights(folder: Path) -> str:
    """What the folder holds in place of safetensors, with the way to convert it, in one sentence; "" for nothing known."""
    for pattern, (what, command) in FORMATS.items():
        if found := sorted(path for path in folder.glob(pattern) if path.is_dir() == (pattern == "global_step*")):
            more = f"gguf_file={found[0].name!r}, " if pattern == "*.gguf" else ""
            made = command.format(folder=str(folder), shell=quote(str(folder)), more=more)
            return f"{found[0].name} is {what}; only safetensors are evaluated, convert it once: {made}"
    return ""


def check_values(paths: Iterable[Path], quantized: bool = False) -> None:
    """Raises UserError (exit code 1) for the first tensor of these safetensors files that cannot be weights.

    That is one that holds NaN or infinity, or a matrix of whole numbers where the config names no quantization.
    """
    from safetensors import safe_open

    for path in paths:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():
                tensor = tensors.get_tensor(name)
                if bad := not_finite(tensor):
                    raise UserError(
                        f"{path}: {name} holds {bad}, so every output would be noise and score as wrong; training "
                        "diverged or the file is damaged, evaluate an earlier checkpoint or save again.",
                        1,
                    )
                if not quantized and name.endswith("weight") and not tensor.is_floating_point():
                    raise UserError(
                        f"{path}: {name} is {str(tensor.dtype).removeprefix('torch.')}, quantized without a "
                        "quantization_config in config.json; evaluate the model that it was made from.",
                        1,
                    )


def not_finite(tensor: torch.Tensor) -> str:
    """ "NaN" or "infinity" where the tensor holds one, else "". Both extremes are NaN where one value is."""
    import torch

    if not tensor.is_floating_point() or not tensor.numel():
        return ""
    direct = tensor.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    flat, size = tensor.flatten(), tensor.numel()
    size = size if direct else BLOCK_ELEMENTS
    blocks = (flat[start : start + size] for start in range(0, tensor.numel(), size))
    looked_at = blocks if direct else (block.to(torch.float32) for block in blocks)
    extremes = torch.stack([extreme for block in looked_at for extreme in torch.aminmax(block)])
    if extremes.isnan().any():
        return "NaN"
    return "infinity" if extremes.isinf().any() else ""
