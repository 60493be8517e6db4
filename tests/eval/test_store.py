"""The store under torn lines, full disks and two writers: what is finished stays, what is not never looks finished."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eval import store
from eval.records import Benchmark, Prediction, Problem, UserError
from graders import GRADER_VERSION, grade

INPUTS = {
    "weights": "a" * 64,
    "benchmark": "b" * 64,
    "prompt": "c" * 16,
    "decoding": {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0},
    "engine": "vllm@1",
}


def prediction(number: int, text: str = "é \u2028 \\boxed{4}") -> Prediction:
    return Prediction(f"p{number}", 0, text, "stop", 7, "0" * 64)


def owners(folder: Path) -> list[store.Owner]:
    return list(store.read_predictions(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "0123456789abcdef"
    path.mkdir()
    return path


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch, lost_bytes: int = 0, after_syncs: int = 0) -> Iterator[None]:
    """Inside, the disk is full from the sync number `after_syncs` on; the last bytes of that file never arrive."""
    real, syncs = os.fsync, 0

    def sync(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs <= after_syncs:
            return real(descriptor)
        os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - lost_bytes))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        yield


# One input changed -> another key.
OTHER_INPUTS = {
    "weights": {"weights": "d" * 64},
    "benchmark": {"benchmark": "d" * 64},
    "prompt": {"prompt": "d" * 16},
    "max_tokens": {"decoding": INPUTS["decoding"] | {"max_tokens": 65}},
    "temperature": {"decoding": INPUTS["decoding"] | {"temperature": 0.7}},
    "samples": {"decoding": INPUTS["decoding"] | {"n_samples": 2}},
    "seed": {"decoding": INPUTS["decoding"] | {"seed": 1}},
    "engine": {"engine": "hf@1"},
}


@pytest.mark.parametrize("change", OTHER_INPUTS.values(), ids=OTHER_INPUTS)
def test_the_key_changes_with_each_input(change: dict[str, Any]) -> None:
    assert store.key_of(INPUTS | change) != store.key_of(INPUTS)


def test_the_key_is_short_hex_and_knows_no_order() -> None:
    assert store.key_of(dict(reversed(INPUTS.items()))) == store.key_of(INPUTS)
    assert len(store.key_of(INPUTS)) == 16
    int(store.key_of(INPUTS), 16)


def test_what_is_appended_is_read_back_as_it_was(folder: Path) -> None:
    assert owners(folder) == []
    first = [prediction(0), prediction(1, "two\nlines \x00 \U0001f600")]
    store.append_predictions(folder, first)
    store.append_predictions(folder, [])
    store.append_predictions(folder, [dataclasses.replace(prediction(0), sample=1)])
    read = store.read_predictions(folder)
    assert list(read) == [("p0", 0), ("p1", 0), ("p0", 1)]
    assert [read["p0", 0], read["p1", 0]] == first


# The last bytes of predictions.jsonl after a crash in the middle of the line of p2.
TORN = {
    "in the middle of a text": b'{"id": "p2", "sample": 0, "text": "so \\\\boxed{',
    "in the middle of a character": '{"id": "p2", "sample": 0, "text": "é'.encode()[:-1],
    "whole but for its newline": json.dumps(dataclasses.asdict(prediction(2))).encode(),
    "at a line separator in a text": '{"id": "p2", "text": "\u2028'.encode(),
    "blocks that were never filled": bytes(4096),
}


@pytest.mark.parametrize("tail", TORN.values(), ids=TORN)
def test_a_torn_last_line_is_dropped_and_owed_again(tail: bytes, folder: Path) -> None:
    store.append_predictions(folder, [prediction(0), prediction(1)])
    path = folder / "predictions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert owners(folder) == [("p0", 0), ("p1", 0)]

    store.append_predictions(folder, [prediction(2)])
    assert owners(folder) == [("p0", 0), ("p1", 0), ("p2", 0)]
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["id"] for line in path.read_bytes().split(b"\n")[:-1]] == ["p0", "p1", "p2"]


def test_a_file_that_is_one_torn_line_starts_again(folder: Path) -> None:
    (folder / "predictions.jsonl").write_bytes(b'{"id": "p0"')
    assert owners(folder) == []
    store.append_predictions(folder, [prediction(0)])
    assert owners(folder) == [("p0", 0)]


def test_damage_before_the_last_line_is_refused_with_its_number(folder: Path) -> None:
    store.append_predictions(folder, [prediction(0)])
    path = folder / "predictions.jsonl"
    path.write_bytes(b"{}oops\n" + path.read_bytes())
    with pytest.raises(UserError, match=r"predictions\.jsonl: line 1 is not JSON; delete the folder") as refusal:
        store.read_predictions(folder)
    assert refusal.value.exit_code == 1


def test_a_folder_has_one_writer(folder: Path) -> None:
    hold = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
    (folder / ".lock").touch()
    other = [sys.executable, "-c", hold, str(folder / ".lock")]
    with subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="is being written by another evaluation") as refusal, store.locked(folder):
            pytest.fail("two writers hold the folder")
        assert refusal.value.exit_code == 1
        assert str(folder) in str(refusal.value)
        process.kill()
    with store.locked(folder):
        pass  # the lock went with its process, kill -9 or not


@pytest.mark.parametrize("lost_bytes", [0, 1, 40, 10_000], ids=lambda lost: f"{lost} bytes lost")
def test_a_full_disk_costs_one_batch_and_one_sentence(
    lost_bytes: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append_predictions(folder, [prediction(0)])
    kept = (folder / "predictions.jsonl").stat().st_size
    batch = [prediction(1), prediction(2)]
    with full(monkeypatch, min(lost_bytes, 220)), pytest.raises(UserError) as refusal:
        store.append_predictions(folder, batch)
    assert refusal.value.exit_code == 1
    assert str(refusal.value) == (
        f"{folder / 'predictions.jsonl'} cannot be written (No space left on device); "
        "mend that and run the same command again, it resumes."
    )
    assert (folder / "predictions.jsonl").stat().st_size >= kept
    assert ("p0", 0) in owners(folder)

    store.append_predictions(folder, [each for each in batch if (each.id, 0) not in owners(folder)])
    assert sorted(owners(folder)) == [("p0", 0), ("p1", 0), ("p2", 0)]


def test_another_failure_of_the_disk_is_not_called_full(folder: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), store.full_disk(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_is_there_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "summary.json"
    with full(monkeypatch, lost_bytes=3), pytest.raises(OSError, match="No space left"):
        store.write_whole(path, "first")
    assert list(folder.iterdir()) == []

    store.write_whole(path, "first")
    with full(monkeypatch, lost_bytes=3), pytest.raises(OSError, match="No space left"):
        store.write_whole(path, "second")
    assert {entry.name: entry.read_text() for entry in folder.iterdir()} == {"summary.json": "first"}


def test_two_processes_never_share_a_partial_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations that start together write the same benchmark file: the second starts while the first syncs."""
    path, real, syncs = folder / "problems.jsonl", os.fsync, 0

    def sync(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 1:
            with monkeypatch.context() as other:
                other.setattr(os, "getpid", lambda: 1)
                store.write_whole(path, "content")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    store.write_whole(path, "content")
    assert {entry.name: entry.read_text() for entry in folder.iterdir()} == {"problems.jsonl": "content"}


def test_done_is_written_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = {"grader": GRADER_VERSION, "n": 3}
    with full(monkeypatch, after_syncs=1), pytest.raises(UserError, match="No space left"):
        store.finish(folder, summary)
    assert (folder / "summary.json").exists()
    assert not (folder / "DONE").exists()
    assert store.read_summary(folder) is None

    store.finish(folder, summary)
    assert store.read_summary(folder) == summary


def test_a_summary_of_another_grader_counts_as_owed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.finish(folder, {"grader": GRADER_VERSION})
    monkeypatch.setattr(store, "GRADER_VERSION", f"{GRADER_VERSION}+1")
    assert store.read_summary(folder) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("{", "it is not JSON"), ("[]", "it is not a JSON object")],
    ids=["missing", "cut off", "a list"],
)
def test_a_damaged_summary_beside_done_is_refused(content: str | None, said: str, folder: Path) -> None:
    (folder / "DONE").touch()
    if content is not None:
        (folder / "summary.json").write_text(content)
    with pytest.raises(UserError, match=said) as refusal:
        store.read_summary(folder)
    assert refusal.value.exit_code == 1
    assert f"delete the folder {folder} and evaluate again" in str(refusal.value)


def test_create_writes_manifest_and_problems_once(tmp_path: Path) -> None:
    benchmark = Benchmark("my sums/1", (Problem("p0", "my sums/1", "2 + 2?\u2028", "4"),), "f" * 64, 1)
    folder = store.create(tmp_path, {"key": "k", "created": "first"}, benchmark)
    assert folder == tmp_path / "k"
    problems = tmp_path / "benchmarks" / "my_sums_1-ffffffffffff.jsonl"
    assert [line["problem"] for line in store.read_lines(problems)] == ["2 + 2?\u2028"]

    store.create(tmp_path, {"key": "k", "created": "second"}, benchmark)
    assert store.read_object(folder / "manifest.json")["created"] == "first"


def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    benchmark = Benchmark("sums", (Problem("p0", "sums", "2 + 2?", "4"),), "f" * 64, 1)
    with pytest.raises(UserError, match=r"reports/k cannot be written \((Not a directory|File exists)\)"):
        store.create(tmp_path / "reports", {"key": "k"}, benchmark)


def test_verdicts_stand_one_a_line_under_their_grader(folder: Path) -> None:
    store.write_verdicts(folder, {("p0", 0): grade(r"\boxed{4}", "4"), ("p0", 1): grade("é", "4")})
    lines = list(store.read_lines(folder / f"verdicts.{GRADER_VERSION}.jsonl"))
    assert [(line["id"], line["sample"], line["status"]) for line in lines] == [
        ("p0", 0, "correct"),
        ("p0", 1, "no_box"),
    ]
