"""A submission as the contract hands it out: its config, its sft_utils.py, and rows that its `datasets` saved."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from data.submission import sandbox

# The keys of the contract's own config. It leaves `packing` out.
CONFIG: dict[str, Any] = {
    "overwrite_hub_revision": True,
    "model_name_or_path": "meta-llama/Llama-3.2-1B",
    "dataset_name_or_path": "dataset",
    "dataset_mode": "local",
    "bf16": True,
    "do_eval": True,
    "do_train": True,
    "evaluation_strategy": "epoch",
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "learning_rate": 2.0e-05,
    "log_level": "passive",
    "logging_steps": 5,
    "logging_strategy": "steps",
    "lr_scheduler_type": "cosine",
    "max_steps": -1,
    "num_train_epochs": 3,
    "output_dir": "checkpoints",
    "hub_model_revision": "main",
    "run_name": "math",
    "overwrite_output_dir": True,
    "per_device_eval_batch_size": 8,
    "per_device_train_batch_size": 4,
    "push_to_hub": False,
    "remove_unused_columns": True,
    "report_to": ["tensorboard", "wandb"],
    "save_strategy": "no",
    "seed": 42,
    "wandb_run_group": "math",
    "wandb_run_id": None,
    "wandb_tags": ["sft"],
    "warmup_ratio": 0.1,
}

SFT_UTILS = (Path(__file__).parents[1] / "stock_sft_utils.py").read_text()

SAVE = """
import json, sys
from datasets import Dataset, DatasetDict
files = dict(zip(("train", "test"), sys.argv[1:3]))
rows = {split: [json.loads(line) for line in open(path)] for split, path in files.items()}
DatasetDict({split: Dataset.from_list(rows[split]) for split in rows}).save_to_disk(sys.argv[3])
"""


# Starts the rehearsal of each job in a process of its own, after one import of the contract's versions.
RUN_ALL = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import stock_trainer
for path in sys.argv[2:]:
    if not os.fork():
        os.chdir(json.load(open(path))["submission"])
        sys.argv = ["", path, path + ".told"]
        os._exit(stock_trainer.main())
    os.wait()
"""


def run_all(submissions: dict[str, Path], model: Path, work: Path, stock_python: str) -> dict[str, dict[str, Any]]:
    """What the contract's trainer tells of each submission; `model` as data.submission.tokenizer wrote it."""
    jobs = {name: work / f"{number}.json" for number, name in enumerate(submissions)}
    for name, path in jobs.items():
        writable = path.with_suffix("")
        writable.mkdir()
        job = {"submission": submissions[name], "writable": writable, "model": model, "rows": 500}
        path.write_text(json.dumps(job, default=str))
    command = [stock_python, "-c", RUN_ALL, str(sandbox.INSIDE), *map(str, jobs.values())]
    subprocess.run(command, env=sandbox.scrubbed(work), check=True, capture_output=True, timeout=900)
    return {name: json.loads(Path(f"{path}.told").read_text()) for name, path in jobs.items()}


def write(folder: Path, rows: Path, stock_python: str, **changes: Any) -> Path:
    """The submission in the new `folder`, of `rows` with train.jsonl and validation.jsonl.

    `changes` are keys of the config; None leaves one out.
    """
    folder.mkdir(parents=True)
    (folder / "sft_utils.py").write_text(SFT_UTILS)
    write_config(folder, **changes)
    files = [str(rows / f"{split}.jsonl") for split in ("train", "validation")]
    for path in files:  # turns alone: this is what the contract's rows hold
        lines = [json.dumps({"messages": json.loads(line)["messages"]}) for line in Path(path).read_text().splitlines()]
        Path(path).write_text("\n".join(lines) + "\n")
    subprocess.run([stock_python, "-c", SAVE, *files, str(folder / "dataset")], check=True, capture_output=True)
    return folder


def write_config(folder: Path, **changes: Any) -> None:
    settings = {key: value for key, value in (CONFIG | changes).items() if key not in changes or value is not None}
    (folder / "sft_config.yaml").write_text(yaml.safe_dump(settings))
