"""The common input of all trainings: one base model in float32, one set of rows, one config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from data.submission import tokenizer
from eval.files import read_mapping
from training.examples import load_splits
from training.settings import ContractArguments

ROWS = {"train": 400, "validation": 100}
# Settings of the launcher, the disk and the screen, and what float32 on a small model does not need. The rest of the
# config decides what is learnt, and is compared.
FIXED: dict[str, Any] = {
    "bf16": False,
    "fp16": False,
    "gradient_checkpointing": False,
    "gradient_accumulation_steps": 1,
    "save_strategy": "steps",
    "save_only_model": True,
    "eval_strategy": "no",
    "logging_steps": 1,
    "report_to": "none",
    "dataset_mode": "local",
}
DROPPED = ("run_name", "num_train_epochs", "save_total_limit", "eval_steps", "completion_only_loss", "use_peft")


def write(work: Path, config: Path) -> None:
    """The base model and the rows of the config at `config`, below `work`. Raises UserError where they cannot be read."""
    settings = read_mapping(config, "name a config: --config FILE")
    contract = ContractArguments(
        str(settings.get("model_name_or_path")), str(settings.get("dataset_name_or_path")), "local"
    )
    write_base(work / "base", contract.model_name_or_path)
    write_rows(work / "dataset", load_splits(contract))


def write_base(folder: Path, model: str) -> None:
    """A two-layer Llama with random weights, and the tokenizer of `model` in the form that both stacks load."""
    tokenizer.write(model, folder)
    torch.manual_seed(0)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    vocabulary = max(AutoTokenizer.from_pretrained(folder).get_vocab().values()) + 1
    config = LlamaConfig(vocab_size=vocabulary, max_position_embeddings=2048, initializer_range=0.1, **size)
    LlamaForCausalLM(config).save_pretrained(folder)


def write_rows(folder: Path, splits: dict[str, Any]) -> None:
    """The first rows of each split as JSON Lines that both stacks load."""
    folder.mkdir(parents=True)
    for split, rows in splits.items():
        some = rows.select(range(min(len(rows), ROWS[split])))
        lines = [json.dumps({"messages": row["messages"]}) for row in some]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def settings_of(path: Path, work: Path, steps: int, packing: bool) -> dict[str, Any]:
    """The config at `path`, for `steps` steps in float32 on the files below `work`."""
    given = {key: value for key, value in read_mapping(path, "name a config").items() if key not in DROPPED}
    batch = 1 if packing else min(int(given.get("per_device_train_batch_size", 4)), 4)
    return given | FIXED | {
        "model_name_or_path": str(work / "base"),
        "dataset_name_or_path": str(work / "dataset"),
        "output_dir": str(work / "checkpoints"),
        "max_steps": steps,
        "save_steps": steps,
        "per_device_train_batch_size": batch,
        "packing": packing,
    }  # fmt: skip
