"""What the benchmarks share: the demo's files, a clock, and a watch over processes."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from eval import checkpoints
from eval.records import UserError

BASE, RUN, DATA = Path("models/smollm2-135m"), Path("checkpoints/demo"), Path("data/built/demo")

Row = tuple[str, str, str, str]  # what, measured, beside, ratio


def trained_checkpoints() -> list[Path]:
    """The demo's checkpoints by step. Raises UserError where there are none."""
    found = checkpoints.steps(RUN)
    if not found:
        raise UserError(f"{RUN} holds no checkpoints; run `make demo` first.")
    return found


def seconds(work: Callable[[], object]) -> float:
    """Seconds that `work()` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def watched(command: Sequence[str]) -> tuple[float, float, int]:
    """(seconds, CPU seconds, peak bytes) of a command with its workers; memory that they share counts once.

    CPU seconds beside the clock's, because a machine that others use too stretches only the latter. Raises UserError where
    the command fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as started:
        process = psutil.Process(started.pid)
        while started.poll() is None:
            peak = max(peak, _memory(process))
            time.sleep(0.5)
    if started.returncode:
        raise UserError(f"{' '.join(command)} ended with {started.returncode}.", 1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def _memory(process: psutil.Process) -> int:
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total
