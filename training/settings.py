"""The config: read, checked key by key, and turned into the trainer's arguments. Nothing is loaded before it is right."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import types
import typing
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations
from trl import SFTConfig

from eval import checkpoints
from eval.files import read_mapping
from eval.records import UserError
from training.lora import LoraArguments

MAX_TOKENS = 2048  # the contract's limit for one example: template, BOS and EOS included


@dataclasses.dataclass
class ContractArguments:
    """The contract's own keys; every other key of the config is transformers' or TRL's."""

    model_name_or_path: str
    dataset_name_or_path: str
    dataset_mode: str = "local"

    def trained_parameters(self, lora: LoraArguments) -> int | None:
        """How many parameters are trained and saved; None for a model that is not in a local folder."""
        folder = Path(self.model_name_or_path)
        # From the headers: building the model, even without memory, would meet ZeRO-3's own way of building it.
        return lora.trained(checkpoints.stored_shapes(folder)) if folder.is_dir() else None


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`. Raises UserError where it cannot be read or holds an unknown key or a wrong type."""
    settings = read_mapping(path, "name a config: sft.py CONFIG")
    known = (
        typing.get_type_hints(SFTConfig)
        | typing.get_type_hints(ContractArguments)
        | typing.get_type_hints(LoraArguments)
    )
    for key, value in settings.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else "remove it, or see the key list of transformers' TrainingArguments."
            )
            raise UserError(f"{path}: unknown key {key!r}; {hint}")
        if not fits(value, known[key]):
            raise UserError(f"{path}: {key} is {value!r}, {describe_mismatch(value, known[key])}")
    for key in ("model_name_or_path", "dataset_name_or_path", "output_dir"):
        if key not in settings:
            raise UserError(f"{path}: {key} is missing; add a line `{key}: …`.")
    return settings


def local_keys(settings: dict[str, Any]) -> list[str]:
    """Keys that are TRL's own: current versions know them, the contract's stock parser takes them for errors."""
    stock = names(TrainingArguments) | {"packing"}
    return sorted(set(settings) - stock - names(ContractArguments))


def names(record: type) -> set[str]:
    """The field names of a dataclass."""
    return {field.name for field in dataclasses.fields(record)}


def fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value is of the annotated type; annotations YAML cannot express accept anything."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(fits(value, option) for option in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    container = typing.get_origin(hint) or hint
    return isinstance(value, container) if container in (list, dict) else True


def describe_mismatch(value: Any, hint: Any) -> str:
    """The second half of the sentence about a value of the wrong type, with the fix."""
    if isinstance(value, str) and fits(1.0, hint):
        with contextlib.suppress(ValueError):
            return f"a string, because YAML 1.1 needs a dot in such a number; write {float(value):.1e}."
    return f"which is {type(value).__name__}; it must be {getattr(hint, '__name__', str(hint))}."


def run_folder(settings: dict[str, Any]) -> Path:
    """<output_dir>/<run_name>, so that runs do not overwrite each other."""
    return Path(settings["output_dir"]) / str(settings.get("run_name") or "")


def skip_compilation() -> None:
    """On CPU DeepSpeed would compile its shared-memory all-reduce at start; gloo does instead.

    That takes a minute on two cores and a compiler that may not be there, and ZeRO-3 hardly uses it: it gathers and scatters.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true" and not torch.cuda.is_available():
        import deepspeed

        deepspeed.ops.__compatible_ops__ = {}


def parse_settings(
    path: Path, settings: dict[str, Any], run: Path
) -> tuple[ContractArguments, LoraArguments, SFTConfig]:
    """The contract's arguments, the adapter's and TRL's. Raises UserError where a value contradicts another or the machine."""
    contract = ContractArguments(**part(settings, ContractArguments))
    lora = LoraArguments(**part(settings, LoraArguments))
    unused = sorted(set(part(settings, LoraArguments)) - {"use_peft"})
    if unused and not lora.use_peft:
        raise UserError(f"{path}: {unused[0]} has no effect without use_peft: true; add that, or remove it.")
    if contract.dataset_mode not in ("local", "online"):
        raise UserError(f"{path}: dataset_mode is {contract.dataset_mode!r}; it must be local or online.")
    if settings.get("resume_from_checkpoint"):
        raise UserError(
            f"{path}: resume_from_checkpoint is not read; leave it out and resume with make train RESUME=1."
        )
    theirs = {
        key: value for key, value in settings.items() if key not in names(ContractArguments) | names(LoraArguments)
    }
    theirs |= {"output_dir": str(run), "disable_tqdm": True}
    defaults = {"use_cpu": not torch.cuda.is_available(), "include_num_input_tokens_seen": "non_padding"}
    theirs = defaults | {"max_length": MAX_TOKENS} | theirs
    refuse_trackers(path, theirs.get("report_to") or "none")
    if not 0 < (theirs["max_length"] or 0) <= MAX_TOKENS:
        raise UserError(
            f"{path}: max_length is {theirs['max_length']}; the contract allows 1 to {MAX_TOKENS:,} tokens an example."
        )
    try:
        return contract, lora, SFTConfig(**theirs)
    except (ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def refuse_trackers(path: Path, wanted: str | list[str]) -> None:
    """Raises UserError for a tracker that transformers does not know or that is not installed."""
    there = {"none", "all", *get_available_reporting_integrations()}
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if name not in there:
            raise UserError(
                f"{path}: report_to is {name!r}, which is not to be had here (but {', '.join(sorted(there))}); install it with "
                f".venv/bin/pip install {name}, or take another."
            )


def part(settings: dict[str, Any], record: type) -> dict[str, Any]:
    """The settings that are fields of a dataclass."""
    return {key: value for key, value in settings.items() if key in names(record)}
