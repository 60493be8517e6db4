"""Two steps of training as the contract's stock stack does them, on what a submission holds and nothing else.

    python stock_trainer.py JOB.json OUT.json      with the Python of .venv-stock, in the unpacked submission

The three functions, the config under the stock parser, TRL's SFTTrainer, a tiny random Llama on CPU, save, reload.
OUT says at which stage it failed, or what was seen: the token-level truth of that stack.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import measure
import probe
import torch
import transformers
import trl
import yaml
from transformers import AutoModelForCausalLM, HfArgumentParser, LlamaConfig, LlamaForCausalLM, TrainingArguments
from trl import SFTTrainer

MAX_TOKENS = 2048
STEPS = 2

# What a machine without a GPU refuses, and what it does instead; only keys that the config sets otherwise are changed.
# bf16: torch 2.1.2's autocast on CPU leaves attention with two dtypes.
CPU_FORCES = {
    "bf16": False,
    "fp16": False,
    "tf32": None,
    "torch_compile": False,
    "ddp_backend": None,
    "fp16_full_eval": False,
}
FUSED = ("_fused", "_8bit", "_bnb", "_apex", "npu", "paged_")  # optimizers that need a GPU
# What a rehearsal needs: short, and with a checkpoint to reload.
SHORT = {"use_cpu": True, "max_steps": STEPS, "save_strategy": "steps", "save_steps": STEPS, "eval_strategy": "no"}
SHORT |= {"gradient_accumulation_steps": 1, "load_best_model_at_end": False}
SHORT |= {"warmup_steps": 0, "warmup_ratio": 0.0, "logging_steps": 1, "disable_tqdm": True}


@dataclasses.dataclass
class ContractArguments:
    """The contract's keys beside those of TrainingArguments."""

    model_name_or_path: str
    dataset_name_or_path: str
    dataset_mode: str = "local"
    packing: bool = False


def parse(settings: dict[str, Any]) -> tuple[ContractArguments, TrainingArguments]:
    """The stock parser's reading of the config: it raises on every key that it does not know."""
    parser = HfArgumentParser((ContractArguments, TrainingArguments))
    contract, arguments = parser.parse_dict(settings)
    return contract, arguments


def overrides(settings: dict[str, Any], out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what CPU forces, what the rehearsal shortens), each only where the config has something else."""
    forced = {key: value for key, value in CPU_FORCES.items() if settings.get(key)}
    if any(part in str(settings.get("optim", "")) for part in FUSED):
        forced["optim"] = "adamw_torch"
    return forced, SHORT | {"output_dir": str(out / "checkpoints")}


def tiny_llama(folder: Path, vocabulary: int, seed: int) -> None:
    """Writes random weights of two small layers beside the tokenizer in `folder`."""
    torch.manual_seed(seed)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    # Wide enough that what one token changes can be seen in another.
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=MAX_TOKENS, initializer_range=0.2, **size)
    LlamaForCausalLM(config).save_pretrained(folder)


def rehearse(job: dict[str, Any], told: dict[str, Any]) -> None:
    """Fills `told` stage by stage."""
    told["versions"] = {module.__name__: module.__version__ for module in (torch, transformers, trl, datasets)}
    folder, out = Path(job["submission"]), Path(job["writable"])
    told["stage"] = "parser"
    settings = yaml.safe_load((folder / "sft_config.yaml").read_text(encoding="utf-8"))
    forced, short = overrides(settings, out)
    # As submitted, but for what the parser itself refuses without a GPU.
    parse(settings | {"use_cpu": True} | {key: value for key, value in forced.items() if key != "bf16"})
    told["forced"], told["shortened"] = forced, sorted(short)
    as_meant = as_configured(settings)  # before the real ones: building arguments resets accelerate's state
    # Left there by the parse above, it would switch autocast on all the same.
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
    contract, arguments = parse(settings | forced | short)
    told |= measure.settings_truth(as_meant) | {"packing": contract.packing, "max_length": MAX_TOKENS}

    told["stage"] = "get_tokenizer"
    module = probe.load_module(folder)
    tokenizer = module.get_tokenizer(job["model"])
    told["stage"] = "load_datasets"
    splits = probe.load_splits(module, contract.dataset_name_or_path)
    told["rows"] = {name: len(rows) for name, rows in splits.items()}
    told["digests"] = {name: probe.rows_digest(rows) for name, rows in splits.items()}

    told["stage"] = "apply_chat_template"
    some = {name: measure.sample(rows, job["rows"]) for name, rows in splits.items()}
    told["looked_at"] = len(some["train"])
    texts = {
        name: rows.map(lambda row: module.apply_chat_template(row, tokenizer, "sft")) for name, rows in some.items()
    }
    lengths = [len(ids) for ids in tokenizer(texts["train"]["text"]).input_ids]
    told["longer_than_2048"] = sum(length > MAX_TOKENS for length in lengths) / len(lengths)

    told["stage"] = "SFTTrainer"
    tiny_llama(Path(job["model"]), len(tokenizer), arguments.seed)
    model = AutoModelForCausalLM.from_pretrained(job["model"], torch_dtype=torch.float32)
    model.config.use_cache = not arguments.gradient_checkpointing
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=texts["train"],
        eval_dataset=texts["validation"],
        tokenizer=tokenizer,
        dataset_text_field="text",
        max_seq_length=MAX_TOKENS,
        packing=contract.packing,
    )
    scale = len(splits["train"]) / len(some["train"])
    told["steps"] = measure.steps(len(trainer.train_dataset) * scale, as_meant)

    told["stage"] = "batches"
    loader = trainer.get_train_dataloader()
    told |= measure.token_truth(loader, tokenizer.bos_token_id, tokenizer.eos_token_id, contract.packing)
    told["attends_across"] = (
        measure.attends_across(model, loader, tokenizer.eos_token_id) if contract.packing else False
    )
    told["cut"] = (
        told["unfinished"] * len(trainer.train_dataset) / len(texts["train"])
        if contract.packing
        else told["longer_than_2048"]
    )

    told["stage"] = "two steps"
    # One row a step: the loss over a vocabulary of 128,256 takes a gigabyte a row.
    trainer.args.per_device_train_batch_size = trainer._train_batch_size = 1
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    told["losses"] = losses
    if not losses or not all(map(math.isfinite, losses)):
        raise ValueError(f"the losses are {losses}")
    told["gradient_norms"] = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]
    told["stage"] = "save"
    trainer.save_model(str(out / "saved"))
    told["stage"] = "reload"
    again = AutoModelForCausalLM.from_pretrained(out / "saved")
    if not all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters())):  # noqa: B905
        raise ValueError("the weights that were saved are not those that were trained")


def as_configured(settings: dict[str, Any]) -> TrainingArguments:
    """The arguments of a real run, but for what this machine cannot do: they say what the stack's own defaults fill in."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    mine = {key: value for key, value in settings.items() if key in names and key not in CPU_FORCES}
    (arguments,) = HfArgumentParser((TrainingArguments,)).parse_dict(mine | {"use_cpu": True, "report_to": "none"})
    return arguments


def main() -> int:
    job, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    told: dict[str, Any] = {"stage": "start"}
    started = time.monotonic()
    try:
        rehearse(job, told)
        told["stage"] = "done"
    except BaseException as error:  # whatever it is, it would have ended the submission's training
        told["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        if not isinstance(error, KeyboardInterrupt):
            import traceback

            traceback.print_exc()
    told["seconds"] = round(time.monotonic() - started, 1)
    out.write_text(json.dumps(told, default=str), encoding="utf-8")
    return 0 if told["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
