"""kill -9 at any moment costs the batch in flight and nothing else.

KILLS=20 ENGINE=vllm pytest tests/eval/test_kill.py is the long version; here a few kills of the engine that starts fastest.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parents[2]
KILLS, ENGINE = int(os.environ.get("KILLS", "2")), os.environ.get("ENGINE", "hf")
PROBLEMS = 200
TIMES = ("start_s", "load_s", "decode_s", "tokens_s", "grade_s")


def start(model: Path, place: Path, reports: str) -> subprocess.Popen:
    options = ["--benchmark", "synthetic-test", "--benchmarks-dir", place / "data", "--reports", place / reports]
    command = [sys.executable, "-m", "eval", "run", model, *options, "--engine", ENGINE, "--max-tokens", "40"]
    # A session of its own: the engine's processes die with it.
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def stored(place: Path, reports: str) -> list[bytes]:
    """The whole lines of predictions.jsonl."""
    files = list((place / reports).glob("*/predictions.jsonl"))
    return files[0].read_bytes().split(b"\n")[:-1] if files else []


def results(place: Path, reports: str) -> tuple[bytes, dict]:
    (folder,) = (path.parent for path in (place / reports).glob("*/DONE"))
    summary = json.loads((folder / "summary.json").read_text())
    return (folder / "predictions.jsonl").read_bytes(), {k: v for k, v in summary.items() if k not in TIMES}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    write_dataset(folder / "data", train=1, test=PROBLEMS, validation=1)
    return folder


def test_whatever_is_killed_is_resumed_to_the_same_bytes(tiny_llama, place):
    undisturbed = start(tiny_llama, place, "whole")
    began = time.monotonic()
    _, complaints = undisturbed.communicate(timeout=600)
    assert undisturbed.returncode == 0, complaints.decode()
    whole_s, rng = time.monotonic() - began, random.Random(0)

    kept: list[bytes] = []
    killed_while_decoding = 0
    for number in range(KILLS):
        process = start(tiny_llama, place, "killed")
        before = len(kept)
        # One kill in three comes at any moment, the others while lines are being written.
        if number % 3 == 0:
            time.sleep(rng.uniform(0, whole_s))
        else:
            while process.poll() is None and len(stored(place, "killed")) == before:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
        with_children(process, signal.SIGKILL)
        lines = stored(place, "killed")
        assert set(kept) <= set(lines) and len(lines) == len(set(lines)), (
            "what was kept is neither lost nor decoded again"
        )
        killed_while_decoding += before < len(lines) < PROBLEMS
        kept = [] if list((place / "killed").glob("*/DONE")) else lines
        if not kept and lines:
            shutil.rmtree(place / "killed")  # it was faster than its killer: begin anew
    last = start(tiny_llama, place, "killed")
    _, complaints = last.communicate(timeout=600)
    assert last.returncode == 0, complaints.decode()
    assert set(kept) <= set(stored(place, "killed"))
    assert results(place, "killed") == results(place, "whole")
    assert killed_while_decoding, "no kill met a half finished evaluation"


def with_children(process: subprocess.Popen, signal_number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal_number)
    process.communicate()
