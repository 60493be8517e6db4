"""What the benchmarks share: the demo's files, and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

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
