"""LoRA checkpoints: an adapter is merged into its base model once, and the merged model is what gets scored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from eval.records import UserError, first_line

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MERGED = "merged"  # <run>/merged/checkpoint-<step>: of the size of the whole model, and made again where it is removed
ORIGIN = "merged_from.json"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def check_adapter(folder: Path) -> None:
    """Raises UserError (exit code 1) unless the adapter's weights are there and whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="np") as tensors:
            empty = [name for name in tensors.keys() if 0 in tensors.get_slice(name).get_shape()]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is missing or half written ({error}); save again.", 1) from None
    if empty:
        raise UserError(
            f"{folder / WEIGHTS}: {empty[0]} is empty, ZeRO-3 saved without gathering; set zero3_save_16bit_model: true.",
            1,
        )


def merge(folder: Path) -> Path:
    """The folder of the merged model, made where it is not there or is of other files. Raises UserError without the base model.

    W + (alpha / r) B A in float32 (Hu et al. 2021, arXiv:2106.09685), stored in the base model's precision.
    """
    check_adapter(folder)
    target, origin = merged_folder(folder), _origin(folder)
    if not is_merged(folder):
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            _write_merged(folder, partial)
            (partial / ORIGIN).write_text(origin, encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            partial.replace(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def merged_folder(folder: Path) -> Path:
    """Where the merged model of an adapter is, or would be."""
    whole = folder.absolute()  # "." has no name
    return whole.parent / MERGED / whole.name if folder.name in ("", "..") else folder.parent / MERGED / folder.name


def is_merged(folder: Path) -> bool:
    """Whether the merged model is there and of the adapter's present files."""
    stored = merged_folder(folder) / ORIGIN
    return stored.is_file() and stored.read_text(encoding="utf-8") == _origin(folder)


def digest(folder: Path) -> str:
    """sha256 (hex) of the adapter's files: what it is, whether or not it is merged. Raises UserError where they are damaged."""
    check_adapter(folder)
    return hashlib.sha256(_origin(folder).encode()).hexdigest()


def _origin(folder: Path) -> str:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / CONFIG, folder / WEIGHTS)}
    return json.dumps(digests, indent=1) + "\n"


def _write_merged(folder: Path, partial: Path) -> None:
    # Imported late: whole models need no peft.
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
        precision = model.dtype
        model = PeftModel.from_pretrained(model.to(torch.float32), folder).merge_and_unload()
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"{folder} is a LoRA adapter for {base!r}, which cannot be loaded and merged ({first_line(error)}); put the base "
            f"model there, or correct base_model_name_or_path in {CONFIG}.",
            1,
        ) from None
    partial.parent.mkdir(parents=True, exist_ok=True)
    model.to(precision).save_pretrained(partial)
    # The tokenizer and what training says of itself; the adapter's own files stay behind.
    for path in folder.glob("*"):
        kept = path.suffix in (".json", ".jinja", ".model", ".txt") and path.name != CONFIG
        if kept and not (partial / path.name).exists():
            shutil.copy2(path, partial / path.name)
