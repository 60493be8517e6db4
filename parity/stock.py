"""The contract's trainer on its own versions, one rung after another: each rung removes one difference.

    .venv-stock/bin/python parity/stock.py JOB.json OUT.pt

JOB names the base model, the rows, sft_utils.py, the settings, the steps recorded by parity/record.py, and the rungs. Runs
with Python 3.10 and the contract's packages only. OUT holds (losses, final weights) of every rung.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, set_seed
from trl import SFTTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data" / "submission" / "inside"))

from probe import load_module
from stock_config import SFTConfig

MAX_TOKENS = 2048
# What a CPU and a comparison of single steps force; the rest is the contract's own default, or the rung's.
FORCED = {
    "use_cpu": True, "bf16": False, "logging_steps": 1, "save_strategy": "no", "eval_strategy": "no", "report_to": "none",
    "disable_tqdm": True, "do_train": True,
}  # fmt: skip


class Recorded(torch.utils.data.Dataset):
    """The batches of this project's run, one per item; TRL takes a data set of this kind as it is."""

    def __init__(self, batches: list[dict[str, Any]], kind: str) -> None:
        self.batches = [KINDS[kind](batch) for batch in batches]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.batches[index]


class Trainer(SFTTrainer):
    """TRL's trainer, with a list of its exact losses, and with recorded rows in the given order."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        self.losses.append(loss.item())
        return loss

    def _get_train_sampler(self) -> Any:
        if isinstance(self.train_dataset, Recorded):
            return torch.utils.data.SequentialSampler(self.train_dataset)
        return super()._get_train_sampler()


def without_positions(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as the contract's model would see its row: one text from its first token to its last."""
    return {name: batch[name] for name in ("input_ids", "labels", "attention_mask") if name in batch}


def own_attention(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with each packed example's own positions, and a mask that limits attention to it."""
    if "position_ids" not in batch:
        return without_positions(batch)
    example = (batch["position_ids"] == 0).cumsum(-1)
    same = example[:, :, None] == example[:, None, :]
    seen = (same & torch.ones_like(same).tril()).float()
    mask = (1 - seen[:, None]) * torch.finfo(torch.float32).min
    return without_positions(batch) | {"position_ids": batch["position_ids"], "attention_mask": mask}


def predicted_only(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch without the labels of first tokens, which nothing predicts, although the stock loss counts them in its mean."""
    labels = batch["labels"].clone()
    labels[:, 0] = -100
    return without_positions(batch) | {"labels": labels}


KINDS = {"rows": without_positions, "examples": own_attention, "predicted": predicted_only}


def run(job: dict[str, Any], rung: dict[str, Any]) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Trains one rung; returns (loss of each step, final weights)."""
    arguments = SFTConfig(output_dir=job["out"], **{**FORCED, **job["settings"], **rung["settings"]})
    set_seed(arguments.seed)
    module = load_module(Path(job["sft_utils"]).parent)
    tokenizer = module.get_tokenizer(model_name_or_path=job["base"], set_pad_token=job["packing"])
    model = AutoModelForCausalLM.from_pretrained(job["base"], torch_dtype=torch.float32, attn_implementation="eager")
    recorded = [batch for batch, _ in torch.load(job["recorded"])["steps"]] if rung["batches"] else None
    rows = Recorded(recorded, rung["batches"]) if recorded else texts(job, module, tokenizer, rung["one_eos"])
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=(lambda items: items[0]) if recorded else None,
        tokenizer=tokenizer,
        dataset_text_field="text",
        max_seq_length=MAX_TOKENS,
        packing=job["packing"] and not recorded,
    )
    trainer.losses = []
    if recorded:
        trainer.args.per_device_train_batch_size = trainer._train_batch_size = 1  # an item is a whole batch
    trainer.train()
    return trainer.losses, {name: weight.detach().clone() for name, weight in model.named_parameters()}


def texts(job: dict[str, Any], module: Any, tokenizer: Any, one_eos: bool) -> Any:
    """The rows as the contract's trainer renders them; with `one_eos`, without the EOS that packing appends again."""
    rows = load_dataset("json", data_files=job["rows"], split="train")
    rows = rows.map(module.apply_chat_template, fn_kwargs={"tokenizer": tokenizer, "task": "sft"})
    end = tokenizer.eos_token
    return rows.map(lambda row: {"text": row["text"][: -len(end)]}) if one_eos else rows


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    done = []
    for rung in job["rungs"]:
        done.append(run(job, rung))
        print(f"rung {len(done)} of {len(job['rungs'])}", flush=True)
    torch.save(done, sys.argv[2])


if __name__ == "__main__":
    main()
