"""`accelerate launch` for `make train`, without its traceback: sft.py has said in one sentence what is wrong.

    python launch.py --config_file=deepspeed_zero3.yaml sft.py [CONFIG]

takes the arguments of `accelerate launch` and runs its code in a child process. Only a run that fails or is stopped ends
differently: with the exit code of sft.py, or 128 + the signal number, and without leaving a process behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from types import FrameType

from training import signals

# Seconds in which a stopped launcher and its workers can end by themselves.
GRACE_S = 5


def main() -> int:
    """Runs the launcher in a child process; returns the exit code of the process that failed first, or 0."""
    folder = tempfile.mkdtemp(prefix="training-")
    os.environ[signals.SAID] = os.path.join(folder, "said")  # noqa: PTH118
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.ENDING)  # until both processes have their handlers
    parent, child = os.getpid(), os.fork()
    if not child:
        return launch(parent)
    try:
        return watch(child)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch(child: int) -> int:
    """Waits for the launcher and passes signals on; SIGKILL follows after GRACE_S or at the second signal."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not stopped:
            signals.say_stopped(2)
            signal.signal(signal.SIGALRM, stop)
            signal.alarm(GRACE_S)
        os.kill(child, signal.SIGKILL if stopped else signal.SIGTERM)
        stopped.append(number)

    signals.on_end(stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.ENDING)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(0)
    if stopped and code:
        return 128 + stopped[0]
    if code < 0:
        print(f"error: signal {-code} ended the launcher (9 usually means that memory ran out).", file=sys.stderr)
    return code if code >= 0 else 1


def launch(parent: int) -> int:
    """Runs the launcher in its own session, which Ctrl-C does not reach; it ends with `parent` or by its signal."""
    os.setsid()
    signals.follow_parent(parent)
    os.environ[signals.LAUNCHER_PID] = str(os.getpid())
    # torch's launcher handles SIGHUP even under nohup, which ignores it: ignored signals stay blocked.
    heard = [number for number in signals.ENDING if signal.getsignal(number) != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
    return accelerate()


def accelerate() -> int:
    """Runs `accelerate launch`; returns the exit code of the worker that failed first, 0 where none did."""
    import logging
    import subprocess

    from accelerate.commands.accelerate_cli import main as run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # the launcher logs what it raises, too
    sys.argv = ["accelerate", "launch", *sys.argv[1:]]
    try:
        run()
    except SignalException as error:
        signals.say_stopped(2)
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(
                f"error: training was ended by signal {-failure.exitcode} (9 is mostly memory); see train.log.",
                file=sys.stderr,
            )
        return failure.exitcode if failure.exitcode > 0 else 1
    except subprocess.CalledProcessError as error:  # a single process without DeepSpeed
        return error.returncode if error.returncode > 0 else 1
    except Exception as error:  # errors in its own config and options
        print(f"error: accelerate launch: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
