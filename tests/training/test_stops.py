"""What ends a run from outside: one sentence, the signal's exit code, no process left, finished checkpoints kept."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from data.synthetic import write_dataset
from eval import checkpoints
from tests.training.real_runs import heard, refused, start, write_config
from training import lock

STOPPED = "stopped; finished checkpoints are kept.\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stops")
    write_dataset(folder / "data", train=64, test=1, validation=8)
    return folder


def endless(place, tiny_llama, name, **changes):
    return write_config(
        place, tiny_llama, name, max_steps=5_000, save_steps=2, save_total_limit=2, report_to="none", **changes
    )


def until(process, holds):
    """Waits for a condition while the process runs."""
    while not holds():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def of_launch(config):
    """All processes whose command names the config: launcher and workers."""
    lines = subprocess.run(["pgrep", "-f", str(config)], capture_output=True, text=True).stdout.split()
    return [int(line) for line in lines]


def gone(config):
    for _ in range(100):
        if not of_launch(config):
            return True
        time.sleep(0.05)
    return False


def released(run):
    """A process that ends loses its name before its files."""
    for _ in range(100):
        if not lock.is_held(run):
            return True
        time.sleep(0.05)
    return False


def read_until(process, words):
    seen = ""
    while words not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line


PHASES = {
    "imports": lambda process, run: time.sleep(0.5),
    "loading": lambda process, run: until(process, (run / "train.log").is_file),
    "tokenising": lambda process, run: read_until(process, "tokenise"),
    "training": lambda process, run: read_until(process, "5000 steps"),
    "saving": lambda process, run: until(process, (run / "checkpoint-4").is_dir),
}


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("imports", signal.SIGINT),
        ("loading", signal.SIGTERM),
        ("tokenising", signal.SIGINT),
        ("training", signal.SIGHUP),
        ("saving", signal.SIGINT),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_signal_ends_a_run_in_any_phase(phase, number, place, tiny_llama):
    name = f"{phase}-{number.name}"
    config, run = endless(place, tiny_llama, name), place / "checkpoints" / name
    process = start(config, processes=2)
    PHASES[phase](process, run)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err.count(STOPPED) == 1 and err.endswith(STOPPED) and "Traceback" not in out + err
    assert gone(config) and released(run) and not (run / checkpoints.FINISHED).exists()
    settled = [folder.name for folder in checkpoints.steps(run) if checkpoints.is_settled(folder)]
    assert settled[:1] == (["checkpoint-2"] if phase == "saving" else settled[:1])
    assert all((run / folder / "run.json").is_file() for folder in settled)


@pytest.fixture(scope="module")
def running(place, tiny_llama):
    """A run of two processes that goes on, started with SIGHUP ignored as by nohup: (process, its config, its folder)."""

    def as_nohup():
        heard()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    config, run = endless(place, tiny_llama, "running"), place / "checkpoints" / "running"
    process = start(config, processes=2, before=as_nohup)
    until(process, (run / "checkpoint-2" / "run.json").is_file)
    yield process, config, run
    process.kill()
    process.communicate()


def test_nohup_keeps_a_run_when_its_terminal_is_gone(running):
    process, config, _ = running
    numbers = of_launch(config)
    assert len(numbers) >= 4, "this process, the launcher, and two workers"
    for number in numbers:
        os.kill(number, signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None and of_launch(config) == numbers


def test_a_second_run_into_the_folder_is_refused_and_touches_nothing(running):
    process, config, run = running
    holder = lock.read_holder(run)
    said = refused(config, "--resume", processes=2)
    assert f"{run} is in use by another training (process {holder['pid']} on {holder['host']}); wait for it" in said
    assert said.endswith("(exit code 2)") and holder["pid"] in of_launch(config)
    assert lock.read_holder(run) == holder and process.poll() is None
    assert "in use by another training" not in (run / "train.log").read_text()


def test_preflight_beside_a_run_leaves_its_folder_alone(running):
    _, config, run = running
    text = config.read_text()
    before = {path.name for path in run.iterdir() if not path.name.startswith("checkpoint-")}
    said = (run / "train.log").read_text().count("real_accelerator")
    other = config.with_name("looked-at.yaml")
    other.write_text(text)
    looking = start(other, "--preflight", processes=2)
    _, err = looking.communicate(timeout=120)
    assert looking.returncode == 0 and "2,048 tokens" in err, err
    assert {path.name for path in run.iterdir() if not path.name.startswith("checkpoint-")} == before
    assert (run / "train.log").read_text().count("real_accelerator") == said


def test_no_worker_outlives_a_killed_launcher(running):
    process, config, run = running
    (launcher,) = psutil.Process(process.pid).children()
    launcher.kill()
    assert process.wait(timeout=30) == 1
    assert gone(config) and released(run)


def test_a_worker_that_is_killed_is_told(place, tiny_llama):
    config, run = endless(place, tiny_llama, "worker"), place / "checkpoints" / "worker"
    process = start(config)
    until(process, (run / "train.log").is_file)
    os.kill(lock.read_holder(run)["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "error: training was ended by signal 9" in err and gone(config)
