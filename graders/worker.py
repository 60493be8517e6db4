"""A worker process of `pool`: one JSON line in, one JSON line out, under limits that the kernel enforces.

Started as `python -m graders.worker CPU_SECONDS`. The process itself only forks: its child judges pairs until one uses
up its CPU seconds. That ends the child (SIGPROF, whose default action needs no cooperation from the code that is
stuck), the process answers in its place and forks the next, which takes milliseconds where a start takes 0.3 s.
"""

import json
import os
import resource
import signal
import sys
import time

from graders import symbolic
from graders.expression import TooLarge
from graders.ladder import climb
from graders.pool import MEMORY_BYTES


def main() -> int:
    """Keep a child that judges, and end as it ends: at the end of its input, or by another signal than its limit's."""
    cpu_seconds = float(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while True:
        child = os.fork()
        if child == 0:
            serve(cpu_seconds)
            return 0
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code >= 0:
            return code
        if code != -signal.SIGPROF:  # whether the pair was read by then nobody knows
            os.kill(os.getpid(), -code)
        _say({"equal": None, "rule": "limit: CPU seconds", "cpu_ms": 1000 * cpu_seconds})


def serve(cpu_seconds: float) -> None:
    """Judge pairs from standard input until it ends."""
    for line in sys.stdin:
        request = json.loads(line)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        reply = judge(request["answer"], request["gold"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say({**reply, "cpu_ms": 1000 * (time.process_time() - started)})


def judge(answer: str, gold: str) -> dict[str, object]:
    """One reply: `equal` true, false or null (a limit was reached), and the rule."""
    try:
        step = climb(answer, gold, symbolic.judge)
    except TooLarge as error:
        return {"equal": None, "rule": f"refused: {error}"}
    except (MemoryError, RecursionError) as error:
        return {"equal": None, "rule": f"limit: {type(error).__name__}"}
    if step.equal is None and not step.refused:
        return {"equal": False, "rule": "symbolic:no-common-domain"}
    return {"equal": step.equal, "rule": step.rule}


def _say(reply: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
