"""Checkpoints are picked up when they are whole, in order, and not before."""

import json
import threading
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eval import checkpoints


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(checkpoints, "SETTLED_S", 0.5)


def collect(run: Path, found: list) -> threading.Thread:
    def work():
        for folder, _ in checkpoints.arrivals(run, poll_s=0.02):
            found.append((folder.name, sorted(path.name for path in folder.iterdir())))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def finish(run: Path) -> None:
    (run / checkpoints.FINISHED).write_text("{}")


def test_a_run_that_does_not_exist_yet_is_waited_for_and_ends_with_its_marker(tmp_path, make_model):
    run, found = tmp_path / "runs" / "later", []
    thread = collect(run, found)
    time.sleep(0.1)
    assert thread.is_alive() and not found
    make_model(run / "checkpoint-2")
    finish(run)
    thread.join(5)
    assert not thread.is_alive() and [name for name, _ in found] == ["checkpoint-2"]


def test_training_here_is_picked_up_when_its_last_file_is_there(tmp_path, make_model, quick):
    """Weights are whole before the notes are; without prompt.json the prompt could not be checked."""
    run, found = tmp_path / "run", []
    make_model(run / "checkpoint-10")
    (run / checkpoints.TRAIN_LOG).touch()
    thread = collect(run, found)
    time.sleep(0.8)  # longer than SETTLED_S, which is for others
    assert not found
    (run / "checkpoint-10" / "run.json").write_text("{}")
    make_model(run / "checkpoint-9")
    (run / "checkpoint-9" / "run.json").write_text("{}")
    finish(run)
    thread.join(5)
    assert [name for name, _ in found] in (["checkpoint-10", "checkpoint-9"], ["checkpoint-9", "checkpoint-10"])
    assert all("run.json" in files for _, files in found)


def test_a_folder_of_another_trainer_must_be_left_alone_for_a_while(tmp_path, make_model, quick):
    run, found = tmp_path / "run", []
    folder = make_model(run / "checkpoint-1")
    thread = collect(run, found)
    for _ in range(4):
        time.sleep(0.25)
        (folder / "optimizer.bin").write_bytes(b"x")
        assert not found, "it is still being written"
    time.sleep(0.8)
    assert [name for name, _ in found] == ["checkpoint-1"]
    finish(run)
    thread.join(5)


def test_a_half_written_one_holds_up_those_behind_it_until_the_run_ends(tmp_path, make_model, quick):
    """Whoever reads it then says what is missing; it must not pass in silence."""
    run, found = tmp_path / "run", []
    broken = make_model(run / "checkpoint-1")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    make_model(run / "checkpoint-2")
    thread = collect(run, found)
    time.sleep(0.8)
    assert not found
    finish(run)
    thread.join(5)
    assert [name for name, _ in found] == ["checkpoint-1", "checkpoint-2"]


def test_watch_scores_each_and_reports(tmp_path, make_model, cli, use_engine, write_benchmark, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", {"2 + 2?": "4"})
    engine = use_engine()
    for step, shift in ((2, 0.5), (4, 0.25)):
        make_model(Path("run") / f"checkpoint-{step}", shift)
    finish(Path("run"))
    options = ["--benchmark", "sums", "--benchmarks-dir", "benchmarks", "--max-tokens", "64"]
    done = cli("watch", "run", *options)
    assert done.code == 0, done.err
    assert [folder.name for folder in engine.loaded] == ["checkpoint-2", "checkpoint-4"]
    assert "run/checkpoint-2: complete for" in done.err and "step 4" in done.err
    summaries = [json.loads(path.read_text()) for path in Path("reports").glob("*/summary.json")]
    assert sorted(summary["step"] for summary in summaries) == [2, 4]
    board = EventAccumulator(str(next(Path("run/runs/accuracy").iterdir()))).Reload()
    assert [point.step for point in board.Scalars("sums/equivalent")] == [2, 4], "beside the losses of training"


def test_a_run_that_ended_without_a_checkpoint_is_said(tmp_path, cli, use_engine, write_benchmark, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", {"2 + 2?": "4"})
    use_engine()
    Path("run").mkdir()
    finish(Path("run"))
    done = cli("watch", "run", "--benchmark", "sums", "--benchmarks-dir", "benchmarks")
    assert (done.code, done.err.strip()) == (1, "error: run has ended without a checkpoint; see its train.log.")
