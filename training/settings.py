"""The config: read, checked key by key, and turned into the trainer's arguments. Nothing is loaded before it is right."""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from trl import SFTConfig

from eval.files import read_mapping
from eval.records import UserError
from training import spelling, stock_keys, values
from training.conflicts import LAUNCH, choose_trackers, refuse_conflicts
from training.lora import LoraArguments, add_adapters, check_targets
from training.skeleton import build_skeleton, check_attention, count_parameters, read_model_config
from training.trial import build_arguments

MAX_TOKENS = 2048  # the contract's limit for one example: template, BOS and EOS included
AT_THE_END = 10**9  # save_steps that no run reaches: one checkpoint, after the last step


@dataclasses.dataclass
class ContractArguments:
    """The contract's own keys; every other key of the config is transformers' or TRL's."""

    model_name_or_path: str
    dataset_name_or_path: str
    dataset_mode: str = "online"  # the contract's default

    def trained_parameters(self, lora: LoraArguments) -> int | None:
        """The number of parameters that are trained and saved; None where neither the model's config nor its files give it."""
        if not lora.use_peft:
            return count_parameters(self.model_name_or_path)
        model = build_skeleton(self.model_name_or_path)
        if model is None:
            return None
        adapted = add_adapters(Path(self.model_name_or_path), lora, model)
        return sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)

    def vocabulary(self) -> int | None:
        """The model's vocab_size; None where its config cannot be read."""
        config = read_model_config(self.model_name_or_path)
        return getattr(config.get_text_config(), "vocab_size", None) if config is not None else None


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`, as it is written. Raises UserError for an unknown key and for an impossible value."""
    settings = read_mapping(path, "name a config: sft.py CONFIG")
    hints = known_keys()
    for key in settings:
        if key not in hints and key not in stock_keys.OLD:
            raise UserError(f"{path}: unknown key {key!r}; {spelling.hint(str(key), [*hints, *stock_keys.OLD])}")
    for key, value in settings.items():
        if (key in LAUNCH and not value) or (value is None and key in stock_keys.NULLABLE):
            continue
        if key in hints:
            values.check_type(path, key, value, hints[key])
        elif key == "warmup_ratio" or key in stock_keys.PARTS:
            values.check_type(path, key, value, float if key == "warmup_ratio" else bool | None)
        elif key in stock_keys.RENAMED and value != stock_keys.RENAMED[key][0]:
            name = stock_keys.RENAMED[key][1]
            values.check_type(path, key, value, bool if stock_keys.RENAMED[key][0] is False else hints[name])
    for key in ("model_name_or_path", "dataset_name_or_path", "output_dir"):
        if not settings.get(key):
            raise UserError(f"{path}: {key} is missing; add a line `{key}: …`.")
    values.check_numbers(path, settings)
    values.check_numbers(path, stock_keys.as_today(path, settings)[0])
    values.check_places(path, settings)
    return settings


def known_keys() -> dict[str, Any]:
    """Key -> annotated type, of TRL's arguments, the contract's and the adapter's."""
    return (
        typing.get_type_hints(SFTConfig)
        | typing.get_type_hints(ContractArguments)
        | typing.get_type_hints(LoraArguments)
    )


def local_keys(settings: dict[str, Any]) -> list[str]:
    """Keys of current versions that the contract's stock parser rejects."""
    stock = names(TrainingArguments) - stock_keys.LATER | stock_keys.OLD | stock_keys.BOTH
    return sorted(set(settings) - stock - names(ContractArguments))


def names(record: type) -> set[str]:
    """The field names of a dataclass."""
    return {field.name for field in dataclasses.fields(record)}


def run_folder(settings: dict[str, Any]) -> Path:
    """<output_dir>/<run_name>, so that runs do not overwrite each other."""
    return Path(settings["output_dir"]).expanduser() / str(settings.get("run_name") or "")


def skip_compilation() -> None:
    """On CPU DeepSpeed would compile its shared-memory all-reduce at start; gloo does instead.

    That takes a minute on two cores and a compiler that may not be there, and ZeRO-3 hardly uses it: it gathers and scatters.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true" and not torch.cuda.is_available():
        import deepspeed

        deepspeed.ops.__compatible_ops__ = {}


def parse_settings(
    path: Path, settings: dict[str, Any], run: Path, say: Callable[[str], None] = lambda line: None
) -> tuple[ContractArguments, LoraArguments, SFTConfig]:
    """The contract's arguments, the adapter's and TRL's; `say` gets one line for each key that is renamed, ignored or filled in.

    Raises UserError where a value contradicts another value or the machine, or where a library would refuse it later.
    """
    settings, said = stock_keys.as_today(path, settings)
    refuse_conflicts(path, settings)
    contract = read_contract(path, settings, said)
    lora = LoraArguments(**part(settings, LoraArguments))
    unused = sorted(set(part(settings, LoraArguments)) - {"use_peft"})
    if unused and not lora.use_peft:
        raise UserError(f"{path}: {unused[0]} has no effect without use_peft: true; add that, or remove it.")
    skeleton = build_skeleton(contract.model_name_or_path) if lora.use_peft else None
    if skeleton is not None:
        check_targets(path, lora, skeleton)
    ours = names(ContractArguments) | names(LoraArguments) | set(LAUNCH)  # the last are empty here
    theirs = {key: value for key, value in settings.items() if key not in ours}
    check_attention(
        path, contract.model_name_or_path, values.mapping(theirs.get("model_init_kwargs")).get("attn_implementation")
    )
    theirs = fill_in(path, theirs, said) | {"output_dir": str(run), "disable_tqdm": True}
    for line in said:
        say(line)
    return contract, lora, build_arguments(path, theirs)


def read_contract(path: Path, settings: dict[str, Any], said: list[str]) -> ContractArguments:
    """The contract's own arguments; adds a line to `said` where a default is used."""
    contract = ContractArguments(**part(settings, ContractArguments))
    if contract.dataset_mode not in ("local", "online"):
        raise UserError(f"{path}: dataset_mode is {contract.dataset_mode!r}; it must be local or online.")
    if "dataset_mode" not in settings:
        if Path(contract.dataset_name_or_path).exists():
            raise UserError(
                f"{path}: dataset_mode is left out, which means online, but dataset_name_or_path "
                f"{contract.dataset_name_or_path} is a local path; write dataset_mode: local."
            )
        said.append("dataset_mode: left out, so online, the contract's default")
    return contract


def fill_in(path: Path, theirs: dict[str, Any], said: list[str]) -> dict[str, Any]:
    """TRL's settings, completed by defaults of the contract and of this trainer; adds a line to `said` where that matters."""
    if "packing" not in theirs:
        said.append("packing: left out, so true, the contract's default")
    if "do_train" not in theirs:
        said.append("do_train: left out; this trainer trains anyway, the contract's would not: write do_train: true")
    if theirs.get("do_eval") is False and theirs.get("eval_strategy", "no") != "no":
        said.append(f"do_eval: false, so eval_strategy {theirs['eval_strategy']} is ignored: no validation")
        theirs = theirs | {"eval_strategy": "no"}
    if theirs.get("save_strategy") == "no":
        said.append('save_strategy: "no", so only the last step is saved: one checkpoint to score, none to resume from')
        theirs = {"save_only_model": True} | theirs | {"save_strategy": "steps", "save_steps": AT_THE_END}
    theirs = theirs | {key: float(theirs[key]) for key in ("adam_beta1", "adam_beta2") if key in theirs}  # 0 for 0.0
    trackers, left_out = choose_trackers(path, theirs.get("report_to"))
    said += left_out
    defaults = {
        "do_train": True,
        "do_eval": True,
        "include_num_input_tokens_seen": "non_padding",
        "max_length": MAX_TOKENS,
        "packing": True,
        "use_cpu": not torch.cuda.is_available(),
    }
    filled = defaults | theirs | {"report_to": trackers or "none"}
    if not 0 < filled["max_length"] <= MAX_TOKENS:
        raise UserError(
            f"{path}: max_length is {filled['max_length']}; the contract allows 1 to {MAX_TOKENS:,} tokens per example."
        )
    return filled


def part(settings: dict[str, Any], record: type) -> dict[str, Any]:
    """The settings that are fields of a dataclass."""
    return {key: value for key, value in settings.items() if key in names(record)}
