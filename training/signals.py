"""What ends a training from outside: one sentence, the signal's exit code, and no process that outlives its launcher.

Imports nothing that takes time: it is to be in place before the libraries are loaded.
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
    """Has the kernel kill this process as soon as the launcher that started it is gone, however it went (Linux)."""
    launcher = os.environ.get(LAUNCHER_PID)
    if launcher or "TORCHELASTIC_RUN_ID" in os.environ:
        follow_parent(int(launcher) if launcher else os.getppid())


def follow_parent(parent: int) -> None:
    """Ends this process with its parent, by SIGKILL; at once where that is no longer `parent`."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def on_end(handle: Callable[[int, FrameType | None], None]) -> None:
    """Calls `handle` for each of ENDING that is not ignored; nohup ignores SIGHUP, and a shell SIGINT for what it puts behind."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def end_quietly() -> None:
    """From now on a signal ends this process, wherever it is, with one sentence on what is standard error now."""
    terminal, owner = os.dup(2), os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        # Nothing is to be tidied up: the kernel frees the lock, and a checkpoint without run.json is not finished.
        if os.getpid() == owner:
            say_stopped(terminal)
        os._exit(128 + number)

    on_end(end)


def say_stopped(terminal: int) -> None:
    """Writes SENTENCE to a file descriptor, unless another process of this launch has said why it ends."""
    if claim():
        cursor = SHOW_CURSOR if os.isatty(terminal) else ""
        with contextlib.suppress(OSError):  # a terminal that is gone
            os.write(terminal, f"{cursor}{SENTENCE}\n".encode())


def claim() -> bool:
    """Whether this process is the first of its launch to say why it ends.

    Mostly all of them end alike; now and then one fails alone, and then its sentence is the one that matters.
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
