"""Supervised fine-tuning on math, read top to bottom.

    accelerate launch --config_file=deepspeed_zero3.yaml sft.py [CONFIG]

CONFIG defaults to sft_config.yaml. Checkpoints go to <output_dir>/<run_name>/checkpoint-<step>, each with the weights
gathered from the ZeRO-3 shards, the tokenizer, and prompt.json, data.json and run.json, which say what made it.
What libraries print goes to train.log beside them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import json
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any

import torch
import yaml
from datasets import Dataset, load_dataset
from rich.console import Console
from transformers import AutoModelForCausalLM, PreTrainedTokenizer, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

import sft_utils
from eval import checkpoints, prompts
from eval.console import progress, quiet, unexpected_errors
from eval.provenance import git_commit, installed_versions
from eval.records import UserError, first_line
from sft_utils import get_tokenizer, load_datasets

MAX_TOKENS = 2048  # the contract's limit for one example: template, BOS and EOS included
MAX_TRAIN, MAX_VALIDATION = 100_000, 100


@dataclasses.dataclass
class ContractArguments:
    """The contract's own keys; every other key of the config is transformers' or TRL's."""

    model_name_or_path: str
    dataset_name_or_path: str
    dataset_mode: str = "local"


def train(config_path: Path, settings: dict[str, Any], run: Path, console: Console) -> None:
    """One run, from the config to the last checkpoint."""
    contract, arguments = parse_settings(config_path, settings, run)
    set_seed(arguments.seed)
    refuse_to_mix(run, arguments.resume_from_checkpoint)

    try:
        tokenizer = get_tokenizer(contract.model_name_or_path)
    except (OSError, ValueError) as error:
        raise UserError(f"{config_path}: model_name_or_path: {first_line(error)}") from None
    with arguments.main_process_first(desc="tokenise"):  # the others find its cache
        splits = {
            name: tokenise(rows, tokenizer, f"{contract.dataset_name_or_path} {name}", console, arguments.max_length)
            for name, rows in load_splits(contract).items()
        }

    # SFTConfig has told transformers about ZeRO-3 by now, so the weights are sharded while they are read.
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    choices = {"dtype": dtype, "attn_implementation": choose_attention(dtype, console)}
    choices |= arguments.model_init_kwargs or {}
    arguments.model_init_kwargs = None  # used up: the trainer is given a model, not a name
    try:
        model = AutoModelForCausalLM.from_pretrained(contract.model_name_or_path, **choices)
    except (OSError, ValueError) as error:
        raise UserError(f"{config_path}: model_name_or_path: {first_line(error)}") from None
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id

    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
    )
    notes = {
        "prompt.json": prompts.describe(tokenizer),
        "data.json": describe_data(contract, splits, bool(arguments.completion_only_loss)),
        "run.json": describe_run(config_path, settings),
    }
    trainer.add_callback(CheckpointNotes(trainer, notes))
    with contextlib.ExitStack() as bar:
        trainer.add_callback(ProgressLine(trainer, console, bar))
        trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    if trainer.is_world_process_zero():
        saved = checkpoints.steps(run)
        finished = {"steps": trainer.state.global_step, "checkpoints": [folder.name for folder in saved]}
        write_note(run / checkpoints.FINISHED, finished)  # `eval watch` ends when it is there
        console.print(f"{len(saved)} checkpoints in {run}")


def choose_attention(dtype: torch.dtype, console: Console) -> str:
    """FlashAttention 2 where it is installed for a GPU that is there and for `dtype`, else PyTorch's own; says so once."""
    if not torch.cuda.is_available():
        return "sdpa"
    if dtype == torch.float32:
        console.print("float32: attention by PyTorch (sdpa), because FlashAttention needs bf16: true")
        return "sdpa"
    if importlib.util.find_spec("flash_attn") is None:
        console.print("flash-attn is not installed: attention by PyTorch (sdpa), slower on packed rows")
        return "sdpa"
    return "flash_attention_2"


def refuse_to_mix(run: Path, resume_from: str | None) -> None:
    """Raises UserError where `run` holds checkpoints of an earlier training that this one does not continue."""
    if resume_from and not Path(resume_from, "trainer_state.json").is_file():
        raise UserError(
            f"resume_from_checkpoint: {resume_from} is no checkpoint of a run (it has no trainer_state.json); name one."
        )
    if not resume_from and (found := checkpoints.steps(run)):
        raise UserError(
            f"{run} holds {len(found)} checkpoints of an earlier training ({found[0].name}, …), and reports would take both for "
            "one run; set another run_name, or remove that folder."
        )


# --- settings ---------------------------------------------------------------------------------------------------------


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`. Raises UserError where it cannot be read or holds an unknown key or a wrong type."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a config: sft.py CONFIG.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}; mend that line.") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds {type(settings).__name__}, not a mapping; write one `key: value` a line.")
    known = typing.get_type_hints(SFTConfig) | typing.get_type_hints(ContractArguments)
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


def parse_settings(path: Path, settings: dict[str, Any], run: Path) -> tuple[ContractArguments, SFTConfig]:
    """The contract's arguments and TRL's. Raises UserError where a value contradicts another or the machine."""
    own = {field.name for field in dataclasses.fields(ContractArguments)}
    contract = ContractArguments(**{key: value for key, value in settings.items() if key in own})
    if contract.dataset_mode not in ("local", "online"):
        raise UserError(f"{path}: dataset_mode is {contract.dataset_mode!r}; it must be local or online.")
    theirs = {key: value for key, value in settings.items() if key not in own}
    theirs |= {"output_dir": str(run), "disable_tqdm": True}
    defaults = {"use_cpu": not torch.cuda.is_available(), "include_num_input_tokens_seen": "non_padding"}
    theirs = defaults | {"max_length": MAX_TOKENS} | theirs
    if not 0 < (theirs["max_length"] or 0) <= MAX_TOKENS:
        raise UserError(
            f"{path}: max_length is {theirs['max_length']}; the contract allows 1 to {MAX_TOKENS:,} tokens an example."
        )
    try:
        return contract, SFTConfig(**theirs)
    except (ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


# --- data -------------------------------------------------------------------------------------------------------------


def load_splits(contract: ContractArguments) -> dict[str, Dataset]:
    """{"train", "validation"} within the contract's counts. Raises UserError where they are missing or too large."""
    name = contract.dataset_name_or_path
    try:
        if contract.dataset_mode == "local":
            train, validation = load_datasets(name)
        else:
            train, validation = (load_dataset(name, split=split) for split in ("train", "test"))
    except Exception as error:  # `datasets` raises a type of its own for each kind of damage
        reason = first_bad_line(Path(name)) or " ".join(str(error).split())
        raise UserError(f"dataset_name_or_path {name!r}: {reason}") from None
    for split, rows, limit in (("train", train, MAX_TRAIN), ("validation", validation, MAX_VALIDATION)):
        if not 0 < len(rows) <= limit:
            raise UserError(
                f"{name}: {split} has {len(rows):,} rows, the contract allows 1 to {limit:,}; sample it down.", 1
            )
    return {"train": train, "validation": validation}


def first_bad_line(folder: Path) -> str | None:
    """A sentence about the first line of train.jsonl or validation.jsonl that is no JSON object; None where all are."""
    for path in (folder / "train.jsonl", folder / "validation.jsonl"):
        for number, line in enumerate(path.read_bytes().split(b"\n") if path.is_file() else (), start=1):
            try:
                good = not line.strip() or isinstance(json.loads(line), dict)
            except ValueError:
                good = False
            if not good:
                return f"{path}:{number}: {line[:40]!r}… is no JSON object; write one row with `messages` a line."
    return None


def tokenise(
    rows: Dataset, tokenizer: PreTrainedTokenizer, name: str, console: Console, limit: int = MAX_TOKENS
) -> Dataset:
    """`input_ids` and `completion_mask` (1 on solution and EOS) of every row, at most `limit` tokens; nothing is cut.

    What was tokenised once, with these rows, this tokenizer and this sft_utils.py, is found in the cache of `datasets`.
    """
    with progress(console, f"tokenise {name}", len(rows), "row") as advance:

        def encode(row: dict[str, Any], index: int) -> dict[str, list[int]]:
            try:
                ids, prompt_tokens = prompts.training_ids(row, tokenizer)
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{name}: row {index} has no user and assistant turn in `messages` ({error!r}); mend it."
                ) from None
            advance(index + 1)
            return {"input_ids": ids, "completion_mask": [0] * prompt_tokens + [1] * (len(ids) - prompt_tokens)}

        made_by = (rows._fingerprint, tokenizer.backend_tokenizer.to_str(), inspect.getsource(sft_utils))
        encoded = rows.map(
            encode,
            with_indices=True,
            remove_columns=rows.column_names,
            new_fingerprint=hashlib.sha256("".join(made_by).encode()).hexdigest(),
        )
    too_long = [(index, len(ids)) for index, ids in enumerate(encoded["input_ids"]) if len(ids) > limit]
    if too_long:
        shown = ", ".join(f"row {index} has {tokens:,}" for index, tokens in too_long[:3])
        raise UserError(f"{name}: {len(too_long):,} rows exceed {limit:,} tokens ({shown}); drop or shorten them.", 1)
    return encoded


# --- what a checkpoint says about itself ------------------------------------------------------------------------------


def describe_data(contract: ContractArguments, splits: dict[str, Dataset], solution_only: bool) -> dict[str, Any]:
    """data.json: where the data came from, a digest of the token ids, and counts; with the recipe's manifest if it has one."""
    manifest = Path(contract.dataset_name_or_path) / "manifest.json"
    described: dict[str, Any] = {"dataset": contract.dataset_name_or_path}
    for name, rows in splits.items():
        digest = hashlib.sha256()
        for ids in rows["input_ids"]:
            digest.update(json.dumps(ids).encode())
        tokens = sum(map(len, rows["input_ids"]))
        described[name] = {
            "rows": len(rows),
            "tokens": tokens,
            "supervised_tokens": sum(map(sum, rows["completion_mask"])) if solution_only else tokens,
            "token_ids_sha256": digest.hexdigest(),
        }
    if manifest.is_file():
        described["manifest"] = json.loads(manifest.read_text(encoding="utf-8"))
    return described


def describe_run(config_path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """run.json, but for the step: the config as read, versions, commit and command."""
    return {
        "config_file": str(config_path),
        "config": settings,
        "versions": installed_versions("torch", "transformers", "trl", "accelerate", "deepspeed", "datasets"),
        "git_commit": git_commit(),
        "command": " ".join(sys.argv),
    }


def describe_engine(trainer: SFTTrainer) -> str:
    """What really runs: the DeepSpeed engine's own ZeRO stage, or plain PyTorch."""
    processes = trainer.accelerator.num_processes
    if trainer.deepspeed is None:
        return f"plain PyTorch without DeepSpeed, processes: {processes}"
    return f"DeepSpeed ZeRO-{trainer.deepspeed.zero_optimization_stage()}, processes: {processes}"


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Writes JSON beside `path`, then renames: the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(note, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


class CheckpointNotes(TrainerCallback):
    """Writes the notes beside the weights of every checkpoint, after the weights; run.json comes last."""

    def __init__(self, trainer: SFTTrainer, notes: dict[str, dict[str, Any]]) -> None:
        self.trainer, self.notes = trainer, notes

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        self.notes["run.json"] |= {
            "step": state.global_step,
            "epoch": state.epoch,
            "tokens_seen": state.num_input_tokens_seen,
            "engine": describe_engine(self.trainer),
        }
        for name, note in self.notes.items():
            write_note(Path(args.output_dir, f"checkpoint-{state.global_step}", name), note)


class ProgressLine(TrainerCallback):
    """Says what runs and how much of it, then a bar with seconds a step, time left and the loss, until `bar` is closed."""

    def __init__(self, trainer: SFTTrainer, console: Console, bar: contextlib.ExitStack) -> None:
        self.trainer, self.console, self.bar, self.note = trainer, console, bar, ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        rows, tokens = len(self.trainer.train_dataset), sum(map(len, self.trainer.train_dataset["input_ids"]))
        batch = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
        self.console.print(
            f"{describe_engine(self.trainer)}; {rows:,} rows, {tokens:,} tokens an epoch, "
            f"{batch} rows and about {tokens * batch // rows:,} tokens a step, {state.max_steps} steps"
        )
        self.advance = self.bar.enter_context(progress(self.console, "train", state.max_steps, "step"))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.note = f"loss {float(logs['loss']):.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.advance(state.global_step, self.note)


def main() -> int:
    """Trains by the config named on the command line; returns the exit code."""
    config_path = Path(sys.argv[1] if len(sys.argv) > 1 else "sft_config.yaml")
    first = os.environ.get("RANK", "0") == "0"
    try:
        settings = read_settings(config_path)
        run = run_folder(settings)
        log = run / checkpoints.TRAIN_LOG
        with quiet(log) as console:
            console.quiet = not first
            with unexpected_errors(log):
                train(config_path, settings, run, console)
    except UserError as error:
        say_once(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say_once("stopped; finished checkpoints are kept.")
        return 130
    return 0


def say_once(sentence: str) -> None:
    """Prints what ends this process, unless another process of the same launch has said what ends it.

    Mostly all of them fail alike; now and then one fails alone, and then its sentence is the one that matters.
    """
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")  # <folder of the launch>/attempt_0/<rank>/error.json
    if error_file:
        try:
            (Path(error_file).parents[1] / "said").touch(exist_ok=False)
        except FileExistsError:
            return
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
