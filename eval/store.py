"""reports/<key>/…: predictions are appended and never edited, verdicts are derived from them, DONE comes last.

reports/benchmarks/<name>-<sha12>.jsonl   the problems
reports/<key>/manifest.json               everything that went in, spelled out
              predictions.jsonl           append, fsync a batch; a torn last line is dropped and owed again; when all
                                          are there, once put in the benchmark's order
              verdicts.<grader>.jsonl     one line a prediction
              summary.json                the shares that tables show
              DONE                        written last; without it the folder is no result
              places/<sha12>.json         where the weights were when it was used again (eval/places.py)
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from eval import benchmarks
from eval.records import Benchmark, Prediction, UserError
from graders import GRADER_VERSION, Verdict

KEY_DIGITS = 16  # 64 bits: a collision among a million evaluations has odds of 1 in 30 million

Owner = tuple[str, int]  # (problem id, sample)


class Locked(UserError):
    """Another process is writing this evaluation."""


def key_of(inputs: dict[str, Any]) -> str:
    """The evaluation's identity: the first hex digits of the sha256 over everything that decides its predictions."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]


def benchmark_file(benchmark: Benchmark) -> str:
    """Where a benchmark's problems stand, relative to the reports folder."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in benchmark.name)
    return f"benchmarks/{safe}-{benchmark.sha256[:12]}.jsonl"


def create(reports: Path, manifest: dict[str, Any], benchmark: Benchmark) -> Path:
    """reports/<key> with its manifest and the benchmark's problems; what is there already stays as it is."""
    folder = reports / str(manifest["key"])
    with full_disk(folder):
        problems = reports / benchmark_file(benchmark)
        if not problems.exists():
            write_whole(problems, benchmarks.to_lines(benchmark))
        if not (folder / "manifest.json").exists():
            write_whole(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one writer; the lock goes with the process, however it ends. Raises UserError if it is held."""
    with full_disk(folder):
        file = (folder / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{folder} is being written by another evaluation; wait for it to finish.", 1) from None
        yield


def read_predictions(folder: Path) -> dict[Owner, Prediction]:
    """What has been decoded so far; a torn last line is left out."""
    path = folder / "predictions.jsonl"
    lines = read_lines(path) if path.exists() else iter(())
    return {(line["id"], line["sample"]): Prediction(**line) for line in lines}


def append_predictions(folder: Path, predictions: Iterable[Prediction]) -> None:
    """Adds whole lines and waits until the disk has them; cuts off a torn line that a crash left behind."""
    path = folder / "predictions.jsonl"
    text = "".join(json.dumps(asdict(prediction), ensure_ascii=False) + "\n" for prediction in predictions)
    with full_disk(path), path.open("ab+") as file:
        file.truncate(_whole_lines_bytes(file))
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def put_in_order(folder: Path, owners: Iterable[Owner]) -> None:
    """Sorts the lines of a complete predictions.jsonl by `owners`: whatever was interrupted, the same bytes come out."""
    path = folder / "predictions.jsonl"
    lines = {(line["id"], line["sample"]): line for line in read_lines(path)}
    text = "".join(json.dumps(lines[owner], ensure_ascii=False) + "\n" for owner in owners)
    with full_disk(path):
        if text.encode() != path.read_bytes():
            write_whole(path, text)


def write_verdicts(folder: Path, verdicts: dict[Owner, Verdict]) -> None:
    """verdicts.<GRADER_VERSION>.jsonl, whole or not at all."""
    lines = (
        json.dumps({"id": owner[0], "sample": owner[1]} | asdict(verdict), ensure_ascii=False) + "\n"
        for owner, verdict in verdicts.items()
    )
    with full_disk(folder):
        write_whole(folder / f"verdicts.{GRADER_VERSION}.jsonl", "".join(lines))


def finish(folder: Path, summary: dict[str, Any]) -> None:
    """Writes summary.json, then DONE."""
    with full_disk(folder):
        write_whole(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
        write_whole(folder / "DONE", "")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of a finished evaluation under today's grader; None where decoding or grading is owed."""
    if not (folder / "DONE").exists():
        return None
    summary = read_object(folder / "summary.json")
    return summary if summary["grader"] == GRADER_VERSION else None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of `path`, one a line. A torn last line is left out; damage before it raises UserError."""
    try:
        # Bytes: `str.splitlines` would also split at U+2028, which model text holds and JSON leaves alone.
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(_unreadable(path, error.strerror or str(error)), exit_code=1) from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise UserError(_unreadable(path, f"line {number} is not JSON"), exit_code=1) from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises UserError (exit code 1) where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(_unreadable(path, error.strerror or str(error)), exit_code=1) from error
    except ValueError as error:
        raise UserError(_unreadable(path, "it is not JSON"), exit_code=1) from error
    if not isinstance(value, dict):
        raise UserError(_unreadable(path, "it is not a JSON object"), exit_code=1)
    return value


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of reports/<key>. Raises UserError (exit code 1) where it is none."""
    path = folder / "manifest.json"
    manifest = read_object(path)
    for name in ("checkpoint", "benchmark", "decoding"):
        if not isinstance(manifest.get(name), dict):
            raise UserError(_unreadable(path, f"it lacks {name}"), exit_code=1)
    return manifest


def write_whole(path: Path, text: str) -> None:
    """Writes beside `path`, syncs, then renames: the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name a process: evaluations that start together share the benchmark's file.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turns "no space left" and "not permitted" into one sentence; what was finished before stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be written ({reason}); mend that and run the same command again, it resumes.", 1
        ) from error


def _whole_lines_bytes(file: BinaryIO) -> int:
    """Where the last whole line of `file` ends. One byte tells unless a crash tore the end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 1, 0))
    if file.read(1) in (b"\n", b""):
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def _unreadable(path: Path, reason: str) -> str:
    return f"{path}: {reason}; delete the folder {path.parent} and evaluate again"
