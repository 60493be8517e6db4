"""The contract's stock config, trained: as many steps of warm-up as there, and the last step saved."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data.synthetic import write_dataset
from eval import checkpoints
from tests.training.test_stock_keys import STOCK_CONFIG

ROOT = Path(__file__).resolve().parents[2]


def launch(script: Path, config: Path) -> subprocess.CompletedProcess:
    """Runs `script` to its end under the launcher, on one process."""
    command = [
        sys.executable,
        ROOT / "launch.py",
        f"--config_file={ROOT / 'deepspeed_zero3.yaml'}",
        "--num_processes=1",
    ]
    done = subprocess.run(
        list(map(str, [*command, script, config])), cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_the_stock_config_trains_and_leaves_its_last_step(tmp_path, tiny_llama):
    """All lines of the contract's stock config, with a model, rows and a length of run that take no time."""
    write_dataset(tmp_path / "data", train=64, test=1, validation=8)
    (tmp_path / "stock.yaml").write_text(yaml.safe_dump(
        STOCK_CONFIG | {
            "model_name_or_path": str(tiny_llama), "dataset_name_or_path": str(tmp_path / "data"), "num_train_epochs": 2,
            "output_dir": str(tmp_path / "checkpoints"), "packing": False, "bf16": False, "gradient_checkpointing": False,
        }
    ))  # fmt: skip
    done = launch(ROOT / "sft.py", tmp_path / "stock.yaml")
    said = done.stdout + done.stderr
    assert "evaluation_strategy: read as eval_strategy: epoch" in said and "32 in all, 4 of them warm-up" in said
    run = tmp_path / "checkpoints" / "stock"
    (last,) = checkpoints.steps(run)
    assert last.name == "checkpoint-32" and {"prompt.json", "data.json", "run.json"} <= {
        path.name for path in last.iterdir()
    }
    assert not list(last.glob("global_step*")), "the run is over: there is nothing to resume"
    assert (run / "final/model.safetensors").samefile(last / "model.safetensors")
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    rates = {entry["step"]: entry["learning_rate"] for entry in history if "learning_rate" in entry}
    # Of 32 steps a tenth is warm-up, rounded up to 4; then half a cosine.
    assert rates[10] == pytest.approx(2.0e-05 * 0.5 * (1 + math.cos(math.pi * (9 - 4) / 28)))
    assert [entry["epoch"] for entry in history if "eval_loss" in entry] == [1], "the last one follows the save"
    assert json.loads((last / "run.json").read_text())["config"]["warmup_ratio"] == 0.1, "noted as it is written"


SCRIPT = """
import sys
from pathlib import Path
from accelerate.state import AcceleratorState
from transformers.integrations.deepspeed import deepspeed_config, is_deepspeed_zero3_enabled
from training.settings import parse_settings, read_settings
config = Path(sys.argv[1])
kept = parse_settings(config, read_settings(config), config.parent / "run")
found = deepspeed_config()
print(is_deepspeed_zero3_enabled(), found["train_micro_batch_size_per_gpu"], found.get("train_batch_size"), AcceleratorState._shared_state)
"""


def test_trying_the_settings_leaves_the_launchers_config_as_it_was(tmp_path, tiny_llama):
    """Else the model would be loaded unsharded, or DeepSpeed would be told the batch of the trial."""
    settings = STOCK_CONFIG | {"model_name_or_path": str(tiny_llama), "output_dir": str(tmp_path / "checkpoints")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "script.py").write_text(SCRIPT)
    done = launch(tmp_path / "script.py", tmp_path / "config.yaml")
    assert done.stdout.splitlines()[-1] == "True 1 None {}", done.stdout
