"""Model folders that are sure to load: found, complete, and identified by their content."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from eval.records import Checkpoint, UserError, first_line

STEP = re.compile(r"checkpoint-(\d+)$")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HASH_BLOCK_BYTES = 1 << 22


def resolve(names: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints behind folders, run folders (all of theirs, by step) and hub ids; each complete, none twice."""
    hub_ids: dict[Path, str | None] = {}
    for name in names:
        for folder in find(name):
            hub_ids.setdefault(folder, name if is_hub_id(name) else None)
    return [identify(folder, hub_id) for folder, hub_id in hub_ids.items()]


def find(name: str) -> list[Path]:
    """The model folders that `name` stands for. Raises UserError where there are none."""
    path = Path(name)
    if not path.exists():
        if is_hub_id(name):
            return [_download(name)]
        raise UserError(f"{name} does not exist{_similar(path)}; pass a checkpoint, a run folder or a hub id.")
    if not path.is_dir():
        raise UserError(f"{name} is a file; pass the folder that holds config.json and the weights.")
    if (path / "config.json").is_file():
        return [path]
    steps = sorted((folder for folder in path.glob("checkpoint-*") if STEP.search(folder.name)), key=_step)
    if not steps:
        raise UserError(
            f"{name} has neither config.json nor checkpoint-<step> folders; pass a checkpoint or a run folder."
        )
    return steps


def is_hub_id(name: str) -> bool:
    """Whether `name` can only be meant as owner/model on the hub."""
    path = Path(name)
    return bool(HUB_ID.fullmatch(name)) and not path.exists() and not path.parent.is_dir()


def identify(folder: Path, hub_id: str | None = None) -> Checkpoint:
    """The folder (the copy of `hub_id`, if given) as a Checkpoint. Raises UserError (exit code 1) where something is missing."""
    check_complete(folder)
    if hub_id:
        return Checkpoint(folder, hub_id, None, hub_id, weights_sha(folder))
    whole = folder.absolute()  # "." has no name
    step = STEP.search(whole.name)
    run = whole.parent.name if step else whole.name
    return Checkpoint(folder, str(folder), int(step[1]) if step else None, run, weights_sha(folder))


def weights_sha(folder: Path) -> str:
    """sha256 (hex) of config.json and all weight files: retraining into the same folder is another model."""
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weight_files(folder)):
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, those its index names where it has one. Raises UserError for a bad index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is half written or damaged ({error!r}); save again.", 1) from None
    if "model.safetensors" not in names and (folder / "model.safetensors").is_file():
        # Left by an earlier save: transformers would read the one, vLLM the other.
        raise UserError(f"{folder} holds model.safetensors and {index.name} of another save; delete the older one.", 1)
    return [folder / name for name in sorted(names)]


def check_complete(folder: Path) -> None:
    """Raises UserError (exit code 1) unless every tensor that config.json implies is there with its shape, and a tokenizer."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} has no config.json, so it is no model; pass a folder that training finished writing.", 1
        )
    found = stored_shapes(folder)
    if not found:
        raise UserError(
            f"{folder} holds no *.safetensors weights; under ZeRO-3 train with zero3_save_16bit_model: true "
            "(deepspeed_zero3.yaml), which gathers them on save.",
            exit_code=1,
        )
    for name, shape in implied_shapes(folder).items():
        if name not in found:
            raise UserError(
                f"{folder}: the weights lack {name}, which config.json implies; the save was cut off, or ZeRO-3 saved "
                "without zero3_save_16bit_model: true. Save again, or evaluate another checkpoint.",
                exit_code=1,
            )
        if found[name] != shape:
            raise UserError(
                f"{folder}: {name} has shape {list(found[name])}, config.json implies {list(shape)}; the files belong to "
                "different models or were not gathered from their shards. Save again.",
                exit_code=1,
            )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UserError(f"{folder} has no tokenizer (tokenizer.json); copy the base model's tokenizer files there.", 1)


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape over all weight files; reads headers only. Raises UserError for a truncated file."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="np") as tensors:
                shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is half written or damaged ({error}); wait for the save to finish or save again.", 1
            ) from None
    return shapes


def implied_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape of the architecture in config.json, built without memory; tied output weights left out."""
    # Imported late: half of the commands need no torch.
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises a dozen unrelated types, ZeroDivisionError among them
        raise UserError(
            f"{folder}/config.json describes no causal language model ({' '.join(str(error).split())}).", 1
        ) from None
    tied = set(model.all_tied_weights_keys) if config.tie_word_embeddings else set()
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def _step(folder: Path) -> int:
    match = STEP.search(folder.name)
    return int(match[1]) if match else -1


def _similar(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    return f" (did you mean {path.parent / near[0]}?)" if near else ""


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(hub_id, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"])
        )
    except Exception as error:  # the hub's client raises a dozen unrelated types for "not to be had"
        raise UserError(
            f"{hub_id} is no local folder and could not be had from the hub ({first_line(error)}); pass a local path."
        ) from None
