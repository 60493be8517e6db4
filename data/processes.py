"""A step of a cell as processes that are followed, and that are found again when the call that started them was killed."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from eval.records import UserError

Say = Callable[[str], None]


class Busy(UserError):
    """Another call works on this cell."""


class Step(Protocol):
    """Whose steps they are: its name for people, its folder, which marks its processes, and where they run."""

    @property
    def label(self) -> str: ...

    @property
    def place(self) -> Path: ...

    @property
    def project(self) -> Path: ...


# In the environment of every process of a cell, with the cell's folder, so that those of a killed call are found.
MARK = "ABLATION_CELL"
POLL_S = 0.5


def follow(
    step: Step, command: list[str], say: Say, environment: Mapping[str, str], trusted: bool = True
) -> tuple[str, list[str]]:
    """Runs a step in the cell's folder and tells its last line now and then; (its standard output, "not to be trusted" lines).

    Raises UserError with the step's own sentence where it fails; exit code 1 with output passes where `trusted` is false.
    """
    out, log = step.place / "stdout", step.place / "cell.log"
    with out.open("wb") as stdout, log.open("ab") as stderr:
        began = stderr.tell()
        process = subprocess.Popen(
            command, cwd=step.project, env=os.environ | {MARK: str(step.place)} | dict(environment), stdout=stdout, stderr=stderr,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                if line := last_line(log, began):
                    say(line)
        finally:
            end_leftovers(step.place)
            process.wait()
    text, said = out.read_text(encoding="utf-8", errors="replace"), tail(log, began).splitlines()
    if process.returncode and not (process.returncode == 1 and not trusted and text.strip()):
        spoken = [line for line in said if line.strip()] or ["it said nothing"]
        reason = next((line for line in reversed(spoken) if line.startswith("error: ")), spoken[-1])
        raise UserError(
            f"{step.label}: {reason.removeprefix('error: ')[:500]} (exit code {process.returncode}; {log})", 1
        )
    return text, [line for line in said if line.startswith("not to be trusted")]


@contextmanager
def held(step: Step) -> Iterator[None]:
    """The cell for this process alone; what an earlier call of it left running is ended first, so that nothing is written twice."""
    step.place.mkdir(parents=True, exist_ok=True)
    with (step.place / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{step.label} is being worked on by another call; wait for it, then run again.", 1) from None
        end_leftovers(step.place)
        yield


def end_leftovers(place: Path) -> None:
    """Ends every process that carries the cell's mark: workers of a launcher have sessions of their own and outlive it."""
    for number in marked(place):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while marked(place):
        time.sleep(0.05)


def marked(place: Path) -> list[int]:
    """Process ids with the cell's mark in their environment, zombies left out."""
    mark, found = f"{MARK}={place}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def tail(log: Path, began: int) -> str:
    with log.open("rb") as file:
        file.seek(max(began, log.stat().st_size - 65_536))
        return file.read().decode("utf-8", errors="replace")


def last_line(log: Path, began: int) -> str:
    """The last line that a step printed, without what moves a terminal's cursor."""
    lines = [line for line in re.split(r"[\r\n]", tail(log, began)) if line.strip()]
    return "".join(letter for letter in lines[-1] if letter.isprintable())[:100] if lines else ""
