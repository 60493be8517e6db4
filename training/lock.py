"""One training a folder: held by the first process of a launch while it runs, released by the kernel however that ends."""

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
# A process that is not the first waits this long for the first to have the folder: imports take seconds on a busy machine.
# Another machine may not see the folder.
PATIENCE_S, PATIENCE_ELSEWHERE_S = 300, 20
POLL_S = 0.05


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """The run's folder for this launch alone. Raises UserError, having touched nothing, where another training holds it.

    The first process of a launch takes the lock, the others wait until it has it, so that none of them writes before.
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
    """The lock's file, made where it is not there; processes that training starts do not inherit it."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"{run} is no folder to write to ({error.strerror or error}); mend that or name another folder."
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
    """The process that holds the folder, for people."""
    found = read_holder(run)
    return printable(f"process {found.get('pid', 'unknown')} on {found.get('host', 'an unknown host')}")


def busy(run: Path) -> UserError:
    return UserError(f"{run} is being trained into by {holder(run)}; wait for it, end it, or set another run_name.")


def wait_for_first(run: Path) -> None:
    """Returns when the first process of this launch has the folder, or when that has taken too long."""
    here = os.environ.get("GROUP_RANK", "0") == "0"
    until = time.monotonic() + (PATIENCE_S if here else PATIENCE_ELSEWHERE_S)
    while read_holder(run).get("launch") != launch() and time.monotonic() < until:
        time.sleep(POLL_S)


def refuse_held(run: Path) -> None:
    """Raises UserError where a training holds the folder, which is about to be removed."""
    if is_held(run):
        raise busy(run)


def is_held(run: Path) -> bool:
    """Whether a training holds the folder now."""
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
