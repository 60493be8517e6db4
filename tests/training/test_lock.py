"""One training per folder: the second one names the holder, and changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval.records import UserError
from training import lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from training import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def hold(run, **environment):
    """A process that holds the folder until it is killed or gets a line."""
    command = [sys.executable, "-c", HOLD, str(run)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdin=-1, stdout=-1, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def state(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_second_training_is_told_who_holds_the_folder_and_the_kernel_releases_it(tmp_path):
    run = tmp_path / "run"
    first, before = hold(run), state(tmp_path)
    who = rf"run is in use by another training \(process {first.pid} on {os.uname().nodename}"
    with pytest.raises(UserError, match=who) as told, lock.held(run):
        pytest.fail("two at once")
    assert told.value.exit_code == 2 and state(tmp_path) == before and lock.is_held(run)
    asked = subprocess.run([sys.executable, "-m", "training.lock", run], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 2 and str(told.value) in asked.stderr, "what is about to remove the folder asks before"
    first.kill()
    first.wait()
    assert not lock.is_held(run)
    with lock.held(run):
        assert lock.is_held(run)


def test_the_other_processes_of_a_launch_wait_for_the_first(tmp_path, monkeypatch):
    """What an earlier launch wrote into the lock is not taken for this one's."""
    for name, value in (("MASTER_ADDR", "here"), ("MASTER_PORT", "1"), ("RANK", "1")):
        monkeypatch.setenv(name, value)
    earlier = hold(tmp_path, MASTER_PORT="9", RANK="0")
    earlier.kill()
    earlier.wait()
    assert lock.read_holder(tmp_path)["launch"] != lock.launch()
    first = hold(tmp_path, RANK="0")
    with lock.held(tmp_path):
        assert lock.read_holder(tmp_path)["pid"] == first.pid, "the first one holds it, not this one"
    first.communicate("\n")
    assert lock.read_holder(tmp_path) == {}


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/run cannot be written to \(Not a directory\)"):
        lock.held(tmp_path / "file" / "run").__enter__()
    assert not lock.is_held(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "\\u001b[2J"}'])
def test_a_holder_that_cannot_be_read_is_no_reason_to_fail(text, tmp_path):
    (tmp_path / lock.LOCK).write_text(text)
    assert "\x1b" not in lock.holder(tmp_path) and lock.holder(tmp_path).startswith("process ")
