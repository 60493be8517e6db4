"""The contract's own versions: how they are set up, and what a rehearsal on them sees."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from data.submission import rehearse, sandbox
from data.submission.checks import config
from data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parents[2]
STOCK_PYTHON = ROOT / ".venv-stock" / "bin" / "python"
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"{NOWHERE}/simple", "PIP_EXTRA_INDEX_URL": ""}
OFFLINE |= {"PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE}
OFFLINE |= {"https_proxy": NOWHERE, "NO_PROXY": "", "no_proxy": ""}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    return tmp_path


def setup(clone: Path, **environment: str) -> subprocess.CompletedProcess:
    paths = {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}", "HOME": str(clone)}
    command = ["bash", str(clone / "requirements" / "stock.sh")]
    return subprocess.run(command, env=os.environ | paths | environment, capture_output=True, text=True, timeout=300)


def shim(clone: Path, name: str, text: str) -> str:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# Says that it is 3.10, and makes environments as the Python of these tests does.
PRETENDS = f'[ "$1" = -c ] && exit 0; exec {sys.executable} "$@"'


@pytest.mark.parametrize(
    ("python", "df", "environment", "said"),
    [
        ("exit 127", None, {}, "no Python 3.10 (with venv) among"),
        (PRETENDS, "printf 'h\\n/dev/x 1 1 512 1 /\\n'", {}, "has 512 MiB free and .venv-stock needs up to"),
        (PRETENDS, None, OFFLINE, "check the network"),
    ],
    ids=["a shim that refuses to run", "full disk", "no network"],
)
def test_what_is_wrong_is_said_in_one_sentence(python, df, environment, said, clone):
    if df:
        shim(clone, "df", df)
    done = setup(clone, STOCK_PYTHON=shim(clone, "python3.10", python), **environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1 and said in errors[0], done.stderr
    assert not (clone / ".venv-stock" / "lock.sha256").exists()


def test_a_second_call_with_the_same_lock_does_nothing(clone):
    (clone / ".venv-stock" / "bin").mkdir(parents=True)
    (clone / ".venv-stock" / "bin" / "python").symlink_to(sys.executable)
    digest = hashlib.sha256((clone / "requirements" / "stock.lock").read_bytes()).hexdigest()
    (clone / ".venv-stock" / "lock.sha256").write_text(digest + "\n")
    done = setup(clone, STOCK_PYTHON="no-such-python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_lock_pins_the_contracts_versions():
    lines = (ROOT / "requirements" / "stock.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] != "#")
    wanted = {"torch": "2.1.2", "transformers": "4.48.1", "trl": "0.8.1", "accelerate": "0.28.0", "datasets": "2.18.0"}
    assert wanted.items() <= pins.items() and pins["huggingface-hub"] == "0.28.1"
    assert pins["numpy"].startswith("1.") and pins["pyarrow"].startswith("25.") and "rich" in pins


def test_what_the_stock_side_says_of_a_failure_is_shown():
    told = {"stock": {"stage": "parser", "error": "ValueError: Some keys are not used"}, "stand_in": ""}
    console = Console(file=io.StringIO(), width=120)
    rehearse.show(told, console)
    assert not rehearse.passed(told) and "parser failed: ValueError" in console.file.getvalue()


def test_figures_that_differ_are_told_and_rounding_is_not():
    stock = {"eos_per_example": 2.0, "supervised": 1.0, "steps": 100, "cut": 0.2000}
    own = {"eos_per_example": 1.0, "supervised": 1.0, "steps": 90, "cut": 0.2001}
    assert rehearse.differences({"stock": stock, "own": own}) == ["eos_per_example", "steps"]


# With the contract's versions


@pytest.fixture(scope="module")
def stock() -> str:
    """The Python of .venv-stock; it takes gigabytes, so only `make rehearse` makes it."""
    if not STOCK_PYTHON.is_file():
        pytest.skip("no .venv-stock: `make rehearse` makes it, then this test runs on the contract's own versions")
    return str(STOCK_PYTHON)


def test_the_table_of_keys_is_that_of_the_stock_parser(stock):
    script = (
        "import dataclasses, json; from transformers import TrainingArguments as T; "
        "print(json.dumps({f.name: str(f.default) for f in dataclasses.fields(T) if f.init}))"
    )
    there = json.loads(subprocess.run([stock, "-c", script], capture_output=True, check=True, text=True).stdout)
    assert there.keys() == config.STOCK.keys() - config.CONTRACT.keys()
    assert float(there["max_grad_norm"]) == config.STOCK["max_grad_norm"]["default"]


@pytest.fixture(scope="module")
def submission(tmp_path_factory) -> Path:
    """This project's sft_utils.py with 500 and 100 word problems, packed."""
    folder = tmp_path_factory.mktemp("packed")
    write_dataset(folder / "dataset", train=500, test=1, validation=100)
    (folder / "sft_utils.py").write_text((ROOT / "sft_utils.py").read_text())
    settings = {"model_name_or_path": "smollm2", "dataset_name_or_path": "dataset", "output_dir": "checkpoints"}
    settings |= {"packing": True, "bf16": True, "report_to": "none", "per_device_train_batch_size": 2}
    (folder / "sft_config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_packing_there_and_here_is_told_apart(stock, submission, tmp_path):
    """Contract, trap 4: blocks cut through examples, which attend to each other; and each ends in two EOS."""
    settings = yaml.safe_load((submission / "sft_config.yaml").read_text())
    told = rehearse.rehearse(submission, settings, tmp_path, Console(stderr=True))
    there, here = told["stock"], told["own"]
    assert rehearse.passed(told) and here["stage"] == "done", told
    assert there["digests"] == here["digests"], "the stock `datasets` and the current one load the same rows"
    assert there["eos_per_example"] == pytest.approx(2, abs=0.05) and here["eos_per_example"] == 1
    assert there["attends_across"] is True and here["attends_across"] is False
    assert there["cut"] > 0.01 and here["cut"] == 0 and there["eos_supervised"] == here["eos_supervised"] == 1
    assert {"eos_per_example", "attends_across", "cut"} <= set(rehearse.differences(told))
    assert there["forced"] == {"bf16": False}, "what a CPU forces is said"


def test_a_key_that_the_stock_parser_does_not_know_ends_there(stock, submission, tmp_path):
    broken = tmp_path / "submission"
    shutil.copytree(submission, broken)
    with (broken / "sft_config.yaml").open("a") as file:
        file.write("completion_only_loss: true\n")
    job = {"model": str(tmp_path / "none"), "rows": 10}
    told = sandbox.start("stock_trainer.py", broken, tmp_path / "work", job, stock).wait()
    assert told["stage"] == "parser" and "completion_only_loss" in told["error"]
