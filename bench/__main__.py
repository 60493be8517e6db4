"""make bench: speeds as ratios within one run, on the demo's model and problems; docs/benchmarks.md keeps the results.

python -m bench [decoding sweep grading training report]
python -m bench grading # prints a Markdown table for docs/grading.md as well, of both graders on labelled sets
BENCH_DATA=<folder> BENCH_DIR=<folder> python -m bench data    # recipes over up to 860,000 rows: half an hour, so not among the others
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.table import Column

from bench import data, decoding, grading, report, sweep, training
from bench.measure import trained_checkpoints
from eval.console import print_table, quiet
from eval.records import UserError

BENCHES = {
    "decoding": decoding.rows,
    "sweep": sweep.rows,
    "grading": grading.rows,
    "training": training.rows,
    "report": report.rows,
    "data": data.rows,
}
MARKDOWN: dict[str, Callable[[], list[str]]] = {"grading": grading.table}
NEED_NO_DEMO = {"grading", "report"}
BY_DEFAULT = [name for name in BENCHES if name != "data"]


def main() -> int:
    """Measures and prints; returns 2 where `make demo` has not made what is measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], metavar=" | ".join(BENCHES))
    names = parser.parse_args().names or BY_DEFAULT
    rows, markdown = list[tuple[str, ...]](), list[str]()
    try:
        if set(names) - NEED_NO_DEMO:
            trained_checkpoints()
        with quiet(Path("reports/bench.log")) as console:
            for name in names:
                with console.status(name):
                    rows += BENCHES[name]()
                    markdown += MARKDOWN.get(name, list)()
            print_table(console, [Column(name) for name in ("what", "measured", "beside", "ratio")], rows)
        print("\n".join(markdown))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
