"""What this project's own trainer would learn from the same submission: the other column of the parity table.

    python own_trainer.py JOB.json OUT.json      with the project's own Python and the project on PYTHONPATH

JOB has `settings` beside what stock_trainer.py takes: the config as it was trained here, local keys included. Builds
sft.py's trainer on the same tiny Llama and reads its batches; no step is taken, `make train` does that every day.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import measure
import probe
import torch
import yaml
from rich.console import Console
from transformers import AutoModelForCausalLM


def look(job: dict[str, Any], told: dict[str, Any]) -> None:
    """Fills `told` stage by stage, in sft.py's order."""
    sys.path.insert(0, job["submission"])  # its sft_utils, before the project's
    import datasets
    import transformers
    import trl

    from training.attention import choose_attention
    from training.examples import load_splits, render
    from training.settings import parse_settings, read_settings
    from training.trainer import Trainer

    told["versions"] = {module.__name__: module.__version__ for module in (torch, transformers, trl, datasets)}
    console = Console(file=sys.stderr)
    told["stage"] = "settings"
    forced = {
        "bf16": False,
        "fp16": False,
        "use_cpu": True,
        "report_to": "none",
        "torch_compile": False,
        "use_liger_kernel": False,
    }
    config = Path(job["writable"]) / "sft_config.yaml"
    config.write_text(yaml.safe_dump(job["settings"] | forced), encoding="utf-8")
    contract, lora, arguments = parse_settings(config, read_settings(config), Path(job["writable"]))
    told |= measure.settings_truth(arguments) | {"packing": arguments.packing, "max_length": arguments.max_length}

    told["stage"] = "data"
    tokenizer = probe.load_module(Path(job["submission"])).get_tokenizer(job["model"])
    raw = load_splits(contract)
    told["rows"] = {name: len(rows) for name, rows in raw.items()}
    told["digests"] = {name: probe.rows_digest(rows) for name, rows in raw.items()}
    some = {name: measure.sample(rows, job["rows"]) for name, rows in raw.items()}
    rendered = {name: render(rows, tokenizer, name, console, arguments.packing) for name, rows in some.items()}
    told["looked_at"] = len(rendered["train"])
    told["longer_than_2048"] = sum(len(ids) > 2048 for ids in rendered["train"]["input_ids"]) / len(rendered["train"])
    usable = {
        name: rows.filter(lambda row: 0 < len(row["input_ids"]) <= arguments.max_length, load_from_cache_file=False)
        for name, rows in rendered.items()
    }
    told["cut"] = 0.0  # rows beyond max_length are refused, or left out where that is allowed

    told["stage"] = "trainer"
    attention = choose_attention(torch.float32, arguments.packing, console)
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation=attention)
    arguments.model_init_kwargs = None
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=usable["train"].select_columns(["input_ids", "completion_mask"]),
        eval_dataset=usable["validation"].select_columns(["input_ids", "completion_mask"]),
        processing_class=tokenizer,
        peft_config=lora.config(),
    )
    told["steps"] = measure.steps(len(trainer.train_dataset) * len(raw["train"]) / len(some["train"]), arguments)
    told["stage"] = "batches"
    loader = trainer.get_train_dataloader()
    told |= measure.token_truth(loader, tokenizer.bos_token_id, tokenizer.eos_token_id, arguments.packing)
    told["attends_across"] = (
        measure.attends_across(model, loader, tokenizer.eos_token_id) if arguments.packing else False
    )


def main() -> int:
    job, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    told: dict[str, Any] = {"stage": "start"}
    started = time.monotonic()
    try:
        look(job, told)
        told["stage"] = "done"
    except Exception as error:
        told["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
    told["seconds"] = round(time.monotonic() - started, 1)
    out.write_text(json.dumps(told, default=str), encoding="utf-8")
    return 0 if told["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
