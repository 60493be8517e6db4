"""Useful tokens a second: sft.py against a bare TRL script on the same batch, and packed against unpacked rows.

The rows are the demo's; BENCH_DATA=<folder with train.jsonl and validation.jsonl> python -m bench training takes others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.measure import BASE, DATA, Row

ROWS = Path(os.environ.get("BENCH_DATA", DATA))
STEPS, BATCH = 6, 2
SKIPPED = 2  # first steps of each run, which warm caches up

SETTINGS: dict[str, Any] = {
    "model_name_or_path": str(BASE),
    "dataset_name_or_path": str(ROWS),
    "max_steps": STEPS,
    "per_device_train_batch_size": BATCH,
    "learning_rate": 1.0e-05,
    "packing": False,
    "bf16": False,
    "gradient_checkpointing": False,
    "max_grad_norm": 1.0,
    "save_strategy": "no",
    "eval_strategy": "no",
    "logging_steps": 1,
    "include_num_input_tokens_seen": "non_padding",
    "report_to": "none",
    "seed": 42,
}

# What a person would write after reading TRL's documentation, on the same rows under the same launcher.
BARE = """
import json, sys, time
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

settings, out = json.load(open(sys.argv[1])), sys.argv[2]
model, data = settings.pop("model_name_or_path"), settings.pop("dataset_name_or_path")
config = SFTConfig(output_dir=out, max_length=2048, use_cpu=__import__("torch").cuda.is_available() is False, **settings)
rows = load_dataset("json", data_files=f"{data}/train.jsonl", split="train")
text = lambda row: {"text": f"### Problem: {row['messages'][0]['content']}\\n### Solution: {row['messages'][1]['content']}"}
rows = rows.map(text, remove_columns=rows.column_names)

class Clock(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        print("STEP", time.time(), int(state.num_input_tokens_seen), file=open(f"{out}.steps", "a"))

model = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
SFTTrainer(model, config, train_dataset=rows, callbacks=[Clock()]).train()
"""


def rows() -> list[Row]:
    """Three rows; ZeRO-3's own cost is that of the same bare script without it."""
    with tempfile.TemporaryDirectory(dir="checkpoints") as place:
        ours = sft(Path(place), "ours", {})
        bare, plain = (
            bare_script(Path(place), name, launched) for name, launched in (("bare", True), ("plain", False))
        )
        packed = sft(Path(place), "packed", {"packing": True})
    return [
        row(f"train, {BATCH} rows a step, unpacked", ours, "bare TRL script", bare),
        row(f"train, {BATCH} packed rows of 2,048", packed, "unpacked", ours),
        row("the bare script under ZeRO-3, one process", bare, "plain PyTorch", plain),
    ]


def row(what: str, mine: float, beside: str, theirs: float) -> Row:
    return what, f"{mine:.0f} tokens/s", f"{beside} {theirs:.0f} tokens/s", f"{mine / theirs:.2f}"


def sft(place: Path, name: str, changes: dict[str, Any]) -> float:
    """Tokens a second of sft.py; its own log has them step by step."""
    steps = {"dataset_mode": "local", "save_strategy": "steps", "save_steps": STEPS, "save_only_model": True}
    config = place / f"{name}.yaml"
    config.write_text(yaml.safe_dump(SETTINGS | steps | {"output_dir": str(place), "run_name": name} | changes))
    launch("sft.py", config, "--allow", "duplicates")
    state = json.loads((place / name / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    speeds = [entry for entry in state["log_history"] if "tokens_per_second" in entry][SKIPPED:]
    shutil.rmtree(place / name)
    # Steps differ in length: tokens over seconds, not the mean of their ratios.
    tokens = [entry["num_input_tokens_seen"] for entry in state["log_history"] if "tokens_per_second" in entry]
    sizes = [later - earlier for earlier, later in zip(tokens[SKIPPED - 1 :], tokens[SKIPPED:], strict=False)]
    return sum(sizes) / sum(size / entry["tokens_per_second"] for size, entry in zip(sizes, speeds, strict=True))


def bare_script(place: Path, name: str, launched: bool) -> float:
    """Tokens a second of the bare script, under the launcher or as plain Python."""
    script, settings = place / "bare.py", place / "bare.json"
    script.write_text(BARE)
    settings.write_text(json.dumps(SETTINGS))
    launch(script, settings, place / name, zero3=launched)
    lines = [line.split()[1:] for line in Path(f"{place / name}.steps").read_text().splitlines()]
    (first, seen), (last, all_seen) = lines[SKIPPED - 1], lines[-1]
    return (int(all_seen) - int(seen)) / (float(last) - float(first))


def launch(*command: object, zero3: bool = True) -> None:
    """The launcher as `make train` calls it, one process, all cores."""
    environment = os.environ | {
        "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(os.cpu_count()), "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "PYTHONPATH": ".",
    }  # fmt: skip
    launcher = ["launch.py", "--config_file=deepspeed_zero3.yaml", "--num_processes=1"] if zero3 else []
    subprocess.run([sys.executable, *launcher, *map(str, command)], check=True, env=environment)
