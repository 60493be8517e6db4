"""Signals that stop a training: one sentence, the signal's exit code, and no process that outlives its launcher.

This module imports nothing slow, because it must be active before the libraries are loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

SENTENCE = "stopped; finished checkpoints are kept."
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAUNCHER_PID = "TRAINING_LAUNCHER_PID"
SAID = "TRAINING_SAID"
PR_SET_PDEATHSIG = 1
SHOW_CURSOR = "\x1b[?25h"


def end_with_launcher() -> None:
    """Makes the kernel kill this process when its launcher ends, for whatever reason (Linux)."""
    launcher = os.environ.get(LAUNCHER_PID)
    if launcher or "TORCHELASTIC_RUN_ID" in os.environ:
        follow_parent(int(launcher) if launcher else os.getppid())


def follow_parent(parent: int) -> None:
    """Makes SIGKILL end this process when its parent ends; at once where its parent is no longer `parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def on_end(handle: Callable[[int, FrameType | None], None]) -> None:
    """Calls `handle` for each signal of ENDING that is not ignored: nohup ignores SIGHUP, a shell ignores SIGINT for background jobs."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def end_quietly() -> None:
    """From now on a signal ends this process at any point, with one sentence on the current standard error."""
    terminal, owner = os.dup(2), os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        # No cleanup is needed: the kernel releases the lock, and a checkpoint without run.json counts as unfinished.
        if os.getpid() == owner:
            say_stopped(terminal)
        os._exit(128 + number)

    on_end(end)


def say_stopped(terminal: int) -> None:
    """Writes SENTENCE to a file descriptor, unless another process of this launch has already said why it ends."""
    if claim():
        cursor = SHOW_CURSOR if os.isatty(terminal) else ""
        with contextlib.suppress(OSError):  # the terminal may be closed
            os.write(terminal, f"{cursor}{SENTENCE}\n".encode())


def claim() -> bool:
    """Whether this process is the first of its launch to say why it ends.

    Usually all of them end for the same reason. Where one fails alone, its sentence is the one that matters.
    """
    said = os.environ.get(SAID)
    errors = os.environ.get("TORCHELASTIC_ERROR_FILE")  # <folder of the launch>/attempt_0/<rank>/error.json
    if not said and errors:
        said = os.path.join(os.path.dirname(os.path.dirname(errors)), "said")  # noqa: PTH118, PTH120 - pathlib takes time
    if not said:
        return True
    try:
        os.close(os.open(said, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
