"""`accelerate launch` for `make train`, without its traceback: sft.py has said in one sentence what is wrong.

    python launch.py --config_file=deepspeed_zero3.yaml sft.py [CONFIG]

takes what `accelerate launch` takes and runs the same code; only a failed run ends differently, with sft.py's own exit
code instead of the launcher's page about which process failed first.
"""

from __future__ import annotations

import logging
import sys

from accelerate.commands.accelerate_cli import main as accelerate
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    """Runs the launcher; returns the exit code of the process that failed first, 0 where none did."""
    logging.disable(logging.ERROR)  # the launcher logs what it raises, too
    sys.argv = ["accelerate", "launch", *sys.argv[1:]]
    try:
        accelerate()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(
                f"error: training was ended by signal {-failure.exitcode} (9 is mostly memory); see train.log.",
                file=sys.stderr,
            )
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
