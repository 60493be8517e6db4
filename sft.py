"""Supervised fine-tuning on math, read top to bottom.

    accelerate launch --config_file=deepspeed_zero3.yaml sft.py [CONFIG] [--preflight] [--resume] [--allow CHECK …]

CONFIG defaults to sft_config.yaml. Checkpoints go to <output_dir>/<run_name>/checkpoint-<step>, each with the weights
gathered from the ZeRO-3 shards, the tokenizer, and prompt.json, data.json and run.json, which say what made it.
What libraries print goes to train.log beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizer, set_seed
from trl import SFTConfig

from eval import checkpoints, prompts
from eval.console import quiet, unexpected_errors
from eval.records import UserError, first_line
from sft_utils import get_tokenizer
from training import preflight, resume
from training.attention import choose_attention
from training.examples import load_splits, render
from training.notes import CheckpointNotes, describe_data, describe_run, finish
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
    raw = load_splits(contract)
    with arguments.main_process_first(desc="tokenise"):  # the others find its cache
        splits = {
            name: render(rows, tokenizer, f"{contract.dataset_name_or_path} {name}", console)
            for name, rows in raw.items()
        }

    parameters = contract.trained_parameters(lora)
    looked_at = preflight.Run(contract, arguments, tokenizer, raw, splits, parameters, arguments.world_size)
    found = preflight.checks(looked_at)
    preflight.show(found, options.allow, looked_at, console)
    if local := local_keys(settings):
        console.print(f"for local runs only, the contract's own trainer does not know: {', '.join(local)}")
    preflight.refuse(found, options.allow)
    if options.preflight:
        return
    # What was allowed although it cannot be trained on is left out, not cut.
    usable = {
        name: rows.filter(lambda row: 0 < len(row["input_ids"]) <= arguments.max_length, load_from_cache_file=False)
        for name, rows in splits.items()
    }
    notes = {
        "prompt.json": prompts.describe(tokenizer, [name for name in options.allow if name in prompts.FAULTS]),
        "data.json": describe_data(contract, usable, bool(arguments.completion_only_loss)),
        "run.json": describe_run(options.config, settings),
    }
    resume_from = resume.checkpoint(run, options.resume, notes)

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
    with contextlib.ExitStack() as bar:
        trainer.add_callback(ProgressLine(trainer, console, bar))
        try:
            trainer.train(resume_from_checkpoint=resume_from)
        except torch.OutOfMemoryError as error:
            raise explain_memory(arguments, error) from error
    if trainer.is_world_process_zero():
        console.print(f"{len(finish(run, trainer.state.global_step))} checkpoints in {run}")
    trainer.accelerator.end_training()  # else a thread of the process group may abort a finished process at its exit


def load_tokenizer(config: Path, name: str) -> PreTrainedTokenizer:
    try:
        return get_tokenizer(name)
    except (OSError, ValueError) as error:
        raise UserError(f"{config}: model_name_or_path: {first_line(error)}") from None


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
        run = run_folder(settings)
        log = run / checkpoints.TRAIN_LOG
        with quiet(log) as console:
            console.quiet = not first
            with unexpected_errors(log):
                train(options, settings, run, console)
    except UserError as error:
        say_once(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say_once("stopped; finished checkpoints are kept.")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="sft.py", description="Supervised fine-tuning on math.")
    whole.add_argument("config", type=Path, nargs="?", default=Path("sft_config.yaml"), metavar="CONFIG")
    whole.add_argument("--preflight", action="store_true", help="stop after the checks")
    whole.add_argument("--resume", action="store_true", help="go on from the newest checkpoint with optimizer state")
    whole.add_argument("--allow", action="append", default=[], metavar="CHECK", help="run although this check fails")
    return whole


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
