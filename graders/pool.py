"""Worker processes for the symbolic rung, with hard limits: a stuck pair is killed, not asked to stop.

Workers are plain subprocesses that speak JSON lines. That is on purpose: `multiprocessing` with spawn or forkserver
imports the caller's main module again in every worker, which for a training or evaluation script means torch, and it
breaks in scripts without a main guard; fork copies a process that may hold a GPU and threads.
"""

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# CPU seconds for one pair: the median pair that comes to a worker needs 0.008, the slowest of all labelled ones 0.09.
# CPU time, not wall time, so that a busy machine does not change a verdict.
CPU_SECONDS = 0.5
MEMORY_BYTES = 1 << 30  # address space of a worker; it needs about 100 MB
# Backstop for a worker that neither computes nor answers; CPU seconds decide in every ordinary case.
WALL_SECONDS = 60.0
MAX_DEFAULT_WORKERS = 4  # few pairs need a worker, so more would only cost start-up


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker says about one pair. `equal` None: a limit was reached and nothing was decided."""

    equal: bool | None
    rule: str
    cpu_ms: float


class _Worker:
    """One running subprocess and the pair it is busy with."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "graders.worker", str(CPU_SECONDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path}, bufsize=0,
            process_group=0,  # it forks; the group is killed as one, and Ctrl-C reaches this process only
        )  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        self.received = b""
        self.usable = True  # for another pair
        self.index = -1  # of the pair in hand
        self.deadline = 0.0

    def ask(self, index: int, answer: str, gold: str) -> None:
        self.index, self.received, self.deadline = index, b"", time.monotonic() + WALL_SECONDS
        request = json.dumps({"answer": answer, "gold": gold}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # a worker that died while idle: its closed output is the reply
            self.input.write(request.encode())

    def read(self) -> Reply | None:
        """The reply, None while it is incomplete."""
        chunk = os.read(self.output.fileno(), 1 << 16)
        self.received += chunk
        if not chunk:
            return self.post_mortem()
        if not self.received.endswith(b"\n"):
            return None
        reply = json.loads(self.received)
        return Reply(reply["equal"], reply["rule"], reply["cpu_ms"])

    def post_mortem(self) -> Reply:
        self.usable = False
        code = self.process.wait()
        if code < 0:
            return Reply(None, f"limit: worker ended by signal {-code}", 0.0)
        return Reply(None, f"error: the worker ended with exit code {code}; is mpmath installed?", 0.0)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.input.close()
        self.output.close()


_idle: list[_Worker] = []  # kept for the next call: a worker takes 0.3 s to start
_owner = os.getpid()
_lock = threading.Lock()


def default_workers() -> int:
    """Worker processes used when the caller does not say: one a core, at most MAX_DEFAULT_WORKERS."""
    return min(os.cpu_count() or 1, MAX_DEFAULT_WORKERS)


def judge_many(
    pairs: Sequence[tuple[str, str]], workers: int | None = None, done: Callable[[], None] | None = None
) -> list[Reply]:
    """Replies for (answer, gold) pairs, in input order; no pairs start no worker. `done` is called once a pair."""
    replies: dict[int, Reply] = {}
    todo = list(reversed(range(len(pairs))))
    size = min(workers or default_workers(), len(pairs))
    busy: list[_Worker] = []
    with _lock, selectors.DefaultSelector() as selector:
        _forget_after_fork()
        try:
            while todo or busy:
                while todo and len(busy) < size:
                    busy.append(_hand_out(selector, todo.pop(), pairs))
                for worker, reply in _finished(selector, busy):
                    replies[worker.index] = reply
                    selector.unregister(worker.output)
                    busy.remove(worker)
                    _retire(worker)
                    if done is not None:
                        done()
        finally:  # on Ctrl-C, nothing is left running
            for worker in busy:
                worker.stop()
    return [replies[index] for index in range(len(pairs))]


def _hand_out(selector: selectors.BaseSelector, index: int, pairs: Sequence[tuple[str, str]]) -> _Worker:
    while _idle and _idle[-1].process.poll() is not None:
        _idle.pop().stop()  # it died while it had nothing to do
    worker = _idle.pop() if _idle else _Worker()
    selector.register(worker.output, selectors.EVENT_READ, worker)
    worker.ask(index, *pairs[index])
    return worker


def _finished(selector: selectors.BaseSelector, busy: Sequence[_Worker]) -> list[tuple[_Worker, Reply]]:
    """Workers that have answered, died, or run past the wall-clock backstop."""
    wait = max(0.0, min(worker.deadline for worker in busy) - time.monotonic())
    ready = [key.data for key, _ in selector.select(wait)]
    found = [(worker, reply) for worker in ready if (reply := worker.read()) is not None]
    late = [worker for worker in busy if worker not in ready and time.monotonic() > worker.deadline]
    for worker in late:
        worker.usable = False
    return found + [(worker, Reply(None, "limit: wall clock", 0.0)) for worker in late]


def _retire(worker: _Worker) -> None:
    """Keep a worker for the next pair if it can take one."""
    if not worker.usable or len(_idle) >= MAX_DEFAULT_WORKERS:
        worker.stop()
    else:
        _idle.append(worker)


def _forget_after_fork() -> None:
    """A forked child must not share its parent's pipes."""
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        _idle.clear()


@atexit.register
def shut_down() -> None:
    """Stop the idle workers. Called at exit; the next batch starts new ones."""
    _forget_after_fork()
    while _idle:
        _idle.pop().stop()
