"""Model folders that are sure to load: found, complete, identified by their content, and watched for while training goes on."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from eval import adapters
from eval.records import Checkpoint, UserError, first_line
from eval.weights import check_values, foreign_weights

Shapes = dict[str, tuple[int, ...]]  # tensor name -> shape

STEP = re.compile(r"checkpoint-(\d+)$")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HASH_BLOCK_BYTES = 1 << 22
# What sft.py leaves in a run's folder: its log from the beginning, and a last file when it has ended.
TRAIN_LOG, FINISHED = "train.log", "finished.json"
POLL_S = 2.0
# Of config.json, what no forward pass reads: origin, precision (the engine's choice), cache, special tokens (the prompt's).
CONFIG_LABELS = {
    *("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"),
    *("bos_token_id", "eos_token_id", "pad_token_id"),
}
OLD_TOKENIZER_FILES = (
    *("tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"),
    *("added_tokens.json", "special_tokens_map.json"),
)
SETTLED_S = 8.0  # a checkpoint of another trainer that has not changed for so long is taken to be whole


def resolve(names: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints behind folders, run folders (all of theirs, by step) and hub ids; each complete, none twice."""
    return [identify(folder, hub_id) for folder, hub_id in found(names).items()]


def found(names: Iterable[str]) -> dict[Path, str | None]:
    """The model folders behind names, none twice however it is spelled -> the hub id that one is the copy of, or None."""
    hub_ids: dict[Path, tuple[Path, str | None]] = {}
    for name in (part for argument in names for part in split_list(argument)):
        for folder in find(name):
            hub_ids.setdefault(absolute_folder(folder), (folder, name if is_hub_id(name) else None))
    return dict(hub_ids.values())


def split_list(name: str) -> list[str]:
    """The names in one argument, as `make eval CKPT="a b/*"` passes its list on; a name that is there is one, whatever it holds."""
    if Path(name).exists():
        return [name]
    with suppress(ValueError):  # a quotation mark that is not closed
        parts = [path for part in shlex.split(name) for path in sorted(glob(part)) or [part]]  # noqa: PTH207 - absolute patterns too
        if parts and all(Path(part).exists() or is_hub_id(part) for part in parts):
            return parts
    return [name]


def absolute_folder(folder: Path) -> Path:
    """The same path for every spelling of a folder. A checkpoint that is a link to a folder of another name stays in its run."""
    whole = folder.absolute()
    real = whole.resolve()
    if STEP.search(whole.name) and real.name != whole.name:
        return whole.parent.resolve() / whole.name
    return real


def find(name: str) -> list[Path]:
    """The model folders that `name` stands for. Raises UserError where there are none."""
    path = Path(name)
    if not path.exists():
        if is_hub_id(name):
            return [_download(name)]
        raise UserError(f"{name} does not exist{_similar(path)}; pass a checkpoint, a run folder or a hub id.")
    if not path.is_dir():
        raise UserError(f"{name} is a file; pass the folder that holds config.json and the weights.")
    # Some trainers leave the last model beside its checkpoints; where it is the last one's twin, it shares its score.
    found = [*steps(path), *([path] if (path / "config.json").is_file() or adapters.is_adapter(path) else [])]
    if not found:
        if foreign := foreign_weights(path):
            raise UserError(f"{name} has no config.json, and {foreign}.")
        raise UserError(
            f"{name} has neither config.json nor checkpoint-<step> folders; pass a checkpoint or a run folder."
        )
    return found


def is_hub_id(name: str) -> bool:
    """Whether `name` can only be meant as owner/model on the hub."""
    path = Path(name)
    return bool(HUB_ID.fullmatch(name)) and not path.exists() and not path.parent.is_dir()


def identify(folder: Path, hub_id: str | None = None) -> Checkpoint:
    """The folder (the copy of `hub_id`, if given) as a Checkpoint. Raises UserError (exit code 1) where something is missing.

    An adapter is merged into its base model first, and keeps its name.
    """
    model, adapter = folder, ""
    refuse_half_written(folder)
    if adapters.is_adapter(folder):
        check_tokenizer(folder)
        model, adapter = adapters.merge(folder), adapters.digest(folder)
    check_complete(model)
    sha = weights_sha(model)
    check_values(weight_files(model), bool(quantization(model)))  # the files are in memory by now
    if hub_id:
        return Checkpoint(model, hub_id, None, hub_id, sha, None, adapter)
    whole = absolute_folder(folder)
    step = STEP.search(whole.name)
    run = whole.parent.name if step else whole.name
    return Checkpoint(model, str(folder), int(step[1]) if step else None, run, sha, whole, adapter)


def weights_sha(folder: Path) -> str:
    """sha256 (hex) of config.json and all weight files: retraining into the same folder is another model."""
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weight_files(folder)):
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def tokenizer_sha(folder: Path) -> str:
    """sha256 (hex) of tokenizer.json, or where there is none of the files that older tokenizers consist of."""
    whole = folder / "tokenizer.json"
    digest = hashlib.sha256()
    for path in [whole] if whole.is_file() else [folder / name for name in OLD_TOKENIZER_FILES]:
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def computation_of(folder: Path) -> dict[str, Any]:
    """All of config.json that may decide what the model computes, in transformers' own spelling of it.

    What is not known to be irrelevant counts: two models of which it differs need an engine each.
    """
    return without_labels(read_config(folder).to_dict())


def without_labels(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, and those inside them, without CONFIG_LABELS."""
    return {
        name: without_labels(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in CONFIG_LABELS
    }


def stop_token_ids(folder: Path) -> list[int]:
    """The ids that end an output by the model's own generation_config.json; none where it does not say."""
    path = folder / "generation_config.json"
    try:
        stops = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is half written or damaged ({error!r}); save again, or delete it.", 1) from None
    found = [stops] if type(stops) is int else stops or []
    if not isinstance(found, list) or not all(type(stop) is int for stop in found):
        raise UserError(f"{path}: eos_token_id is {stops!r}; write the id of a token, or a list of ids.", 1)
    return found


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, those its index names where it has one. Raises UserError for a bad index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return sorted(path for path in folder.glob("*.safetensors") if path.name != adapters.WEIGHTS)
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        outside = sorted(name for name in names if Path(name).name != name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{index} is half written or damaged ({error!r}); save again.", 1) from None
    if outside:
        raise UserError(f"{index} names {outside[0]!r}, which is no file of its own folder; save again.", 1)
    if "model.safetensors" not in names and (folder / "model.safetensors").is_file():
        # Left by an earlier save: transformers would read the one, vLLM the other.
        raise UserError(f"{folder} holds model.safetensors and {index.name} of another save; delete the older one.", 1)
    return [folder / name for name in sorted(names)]


def check_complete(folder: Path, implied: Shapes | None = None) -> None:
    """Raises UserError (exit code 1) unless every tensor that config.json implies is there with its shape, and a tokenizer.

    `implied` spares building the architecture again where it is at hand (see `implied_shapes`).
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} has no config.json, so it is no model; pass a folder that training finished writing.", 1
        )
    parts = [path.name for path in weight_files(folder)]
    if len(parts) > 1 and "model.safetensors" not in parts and not (folder / "model.safetensors.index.json").is_file():
        raise UserError(
            f"{folder} holds {len(parts)} parts of the weights ({parts[0]}, …) but no model.safetensors.index.json, which says "
            "what is in which; copy it, too, or save again.",
            1,
        )
    found = stored_shapes(folder)
    if not found:
        raise UserError(_why_no_weights(folder), exit_code=1)
    if (folder / adapters.CONFIG).is_file():
        # transformers would load the adapter on top, vLLM would not.
        raise UserError(f"{folder} holds a whole model and {adapters.CONFIG}; move one of them to another folder.", 1)
    wanted = implied or implied_shapes(folder)
    if found | wanted != found and (method := quantization(folder)):
        raise UserError(
            f"{folder} holds quantized weights ({method}), of other tensors than its architecture has; evaluate the model "
            "that they were made from.",
            exit_code=1,
        )
    for name, shape in wanted.items():
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
    check_tokenizer(folder)


def check_tokenizer(folder: Path) -> None:
    """Raises UserError (exit code 1) unless there are files of a tokenizer."""
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UserError(f"{folder} has no tokenizer (tokenizer.json); copy the base model's tokenizer files there.", 1)


def quantization(folder: Path) -> str:
    """The method that config.json names for quantized weights, such as "bitsandbytes"; "" for plain ones."""
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(named.get("quant_method", "unnamed")) if isinstance(named, dict) else ""


def _why_no_weights(folder: Path) -> str:
    if empty := weight_files(folder):
        return f"{empty[0]} holds no tensors; save again, or evaluate another checkpoint."
    if foreign := foreign_weights(folder):
        return f"{folder} holds no *.safetensors weights: {foreign}."
    return (
        f"{folder} holds no *.safetensors weights; under ZeRO-3 train with zero3_save_16bit_model: true "
        "(deepspeed_zero3.yaml), which gathers them on save."
    )


def stored_shapes(folder: Path) -> Shapes:
    """Tensor name -> shape over all weight files; reads headers only. Raises UserError for a truncated file."""
    shapes: Shapes = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="np") as tensors:
                shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is half written or damaged ({error}); wait for the save to finish or save again.", 1
            ) from None
    return shapes


def implied_shapes(folder: Path) -> Shapes:
    """Tensor name -> shape of the architecture in config.json, built without memory; tied output weights left out."""
    # Imported late: half of the commands need no torch.
    import torch
    from transformers import AutoModelForCausalLM

    config = read_config(folder)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises a dozen unrelated types, ZeroDivisionError among them
        raise UserError(_no_language_model(folder, error), 1) from None
    tied = set(model.all_tied_weights_keys) if config.tie_word_embeddings else set()
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def read_config(folder: Path) -> Any:
    """config.json as transformers reads it. Raises UserError (exit code 1) where it describes no model, or holds NaN."""
    from transformers import AutoConfig

    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"), parse_constant=_refuse_nan)
        return AutoConfig.from_pretrained(folder)
    except Exception as error:
        raise UserError(_no_language_model(folder, error), 1) from None


def _refuse_nan(constant: str) -> float:
    if constant == "NaN":
        raise ValueError("it holds NaN for a number")
    return float(constant)


def _no_language_model(folder: Path, error: Exception) -> str:
    return f"{folder}/config.json describes no causal language model ({' '.join(str(error).split())})."


def arrivals(run: Path, poll_s: float = POLL_S) -> Iterator[tuple[Path, float]]:
    """Yields (folder, seconds since its last change) for each checkpoint of `run`, in step order, as training finishes it.

    Ends when FINISHED is there, which training writes last. The run need not exist yet. What is not whole by then is
    yielded all the same: whoever reads it says what is missing.
    """
    seen: set[Path] = set()
    while True:
        finished = (run / FINISHED).is_file()  # asked first: what training wrote before it is there by now
        for folder in steps(run):
            if folder in seen:
                continue
            if not finished and not is_settled(folder):
                break  # later ones are younger
            seen.add(folder)
            yield folder, time.time() - _last_change(folder)
        if finished:
            return
        time.sleep(poll_s)


def is_settled(folder: Path) -> bool:
    """Whether nothing more will be written: sft.py writes run.json last; others have left the folder alone for a while."""
    ours = (folder.parent / TRAIN_LOG).is_file()
    try:
        if not (folder / "run.json").is_file() and (ours or time.time() - _last_change(folder) < SETTLED_S):
            return False
        adapters.check_adapter(folder) if adapters.is_adapter(folder) else check_complete(folder)
    except (UserError, FileNotFoundError):  # a partial file was renamed while we looked
        return False
    return True


def refuse_half_written(folder: Path) -> None:
    """Raises UserError (exit code 1) for a checkpoint without run.json, the last file that training writes."""
    if STEP.search(folder.name) and (folder.parent / TRAIN_LOG).is_file() and not (folder / "run.json").is_file():
        raise UserError(
            f"{folder} is unfinished (it has no run.json): training stopped while writing it, or is still writing; resume with "
            "make train RESUME=1, or remove it.",
            1,
        )


def steps(run: Path) -> list[Path]:
    """The folders checkpoint-<step> in `run`, by step."""
    return sorted((folder for folder in run.glob("checkpoint-*") if STEP.search(folder.name)), key=_step)


def _last_change(folder: Path) -> float:
    # The time of the inode: a copy may bring the time of its contents along.
    return max(path.stat().st_ctime for path in (folder, *folder.iterdir()))


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
