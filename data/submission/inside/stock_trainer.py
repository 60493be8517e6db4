"""The contract's trainer, step by step in its order, on what a submission holds and nothing else.

    python stock_trainer.py JOB.json OUT.json      with the Python of .venv-stock, in the unpacked submission

JOB: {"submission", "writable", "model", "rows"}: the folder, where this may write, a folder with a
tokenizer and a config.json that has the model's vocab_size, and how many rows are looked at. Random
weights of two small layers are written to "model". Training ends after two updates; what else a CPU
forces is listed in OUT. OUT says at which stage it failed, or what was seen: the token-level truth of
that stack, and whether the saved weights were trained.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import measure
import probe
import torch
import transformers
import trl
from accelerate import Accelerator
from stock_config import Rehearsed
from transformers import (
    AutoModelForCausalLM,
    HfArgumentParser,
    LlamaConfig,
    LlamaForCausalLM,
    TrainerCallback,
    set_seed,
)
from trl import SFTTrainer

MAX_TOKENS = 2048
MAX_ROWS = {"train": 100_000, "validation": 100}
STEPS = 2
SMALLEST_RATE, NO_WARMUP = 1e-9, ("constant", "reduce_lr_on_plateau")  # as in checks/raises.py
EVAL_ROWS = 4  # evaluated; all of them are rendered, counted and packed
ONLINE = (
    "dataset_mode is {} (left out, it is online): the contract's trainer trains on the hub's rows, not yours; "
    "write dataset_mode: local"
)


class Fault(Exception):
    """What is wrong with the submission, in one sentence."""


class Stop(TrainerCallback):
    """Ends the training after STEPS updates; the schedule stays that of the whole run."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= STEPS:
            control.should_training_stop = True


def tiny_llama(folder: Path, seed: int = 42) -> int:
    """Writes random weights of two small layers beside the tokenizer; returns the vocabulary's size."""
    torch.manual_seed(seed)
    vocabulary = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"])
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    # Wide enough that what one token changes can be seen in another.
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=MAX_TOKENS, initializer_range=0.2, **size)
    LlamaForCausalLM(config).save_pretrained(folder)
    return vocabulary


def rehearse(job: dict[str, Any], told: dict[str, Any], seen: dict[str, Any]) -> None:
    """Fills `told` stage by stage; `seen` gets config and tokenizer, which explain a failure."""
    told["versions"] = {module.__name__: module.__version__ for module in (torch, transformers, trl, datasets)}
    told["vocabulary"] = tiny_llama(Path(job["model"]))
    Accelerator()
    told["stage"] = "parser"
    config = seen["config"] = parsed(job["writable"])
    told["forced"], told["shortened"] = config.forced, sorted(config.shortened)
    told |= measure.settings_truth(config.meant) | {"packing": config.packing, "max_length": MAX_TOKENS}
    set_seed(config.seed)

    told["stage"] = "get_tokenizer"
    module = probe.load_module(Path(job["submission"]))
    tokenizer = seen["tokenizer"] = module.get_tokenizer(model_name_or_path=job["model"], set_pad_token=config.packing)
    told["stage"] = "load_datasets"
    if config.dataset_mode != "local":
        raise Fault(ONLINE.format(config.dataset_mode))
    splits = probe.load_splits(module, config.dataset_name_or_path)
    told["rows"] = {name: len(rows) for name, rows in splits.items()}
    told["digests"] = {name: probe.rows_digest(rows) for name, rows in splits.items()}

    told["stage"] = "apply_chat_template"
    arguments = {"tokenizer": tokenizer, "task": "sft"}
    texts = {name: rows.map(module.apply_chat_template, fn_kwargs=arguments) for name, rows in splits.items()}
    folder = Path(config.output_dir) / time.strftime("model_%Y_%m_%d_%H%M%S")
    folder.mkdir(parents=True)
    refuse_counts(texts)
    some = {name: measure.sample(rows, job["rows"]) for name, rows in texts.items()}
    told["looked_at"] = len(some["train"])

    told["stage"] = "SFTTrainer"
    choices = {"revision": False, "trust_remote_code": False, "use_cache": not config.gradient_checkpointing}
    trainer = SFTTrainer(
        model=job["model"],
        model_init_kwargs=choices | {"attn_implementation": "sdpa", "torch_dtype": torch.float32},
        args=config,
        train_dataset=some["train"] if config.do_train else None,
        eval_dataset=some["validation"] if config.do_eval else None,
        dataset_text_field="text",
        max_seq_length=MAX_TOKENS,
        tokenizer=tokenizer,
        packing=config.packing,
        callbacks=[Stop()],
    )
    told["stage"] = "batches"
    look_at_batches(trainer, config, some["train"], len(splits["train"]), told)
    # One row a step: the loss over a vocabulary of 128,256 takes a gigabyte a row.
    config.per_device_train_batch_size = config.per_device_eval_batch_size = trainer._train_batch_size = 1
    if config.do_train:
        told["stage"] = "train"
        train(trainer, told)
    if config.do_eval:
        told["stage"] = "evaluate"
        evaluate(trainer, told)
    told["stage"] = "save"
    trainer.save_model(str(folder))
    trainer.model.config.save_pretrained(folder)
    told["stage"] = "reload"
    compare_weights(folder, Path(job["model"]), trainer, config, told)


def parsed(writable: str) -> Rehearsed:
    """The config file under the stock parser, which raises on every key that it does not know."""
    Rehearsed.out = writable
    return HfArgumentParser(Rehearsed).parse_yaml_file("sft_config.yaml")[0]


def refuse_counts(texts: dict[str, Any]) -> None:
    for name, rows in texts.items():
        if len(rows) > MAX_ROWS[name]:
            raise Fault(
                f"load_datasets gives {len(rows):,} rows of {name}; the contract's trainer asserts at most "
                f"{MAX_ROWS[name]:,}"
            )


def look_at_batches(trainer: SFTTrainer, config: Rehearsed, texts: Any, rows: int, told: dict[str, Any]) -> None:
    """The figures of the batches as training would get them, in their submitted size."""
    tokenizer = trainer.tokenizer
    if config.do_eval:
        for _ in known(trainer.get_eval_dataloader(), tokenizer, told["vocabulary"]):
            pass
    if not config.do_train:
        return
    lengths = [len(ids) for ids in tokenizer(texts["text"]).input_ids]
    told["longer_than_2048"] = sum(length > MAX_TOKENS for length in lengths) / len(lengths)
    told["steps"] = measure.steps(len(trainer.train_dataset) * rows / len(texts), config.meant)
    refuse_warmup(config.meant, told["steps"])
    loader = trainer.get_train_dataloader()
    batches = known(loader, tokenizer, told["vocabulary"])
    told |= measure.token_truth(batches, tokenizer.bos_token_id, tokenizer.eos_token_id, config.packing)
    if not told["examples"]:
        raise Fault("the training rows fill no batch (dataloader_drop_last?), so nothing would be trained")
    told["attends_across"], told["cut"] = False, told["longer_than_2048"]
    if config.packing:
        told["attends_across"] = measure.attends_across(trainer.model, loader, tokenizer.eos_token_id)
        told["cut"] = told["unfinished"] * len(trainer.train_dataset) / len(texts)


def refuse_warmup(meant: Any, steps: int) -> None:
    """Fault where the whole run, which the rehearsal shortens and gives no warm-up, stays at the beginning of its own."""
    warmup = 0 if meant.lr_scheduler_type.value in NO_WARMUP else meant.get_warmup_steps(steps)
    rate = meant.learning_rate * min(1, (steps - 1) / warmup) if warmup else meant.learning_rate
    if meant.learning_rate and rate < SMALLEST_RATE:
        raise Fault(
            f"nothing would be trained: the run has {steps:,} steps and a warm-up of {warmup:,}, so its learning rate "
            f"stays below {SMALLEST_RATE} (it begins at 0); more steps, or less warm-up"
        )


def known(loader: Iterable[Any], tokenizer: Any, vocabulary: int) -> Iterator[Any]:
    """The batches; Fault at a token that the model has no embedding for, where training would die."""
    for batch in loader:
        last = int(batch["input_ids"].max())
        if last >= vocabulary:
            token = tokenizer.convert_ids_to_tokens(last)
            raise Fault(
                f"the token {token!r} has the id {last:,}, and the model's vocabulary ends at {vocabulary - 1:,} "
                "(IndexError in the embedding): get_tokenizer may not add tokens; use one that the vocabulary has"
            )
        yield batch


def train(trainer: SFTTrainer, told: dict[str, Any]) -> None:
    if trainer.eval_dataset is not None:
        trainer.eval_dataset = measure.sample(trainer.eval_dataset, EVAL_ROWS)
    metrics = trainer.train().metrics
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics)
    trainer.save_state()
    losses = told["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not all(map(math.isfinite, losses)):
        raise Fault(f"the losses are {losses}")
    told["gradient_norms"] = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]


def evaluate(trainer: SFTTrainer, told: dict[str, Any]) -> None:
    trainer.eval_dataset = measure.sample(trainer.eval_dataset, EVAL_ROWS)
    metrics = trainer.evaluate()
    told["eval_loss"] = metrics["eval_loss"]
    metrics["perplexity"] = math.exp(min(metrics["eval_loss"], 700))
    trainer.log_metrics("eval", metrics)
    trainer.save_metrics("eval", metrics)


def compare_weights(folder: Path, base: Path, trainer: SFTTrainer, config: Rehearsed, told: dict[str, Any]) -> None:
    """Raises Fault where the saved weights are not the trained ones, or equal those of the base."""
    saved, before = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (folder, base))
    trained = trainer.model.state_dict()
    if not all(torch.equal(saved[name], trained[name]) for name in trained):
        raise Fault("the weights that were saved are not those that were trained")
    changed = sum(not torch.equal(saved[name], before[name]) for name in before)
    told["updates"], told["tensors"], told["tensors_changed"] = trainer.state.global_step, len(before), changed
    if not changed:
        raise Fault(f"nothing was trained, the saved weights are the base model's: {why(config, told['updates'])}")


def why(config: Rehearsed, updates: int) -> str:
    """The reason for a model that did not change."""
    if not config.do_train:
        return "do_train is not true; write do_train: true"
    if not updates:
        return f"no step was taken (num_train_epochs: {config.num_train_epochs}, max_steps: {config.max_steps})"
    if not config.learning_rate:
        return f"learning_rate is {config.learning_rate}"
    return f"{updates} updates changed no weight (learning_rate {config.learning_rate})"


def explain(error: BaseException, seen: dict[str, Any]) -> str:
    """One sentence about the error that ended the rehearsal and would have ended the real training."""
    said = " ".join(str(error).split())[:400]
    if isinstance(error, Fault):
        return said
    said = f"{type(error).__name__}: {said}"
    config, tokenizer = seen.get("config"), seen.get("tokenizer")
    if config is not None and tokenizer is not None:
        if not config.packing and "padding token" in said:
            return (
                "packing is false, so get_tokenizer is called with set_pad_token=False, sets no pad token, and TRL's "
                f"collator cannot pad ({said}); always set it there"
            )
        if not config.do_train and isinstance(error, AttributeError) and "infinite" in said:
            return f"do_train is not true, so SFTTrainer gets no rows to pack ({said}); write do_train: true"
    return said


def main() -> int:
    job, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    told: dict[str, Any] = {"stage": "start"}
    seen: dict[str, Any] = {}
    started = time.monotonic()
    try:
        rehearse(job, told, seen)
        told["stage"] = "done"
    except BaseException as error:  # whatever it is, it would have ended the submission's training
        told["error"] = explain(error, seen)
        if not isinstance(error, KeyboardInterrupt):
            import traceback

            traceback.print_exc()
    told["seconds"] = round(time.monotonic() - started, 1)
    out.write_text(json.dumps(told, default=str), encoding="utf-8")
    return 0 if told["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
