"""Supervised fine-tuning on math, read top to bottom.

    accelerate launch --config_file=deepspeed_zero3.yaml sft.py [CONFIG] [--preflight] [--resume] [--allow CHECK …]

CONFIG defaults to sft_config.yaml. Checkpoints go to <output_dir>/<run_name>/checkpoint-<step>, each with the weights
gathered from the ZeRO-3 shards, the tokenizer, a model card, and prompt.json, data.json and run.json, which say what made it.
What libraries print goes to train.log beside them.
"""

from __future__ import annotations

from training import signals

if __name__ == "__main__":  # before the imports that take seconds
    signals.end_with_launcher()
    signals.end_quietly()

import argparse
import contextlib
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizer,
    PreTrainedTokenizerBase,
    TrainerState,
    set_seed,
)
from trl import SFTConfig

from eval import checkpoints, prompts
from eval.console import quiet, unexpected_errors
from eval.records import UserError, first_line
from sft_utils import get_tokenizer
from training import lock, preflight, resume, token_cache
from training.attention import choose_attention
from training.examples import load_splits, render
from training.notes import CheckpointNotes, describe_data, describe_run, finish, planned_engine, refuse_other_rows
from training.progress import Meter, ProgressLine
from training.settings import local_keys, parse_settings, read_settings, run_folder, skip_compilation
from training.trainer import Trainer, explain_memory


def train(options: argparse.Namespace, settings: dict[str, Any], run: Path, console: Console) -> None:
    """One run, from the config to the last checkpoint."""
    skip_compilation()
    contract, lora, arguments = parse_settings(
        options.config, settings, run, lambda line: console.print(line, markup=False, soft_wrap=True)
    )
    set_seed(arguments.seed)
    tokenizer = load_tokenizer(options.config, contract.model_name_or_path)
    token_cache.choose_folder(console)
    raw = load_splits(contract)
    with arguments.main_process_first(desc="tokenise"):  # the others find its cache
        splits = {
            name: render(rows, tokenizer, f"{contract.dataset_name_or_path} {name}", console, arguments.packing)
            for name, rows in raw.items()
        }

    if appended := arguments.packing and prompts.ends_without_eos(tokenizer):
        console.print("sft_utils.py ends its texts without EOS: packing appends it, as the contract's trainer does")
    parameters = contract.trained_parameters(lora)
    looked_at = preflight.Run(contract, arguments, tokenizer, raw, splits, parameters, arguments.world_size)
    found = preflight.checks(looked_at)
    preflight.show(found, options.allow, looked_at, console)
    if local := local_keys(settings):
        console.print(f"for local runs only, the contract's own trainer does not know: {', '.join(local)}")
    preflight.refuse(found, options.allow)
    prompt = prompts.describe(tokenizer, lenience(options.allow, appended))
    if options.preflight:
        return
    # What was allowed although it cannot be trained on is left out, not cut.
    usable = {
        name: rows.filter(lambda row: 0 < len(row["input_ids"]) <= arguments.max_length, keep_in_memory=True)
        for name, rows in splits.items()
    }
    notes = {
        "prompt.json": prompt,
        "data.json": describe_data(contract, usable, bool(arguments.completion_only_loss)),
        "run.json": describe_run(options.config, settings) | planned_engine(arguments),
    }
    refuse_other_rows(notes["data.json"])
    resume_from = resume.checkpoint(run, options.resume, notes, functools.partial(console.print, markup=False))
    if resume_from:
        resume.refuse_damaged(Path(resume_from))
        if resume.is_done(Path(resume_from), notes):
            if arguments.process_index == 0:
                end_run(
                    run, TrainerState.load_from_json(str(Path(resume_from, "trainer_state.json"))), arguments, console
                )
            return

    model = load_model(options.config, contract.model_name_or_path, arguments, tokenizer, console)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=usable["train"].select_columns(["input_ids", "completion_mask"]),
        eval_dataset=usable["validation"].select_columns(["input_ids", "completion_mask"]),
        processing_class=tokenizer,
        peft_config=lora.config(),
    )
    trainer.examples = usable["train"]
    mean_context = sum(map(len, usable["train"]["input_ids"])) / len(usable["train"])
    trainer.meter = Meter(trainer.model, mean_context, arguments.world_size)
    trainer.add_callback(CheckpointNotes(trainer, notes))
    if trainer.is_world_process_zero():
        resume.clear(run, resume_from)
    with contextlib.ExitStack() as bar:
        trainer.add_callback(ProgressLine(trainer, console, bar))
        try:
            trainer.train(resume_from_checkpoint=resume_from)
        except torch.OutOfMemoryError as error:
            raise explain_memory(arguments, error) from error
    if trainer.is_world_process_zero():
        end_run(run, trainer.state, arguments, console)
    trainer.accelerator.end_training()  # else a thread of the process group may abort a finished process at its exit


def end_run(run: Path, state: TrainerState, arguments: SFTConfig, console: Console) -> None:
    """Marks the run as finished and says what it has left."""
    best = state.best_global_step if arguments.load_best_model_at_end else None
    console.print(f"{len(finish(run, state.global_step, best))} checkpoints in {run}")


def lenience(allowed: list[str], appended: bool) -> list[str]:
    """What prompt.json records about the template: the allowed faults, and whether EOS was appended."""
    return [name for name in allowed if name in prompts.FAULTS] + [prompts.APPENDED_EOS] * appended


def load_tokenizer(config: Path, name: str) -> PreTrainedTokenizer:
    """The tokenizer that sft_utils.py gives for a model. Raises UserError where that is none, or cannot end a text."""
    try:
        tokenizer = get_tokenizer(name)
    except (OSError, ValueError) as error:
        gone = not checkpoints.is_hub_id(name) and not Path(name).exists()
        reason = f"{name} is not there; name a model's folder or a hub id" if gone else first_line(error)
        raise UserError(f"{config}: model_name_or_path: {reason}") from None
    except (Exception, SystemExit) as error:  # a program of the user's, and `tokenizers`, which raises bare Exceptions
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"sft_utils.py: get_tokenizer fails for {name} ({reason}); mend it or the model's files."
        ) from None
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise UserError(f"sft_utils.py: get_tokenizer gives {type(tokenizer).__name__}; it must return a tokenizer.")
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"sft_utils.py: get_tokenizer gives a tokenizer without EOS for {name}, so no text could end; set its eos_token."
        )
    return tokenizer


def load_model(
    config: Path, name: str, arguments: SFTConfig, tokenizer: PreTrainedTokenizer, console: Console
) -> PreTrainedModel:
    """The model in the run's precision; SFTConfig has told transformers about ZeRO-3, so it is sharded while it is read."""
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    choices = {"dtype": dtype, "attn_implementation": choose_attention(dtype, arguments.packing, console)}
    choices |= arguments.model_init_kwargs or {}
    arguments.model_init_kwargs = None  # used up: the trainer is given a model, not a name
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **choices)
    except (OSError, ValueError) as error:
        raise UserError(f"{config}: model_name_or_path: {first_line(error)}") from None
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def main(argv: list[str] | None = None) -> int:
    """Trains by the config named on the command line; returns the exit code."""
    options = parser().parse_args(argv)
    first = os.environ.get("RANK", "0") == "0"
    try:
        settings = read_settings(options.config)
        with log_of(run_folder(settings), options.preflight) as log, quiet(log) as console:
            console.quiet = not first
            with unexpected_errors(log):
                train(options, settings, run_folder(settings), console)
    except UserError as error:
        if signals.claim():
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


@contextlib.contextmanager
def log_of(run: Path, preflight_only: bool) -> Iterator[Path]:
    """The log for library output: in the run's folder, which is locked meanwhile; for preflight, a temporary file."""
    if not preflight_only:
        with lock.held(run):
            yield run / checkpoints.TRAIN_LOG
        return
    log = Path(tempfile.mkdtemp(prefix="preflight-"), checkpoints.TRAIN_LOG)
    try:
        yield log
    except UserError as error:
        if str(log) in str(error):  # the message names the log, so the log stays
            raise
        shutil.rmtree(log.parent)
        raise
    shutil.rmtree(log.parent)


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="sft.py", description="Supervised fine-tuning on math.")
    whole.add_argument(
        "config", type=Path, nargs="?", default=Path("sft_config.yaml"), metavar="CONFIG", help="default: %(default)s"
    )
    whole.add_argument("--preflight", action="store_true", help="run the checks and stop")
    whole.add_argument("--resume", action="store_true", help="resume from the newest checkpoint with optimizer state")
    whole.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="CHECK",
        help="run although this check of preflight fails; may be repeated",
    )
    return whole


if __name__ == "__main__":
    sys.exit(main())
