"""A worker process of `pool`: one JSON line in, one JSON line out, under limits that the kernel enforces.

Started as `python -m graders.worker CPU_SECONDS`. A pair that uses up its CPU seconds ends the process (SIGPROF, whose default
action needs no cooperation from the code that is stuck); the pool sees the closed pipe and starts another worker.
"""

import json
import resource
import signal
import sys
import time

from graders import symbolic
from graders.expression import TooLarge
from graders.ladder import climb
from graders.pool import MEMORY_BYTES


def main() -> None:
    """Judge pairs from standard input until it ends."""
    cpu_seconds = float(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin:
        request = json.loads(line)
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        reply = judge(request["answer"], request["gold"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        reply["cpu_ms"] = 1000 * (time.process_time() - started)
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


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


if __name__ == "__main__":
    main()
