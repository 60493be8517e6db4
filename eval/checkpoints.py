"""Model folders that are sure to load: found, complete, identified by their content, and watched for while training goes on."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from eval import adapters
from eval.records import Checkpoint, UserError, first_line

Shapes = dict[str, tuple[int, ...]]  # tensor name -> shape

STEP = re.compile(r"checkpoint-(\d+)$")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HASH_BLOCK_BYTES = 1 << 22
# What sft.py leaves in a run's folder: its log from the beginning, and a last file when it has ended.
TRAIN_LOG, FINISHED = "train.log", "finished.json"
POLL_S = 2.0
SETTLED_S = 8.0  # a checkpoint of another trainer that has not changed for so long is taken to be whole


def resolve(names: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints behind folders, run folders (all of theirs, by step) and hub ids; each complete, none twice."""
    found: dict[Path, tuple[Path, str | None]] = {}
    for name in names:
        for folder in find(name):
            found.setdefault(absolute_folder(folder), (folder, name if is_hub_id(name) else None))
    return [identify(folder, hub_id) for folder, hub_id in found.values()]


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
    adapter_sha = adapters.digest(folder) if adapters.is_adapter(folder) else ""
    model = adapters.merge(folder) if adapter_sha else folder
    check_complete(model)
    if hub_id:
        return Checkpoint(model, hub_id, None, hub_id, weights_sha(model), None, adapter_sha)
    whole = absolute_folder(folder)
    step = STEP.search(whole.name)
    run = whole.parent.name if step else whole.name
    number = int(step[1]) if step else None
    return Checkpoint(model, str(folder), number, run, weights_sha(model), whole, adapter_sha)


def weights_sha(folder: Path) -> str:
    """sha256 (hex) of config.json and all weight files: retraining into the same folder is another model."""
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weight_files(folder)):
        with path.open("rb") as file:
            while block := file.read(HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def tokenizer_sha(folder: Path) -> str:
    """sha256 (hex) of the tokenizer's own file; "" where it is stored in another way."""
    path = folder / "tokenizer.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def stop_token_ids(folder: Path) -> list[int]:
    """The ids that end an output by the model's own generation_config.json; none where it does not say."""
    path = folder / "generation_config.json"
    try:
        stops = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is half written or damaged ({error!r}); save again, or delete it.", 1) from None
    return [stops] if isinstance(stops, int) else list(stops or [])


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


def check_complete(folder: Path, implied: Shapes | None = None) -> None:
    """Raises UserError (exit code 1) unless every tensor that config.json implies is there with its shape, and a tokenizer.

    `implied` spares building the architecture again where it is at hand (see `implied_shapes`).
    """
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
    for name, shape in (implied or implied_shapes(folder)).items():
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
