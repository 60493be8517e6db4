"""LoRA checkpoints: an adapter is merged into its base model once, and the merged model is what gets scored."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from eval.records import UserError, first_line
from eval.weights import check_values

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MERGED = "merged"  # <run>/merged/checkpoint-<step>: of the size of the whole model, and made again where it is removed
ORIGIN, BASE = "merged_from.json", "base model"  # the file, and its key for the base's digest
OF_THE_MODEL = ("config.json", "generation_config.json", "model.safetensors.index.json", ORIGIN)  # made by merging
PREFIX = "base_model.model."  # of every tensor that peft saves


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model; some trainers save the base model's config.json with it."""
    whole = any(folder.glob("model*.safetensors*")) or any(folder.glob("pytorch_model*.bin*"))
    return (folder / CONFIG).is_file() and not whole


def check_adapter(folder: Path) -> None:
    """Raises UserError (exit code 1) unless the adapter's weights are there and whole."""
    from safetensors import SafetensorError, safe_open

    if (folder / "adapter_model.bin").is_file() and not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} holds adapter_model.bin, a pickle, which can run code when it is read; load the adapter once with "
            f"peft where you trust it, and save it with save_pretrained: that writes {WEIGHTS}.",
            1,
        )
    try:
        with safe_open(folder / WEIGHTS, framework="np") as tensors:
            names = list(tensors.keys())
            empty = [name for name in names if 0 in tensors.get_slice(name).get_shape()]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is missing or half written ({error}); save again.", 1) from None
    if empty:
        raise UserError(
            f"{folder / WEIGHTS}: {empty[0]} is empty, ZeRO-3 saved without gathering; set zero3_save_16bit_model: true.",
            1,
        )
    if not names:
        raise UserError(f"{folder / WEIGHTS} holds no tensors; save the adapter again.", 1)


def digest(folder: Path) -> str:
    """sha256 (hex) of an adapter's config and weights: what it is, merged or not. Raises UserError where they are damaged."""
    check_adapter(folder)
    content = hashlib.sha256()
    for path in (folder / CONFIG, folder / WEIGHTS):
        content.update(path.read_bytes())
    return content.hexdigest()


def merged_folder(folder: Path) -> Path:
    """Where the merged model of an adapter is, or would be."""
    whole = folder.absolute()  # "." has no name
    return whole.parent / MERGED / whole.name if folder.name in ("", "..") else folder.parent / MERGED / folder.name


def merged_copy(folder: Path) -> Path | None:
    """The merged model of the adapter and the base model as they are now, where it has been made.

    A base that is gone, or that an earlier version did not note, is taken to be the one that was merged.
    """
    target = merged_folder(folder)
    try:
        noted = json.loads((target / ORIGIN).read_text(encoding="utf-8"))
        base = _base_digest(folder)
        same_base = not base or noted.get(BASE, base) == base
        same = same_base and all(noted.get(name) == digest for name, digest in _own_digests(folder).items())
    except (OSError, ValueError, AttributeError):
        return None
    return target if same else None


def merge(folder: Path) -> Path:
    """The folder of the merged model, made where it is not there or is of other files. Raises UserError without the base model.

    W + (alpha / r) B A in float32 (Hu et al. 2021, arXiv:2106.09685), stored in the base model's precision.
    """
    check_adapter(folder)
    if made := merged_copy(folder):
        _copy_notes(folder, made)
        return made
    check_values([folder / WEIGHTS])
    target = merged_folder(folder)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _write_merged(folder, partial)
        origin = _own_digests(folder) | {BASE: _base_digest(folder)}
        (partial / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json. Raises UserError (exit code 1) where it is no JSON object or names no base model."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        base = config.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is half written or damaged ({first_line(error)}); save the adapter again.", 1
        ) from None
    if not isinstance(base, str) or not base:
        raise UserError(
            f"{path}: base_model_name_or_path is {base!r}; write the folder or the hub id of the base model there.", 1
        )
    return dict(config)


def find_base(base: str, folder: Path) -> str:
    """The base model as transformers takes it. A relative path counts from here, else from a folder above the adapter."""
    if Path(base).is_absolute() or Path(base).is_dir():
        return base
    above = (parent / base for parent in folder.absolute().parents)
    return str(next((path for path in above if (path / "config.json").is_file()), base))


def _own_digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / CONFIG, folder / WEIGHTS)}


def _base_digest(folder: Path) -> str:
    """sha256 (hex) of the base model's config and weights; "" where it is not in a folder here."""
    base = Path(find_base(read_config(folder)["base_model_name_or_path"], folder))
    files = [base / "config.json", *sorted(base.glob("*.safetensors"))]
    if not all(path.is_file() for path in files):
        return ""
    return _digest_of_files(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@cache
def _digest_of_files(files: tuple[tuple[str, int, int], ...]) -> str:
    """By names, sizes and times: the base is the same for all checkpoints of a run."""
    digests = []
    for name, *_ in files:
        with Path(name).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _write_merged(folder: Path, partial: Path) -> None:
    # Imported late: whole models need no peft.
    import torch

    config = read_config(folder)
    model = _load_base(config["base_model_name_or_path"], folder)
    precision = model.dtype
    _resize(model, folder, config)
    merged = _merged_model(model.to(torch.float32), folder, config["base_model_name_or_path"])
    partial.parent.mkdir(parents=True, exist_ok=True)
    merged.to(precision).save_pretrained(partial)
    _copy_notes(folder, partial)


def _copy_notes(folder: Path, merged: Path) -> None:
    """The tokenizer and what training says of itself, as they are by now; the adapter's own files stay behind."""
    for path in folder.glob("*"):
        kept = path.suffix in (".json", ".jinja", ".model", ".txt") and path.name not in (CONFIG, *OF_THE_MODEL)
        there = merged / path.name
        if kept and path.is_file() and not (there.is_file() and filecmp.cmp(path, there, shallow=False)):
            shutil.copy2(path, there)


def _load_base(base: str, folder: Path) -> Any:
    """The base model. Raises UserError where it cannot be loaded, or is quantized: LoRA can only be merged into unquantized weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    place = find_base(base, folder)
    try:
        quantized = getattr(AutoConfig.from_pretrained(place), "quantization_config", None)
    except Exception as error:  # the hub's client and transformers raise a dozen unrelated types
        raise UserError(_without_base(base, place, folder, error), 1) from None
    if quantized:
        method = dict(quantized).get("quant_method") if isinstance(quantized, dict) else quantized.quant_method
        raise UserError(
            f"{folder} is a LoRA adapter for {base!r}, which is quantized ({getattr(method, 'value', method)}), and merging "
            f"needs whole weights; name the model it was quantized from as base_model_name_or_path in {folder / CONFIG}.",
            1,
        )
    try:
        return AutoModelForCausalLM.from_pretrained(place, dtype="auto")
    except Exception as error:
        raise UserError(_without_base(base, place, folder, error), 1) from None


def _without_base(base: str, place: str, folder: Path, error: Exception) -> str:
    why = first_line(error) if Path(place).is_dir() else "there is no such folder"
    if not Path(place).is_dir() and not Path(base).is_absolute() and base.count("/") == 1:
        why = f"there is no such folder here, and the hub does not give it: {first_line(error)}"
    return (
        f"{folder} is a LoRA adapter for {base!r}, which cannot be loaded ({why}); put the base model there, or correct "
        f"base_model_name_or_path in {folder / CONFIG}."
    )


def _resize(model: Any, folder: Path, config: dict[str, Any]) -> None:
    """Gives the base model as many rows of embedding as the adapter was trained with, padding included.

    Raises UserError where the adapter needs rows that it does not hold, or where its own tensors disagree.
    """
    here = int(model.get_input_embeddings().weight.shape[0])
    layers = _vocabulary_layers(model)
    saved = {names: _saved_parts(folder, names) for names in layers}
    trained = {
        names: _trained_tokens(config, names, first) for first, names in zip((True, False), layers, strict=False)
    }
    rows = {size for parts in saved.values() for part, shape in parts for size in _rows_of(part, shape)}
    if len(rows) > 1:
        raise UserError(
            f"{folder / WEIGHTS}: its embedding and output tensors are of vocabularies of {' and '.join(map(str, sorted(rows)))} "
            "tokens; they belong to different models, save the adapter again.",
            1,
        )
    wanted = rows.pop() if rows else max([here - 1, *(index for one in trained.values() for index in one)]) + 1
    for names in layers:
        if not any(part.endswith("weight") and not part.startswith("lora_") for part, _ in saved[names]):
            _refuse_lost(
                sorted(set(range(here, wanted)) - trained[names]),
                names,
                f"{wanted} tokens, the base model {here}",
                folder,
            )
    if wanted != here:
        model.resize_token_embeddings(wanted, mean_resizing=False)


def _vocabulary_layers(model: Any) -> list[tuple[str, ...]]:
    """Names of the embedding and of the output layer; both as one where they are tied."""
    layers = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    names = [next(name for name, module in model.named_modules() if module is layer) for layer in layers]
    if len(layers) == 2 and layers[0].weight is layers[1].weight:
        return [tuple(names)]
    return [(name,) for name in names]


def _saved_parts(folder: Path, names: tuple[str, ...]) -> list[tuple[str, list[int]]]:
    """What the adapter holds of these layers: (the tensor's name within its layer, its shape)."""
    from safetensors import safe_open

    parts = []
    with safe_open(folder / WEIGHTS, framework="np") as tensors:
        for key in tensors.keys():
            for name in names:
                if key.startswith(f"{PREFIX}{name}."):
                    parts.append((key.removeprefix(f"{PREFIX}{name}."), tensors.get_slice(key).get_shape()))
    return parts


def _rows_of(part: str, shape: list[int]) -> set[int]:
    """The vocabulary by one tensor of an embedding or output layer; LoRA's other factors, and single rows, do not tell."""
    if part.startswith("lora_embedding_A"):
        return {shape[1]}
    tells = part.startswith("lora_B") or (part.endswith("weight") and not part.startswith("lora_"))
    return {shape[0]} if tells else set()


def _trained_tokens(config: dict[str, Any], names: tuple[str, ...], embedding: bool) -> set[int]:
    """The rows of these layers that trainable_token_indices name: a list is of the embedding, a mapping has names."""
    trained = config.get("trainable_token_indices") or []
    if not isinstance(trained, dict):
        return set(trained) if embedding else set()
    return {index for key, some in trained.items() for index in some if any(name.endswith(key) for name in names)}


def _refuse_lost(lost: list[int], names: tuple[str, ...], sizes: str, folder: Path) -> None:
    if lost:
        raise UserError(
            f"{folder}: the trained model had {sizes}, and {names[-1]} of the added ones (such as {lost[0]}) is not in "
            f"{WEIGHTS}; train again and save with save_embedding_layers=True.",
            1,
        )


def _merged_model(model: Any, folder: Path, base: str) -> Any:
    """The model with the adapter merged in. Raises UserError where the adapter is of another model."""
    from peft import PeftModel

    try:
        loaded = PeftModel.from_pretrained(model, folder)
        _part_tied_layers(model)
        merged = loaded.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft raises a dozen unrelated types
        raise UserError(
            f"{folder} is a LoRA adapter for {base!r}, but it does not fit that model ({_reason(error)}); correct "
            f"base_model_name_or_path in {folder / CONFIG}.",
            1,
        ) from None
    _tie_if_equal(merged)
    return merged


def _part_tied_layers(model: Any) -> None:
    """Gives a tied output layer weights of its own where LoRA changes either layer: merging one would change both."""
    import torch

    layers = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    own = [getattr(layer, "base_layer", layer) for layer in layers]
    changed = any(hasattr(layer, "lora_A") for layer in layers)
    if changed and len(own) == 2 and own[0].weight is own[1].weight:
        own[1].weight = torch.nn.Parameter(own[0].weight.detach().clone())


def _tie_if_equal(model: Any) -> None:
    """Ties again what is equal, and says in the config what is not: a tied output layer would not be saved."""
    import torch

    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    if output is None or not model.config.tie_word_embeddings:
        return
    if torch.equal(output.weight, embedding.weight):
        output.weight = embedding.weight
    else:
        model.config.tie_word_embeddings = False


def _reason(error: Exception) -> str:
    """What peft says, in one line: its first line ends in a colon where a list of tensors follows."""
    lines: Iterable[str] = (line.strip() for line in str(error).splitlines())
    return " ".join([line for line in lines if line][:2])[:300] or type(error).__name__
