"""One training per folder. The first process of a launch holds the lock; the kernel releases it however that process ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from eval.console import printable
from eval.records import UserError

LOCK = ".training.lock"
# How long other processes wait until the first one has the lock: imports take seconds on a busy machine. A process on
# another machine may not see the folder, and waits less.
PATIENCE_S, PATIENCE_ELSEWHERE_S = 300, 20
POLL_S = 0.05


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """Locks the run's folder for this launch. Raises UserError, and changes nothing, where another training holds the lock.

    The first process takes the lock. The others wait until it has the lock, so that none of them writes earlier.
    """
    if os.environ.get("RANK", "0") != "0":
        wait_for_first(run)
        yield
        return
    with open_lock(run) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(run) from None
        write_holder(file)
        try:
            yield
        finally:
            os.ftruncate(file, 0)


@contextlib.contextmanager
def open_lock(run: Path) -> Iterator[int]:
    """The lock file, created where it is missing; child processes do not inherit it."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"{run} cannot be written to ({error.strerror or error}); fix that, or set another output_dir or run_name."
        ) from None
    try:
        yield file
    finally:
        os.close(file)


def write_holder(file: int) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "launch": launch()})
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)


def launch() -> str:
    """What the processes of one launch have in common."""
    return " ".join(os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"))


def read_holder(run: Path) -> dict[str, object]:
    try:
        found = json.loads((run / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def holder(run: Path) -> str:
    """The process that holds the lock, as text for a message."""
    found = read_holder(run)
    return printable(f"process {found.get('pid', 'unknown')} on {found.get('host', 'an unknown host')}")


def busy(run: Path) -> UserError:
    return UserError(
        f"{run} is in use by another training ({holder(run)}); wait for it, stop it, or set another run_name."
    )


def wait_for_first(run: Path) -> None:
    """Returns when the first process of this launch has the lock, or after the time limit."""
    here = os.environ.get("GROUP_RANK", "0") == "0"
    until = time.monotonic() + (PATIENCE_S if here else PATIENCE_ELSEWHERE_S)
    while read_holder(run).get("launch") != launch() and time.monotonic() < until:
        time.sleep(POLL_S)


def refuse_held(run: Path) -> None:
    """Raises UserError where a training holds the lock. For callers that are about to remove the folder."""
    if is_held(run):
        raise busy(run)


def is_held(run: Path) -> bool:
    """Whether a training holds the lock now."""
    try:
        file = os.open(run / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


if __name__ == "__main__":  # python -m training.lock RUN: exit code 2 where it is held
    try:
        refuse_held(Path(sys.argv[1]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
