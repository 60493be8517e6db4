"""What the user sees, and where library noise goes instead."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eval.records import UserError, first_line

# Often enough to see that it is alive, rare enough for a log.
SECONDS_BETWEEN_LINES = 15
# Less than this is a full disk: writers leave a rest that their next block does not fit into.
FULL_BYTES = 1 << 20


class Advance(Protocol):
    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Appends what libraries and their child processes print to `log`; yields a console on the real stderr.

    File descriptors 1 and 2 are redirected, not sys.stdout: C++ code and spawned engine processes write to those.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        opened = log.open("ab")
    except OSError as error:
        raise UserError(
            f"{log.parent} is no folder to write to ({error.strerror or error}); mend that or name another folder."
        ) from None
    sys.stdout.flush()
    sys.stderr.flush()
    kept_out, kept_err = os.dup(1), os.dup(2)
    with opened as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    terminal = os.fdopen(os.dup(kept_err), "w", encoding="utf-8", errors="replace")
    try:
        yield console_on(terminal)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the log's disk may be full
                stream.flush()
        os.dup2(kept_out, 1)
        os.dup2(kept_err, 2)
        terminal.close()
        os.close(kept_out)
        os.close(kept_err)


@contextmanager
def unexpected_errors(log: Path) -> Iterator[None]:
    """Writes the traceback of what nobody foresaw to `log` (standard error, redirected) and raises one sentence instead."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        with suppress(OSError):
            traceback.print_exc()
        if shutil.disk_usage(log.parent).free < FULL_BYTES:
            # Each library has words of its own for it, and those of torch do not name it.
            raise UserError(
                f"{log.parent}: the disk is full; free some space and run again, what was finished is kept.", 1
            ) from None
        raise UserError(
            f"{type(error).__name__}: {first_line(error)} (the whole story is at the end of {log}).", exit_code=1
        ) from None


def console_on(stream: TextIO) -> Console:
    """A console that wraps at 120 columns where the stream is a file, which has no width of its own."""
    return Console(file=stream, width=None if stream.isatty() else 120, highlight=False)


@contextmanager
def progress(console: Console, description: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar with count, rate in `unit` and time left; where the output is no terminal, a plain line now and then.

    Yields `advance(done, note="")`: `done` is the number finished so far, `note` a short text shown at the end.
    """
    started = time.monotonic()
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(description, total=total, rate="", note="")

            def advance(done: int, note: str = "") -> None:
                bar.update(task, completed=done, rate=_rate(done, time.monotonic() - started, unit), note=note)

            yield advance
        return

    last_line = started

    def advance_in_lines(done: int, note: str = "") -> None:
        nonlocal last_line
        now = time.monotonic()
        if now - last_line < SECONDS_BETWEEN_LINES and done < total:
            return
        last_line = now
        left = f"{_clock((total - done) * (now - started) / done)} left" if done else "time left unknown"
        rate = _rate(done, now - started, unit)
        console.print(
            f"{description}  {done}/{total}  {rate}  {_clock(now - started)} gone, {left}  {note}",
            markup=False,  # a folder may be called run[lr=1e-5]
            soft_wrap=True,
        )

    yield advance_in_lines


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(
        *columns,
        TextColumn("{task.fields[rate]}"),
        *times,
        TextColumn("{task.fields[note]}"),
        console=console,
        redirect_stdout=False,
        redirect_stderr=False,  # rich would carry library noise past `quiet` to the terminal
    )


def _rate(done: int, seconds: float, unit: str) -> str:
    if not done or not seconds:
        return f"- {unit}/s"
    return f"{done / seconds:.1f} {unit}/s" if done > seconds else f"{seconds / done:.1f} s/{unit}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
