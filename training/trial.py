"""Tries the settings on a tiny model, so that libraries refuse them now and not after the weights are loaded."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from eval.records import UserError

LONGEST = 400  # characters of a library's message
STEPS = 100  # of the schedule that is tried; the real number is known after the rows are loaded
WITHOUT_ARGUMENTS = ("constant", "constant_with_warmup")  # these two ignore what they are given
WORDS = {"<pad>": 0, "<eos>": 1, "a": 2}
ROWS = {"input_ids": [[2, 2, 1]] * 4, "completion_mask": [[0, 1, 1]] * 4}


def build_arguments(path: Path, settings: dict[str, Any]) -> SFTConfig:
    """TRL's arguments. Raises UserError where a library refuses them, with its message, and with the key if a single one is at fault."""
    if settings.get("lr_scheduler_kwargs") and settings.get("lr_scheduler_type") in WITHOUT_ARGUMENTS:
        raise UserError(
            f"{path}: lr_scheduler_kwargs is {settings['lr_scheduler_kwargs']}, but lr_scheduler_type "
            f"{settings['lr_scheduler_type']} takes no arguments; remove it."
        )
    try:
        try_out(settings)
    except Exception as error:  # each library has types of its own
        key = blame(settings)
        said = f"{key} is {'…' if 'token' in key else repr(settings[key])}: " if key else ""
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: {said}{reason[:LONGEST].rstrip('.')}.") from None
    return SFTConfig(**settings)  # a new object: a trainer changes its arguments, and DeepSpeed's config


def blame(settings: dict[str, Any]) -> str | None:
    """The key whose removal makes the libraries accept the settings; None where no single key does."""
    for key in settings:
        if key == "output_dir":
            continue
        try:
            try_out({name: value for name, value in settings.items() if name != key})
        except Exception:  # still refused
            continue
        return key
    return None


def try_out(settings: dict[str, Any]) -> None:
    """Builds trainer, optimizer, schedule and batches on a tiny Llama, and takes one gradient. Raises what they raise."""
    try:
        build_trainer(SFTConfig(**copy.deepcopy(settings)))
    finally:
        AcceleratorState._reset_state()  # which holds DeepSpeed's config of the trainer that was tried


def build_trainer(arguments: SFTConfig) -> None:
    """Builds the trainer as sft.py will, except for the model, the rows and the output."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(WORDS, unk_token="a")), pad_token="<pad>", eos_token="<eos>"
    )
    rows = Dataset.from_dict(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(arguments)
        if arguments.model_init_kwargs:
            model.save_pretrained(folder)
            LlamaForCausalLM.from_pretrained(folder, **arguments.model_init_kwargs)
        trainer = SFTTrainer(
            model=model,
            args=own_copy(arguments, folder),
            train_dataset=rows,
            eval_dataset=rows,
            processing_class=tokenizer,
        )
        trainer.create_scheduler(STEPS, trainer.create_optimizer())
        trainer.get_train_dataloader()
        trainer.get_eval_dataloader()
        trainer.data_collator([trainer.train_dataset[0]])


def own_copy(arguments: SFTConfig, folder: str) -> SFTConfig:
    """The arguments for a trainer that leaves nothing behind: no upload, no tracker, no folder, no process of its own."""
    mine = copy.copy(arguments)
    mine.output_dir, mine.report_to, mine.push_to_hub, mine.dataset_num_proc = folder, [], False, None
    return mine


def tiny_model(arguments: SFTConfig) -> LlamaForCausalLM:
    """A Llama of a few hundred parameters; with gradient checkpointing, one gradient is computed that way."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=8, num_key_value_heads=1, **sizes))
    if arguments.gradient_checkpointing:
        kwargs = dict(arguments.gradient_checkpointing_kwargs or {})
        kwargs.pop("selective", None)  # TRL's own
        model.gradient_checkpointing_enable(kwargs or None)
        ids = torch.tensor(ROWS["input_ids"])
        model.train()(input_ids=ids, labels=ids).loss.backward()
        model.gradient_checkpointing_disable()
    return model
