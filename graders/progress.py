"""A progress line with rate and time left, without any library."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

SECONDS_ON_TERMINAL = 0.2  # between two repaints of the line
SECONDS_IN_LOG = 10.0  # between two lines where nothing can be repainted
MIN_DONE = 20  # before so many the rate is mostly start-up and tells nothing about the rest
FIRST_SECONDS = 1.0  # a run that is over by then needs no progress line


def progress_line(
    verb: str = "graded", stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    r"""A function of (done, total) that writes `graded 12,000 of 50,000   4,300/s   9 s left` now and then.

    On a terminal the line is repainted and wiped at the end; in a log each is a line of its own. Runs of less than a
    second write nothing.
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    started = clock()
    due = started + FIRST_SECONDS
    painted = False

    def show(done: int, total: int) -> None:
        nonlocal due, painted
        now = clock()
        if done >= total:
            if painted and terminal:
                out.write("\r\x1b[K")
                out.flush()
            return
        if now < due:
            return
        due = now + (SECONDS_ON_TERMINAL if terminal else SECONDS_IN_LOG)
        painted = True
        rate = done / (now - started)
        left = f"{_duration((total - done) / rate)} left" if done >= MIN_DONE else "time left unknown"
        line = f"{verb} {done:,} of {total:,}   {rate:,.0f}/s   {left}"
        out.write(f"\r\x1b[K{line}" if terminal else line + "\n")
        out.flush()

    return show


def _duration(seconds: float) -> str:
    """Seconds as a person says them: `9 s`, `4 min 10 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
