"""make parity: the same batches through this project's ZeRO-3 run, a plain PyTorch loop and the contract's trainer.

    python -m parity [--config demo_config.yaml] [--steps 20] [--launch-config deepspeed_zero3.yaml] [--no-stock]

Compares losses step by step and the final weights, in float32, on a small Llama with random weights. The contract's
trainer starts unchanged; each row of the table removes one difference, until none is left. Exit code 1 where this
project's run differs from the plain loop, or where the last row still differs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from data.submission.sandbox import stock_python
from eval.console import print_table, quiet
from eval.records import UserError
from parity import inputs, plain, runs
from parity.compare import TOLERANCE, Difference, compare
from parity.rungs import ladder

LOG = Path("reports/parity.log")
RUNS = ((False, 1), (True, 1), (True, 2))  # (packing, processes)


@dataclass(frozen=True)
class Line:
    """One row of the table; `must_hold` where a difference is a fault."""

    run: str
    beside: str
    difference: Difference
    must_hold: bool


def compare_all(options: argparse.Namespace, work: Path, console: Console) -> list[Line]:
    """Every comparison: rows unpacked and packed on one process, and packed on two."""
    python = None if options.no_stock else stock_python(runs.ROOT, console)
    lines = list[Line]()
    for packing, processes in RUNS:
        name = f"{'packed' if packing else 'unpacked'}, {processes} process{'es' if processes > 1 else ''}"
        with console.status(name):
            settings = inputs.settings_of(options.config, work, options.steps, packing) | {
                "run_name": name.replace(", ", "-")
            }
            lines += compare_run(name, settings, work, options.launch_config, processes, python)
    return lines


def compare_run(
    name: str, settings: dict[str, Any], work: Path, launch_config: Path, processes: int, python: str | None
) -> Iterator[Line]:
    """The plain loop, then (of one process) the contract's trainer rung by rung, each beside this project's run."""
    ours, steps, optimizer = runs.train_here(settings, work, launch_config, processes)
    control = plain.train(work / "base", steps, optimizer)
    yield Line(name, "plain PyTorch loop", compare(*ours, *control), True)
    if python and processes == 1:
        rungs = ladder(settings["packing"], optimizer)
        for rung, theirs in zip(rungs, runs.train_stock(python, settings, work, rungs), strict=True):
            label = f"contract's trainer, {'then: ' if rung != rungs[0] else ''}{rung.name}"
            yield Line(name, label, compare(*ours, *theirs), rung == rungs[-1])


def show(lines: list[Line], console: Console) -> None:
    """The table."""
    columns = [Column("this project's ZeRO-3 run"), Column("beside")]
    columns += [Column(name, justify="right") for name in ("loss apart", "from step", "weights apart", "")]
    rows = []
    for line in lines:
        found = line.difference
        state = (
            Text("equal", style="green")
            if found.equal
            else Text("FAILED", style="bold red")
            if line.must_hold
            else Text("")
        )
        rows.append((line.run, line.beside, f"{found.loss:.1e}", str(found.first or "–"), f"{found.weight:.1e}", state))
    print_table(console, columns, rows)
    console.print(f"equal: losses and weights within {TOLERANCE:.0e}, in float32", markup=False)


def main(argv: list[str] | None = None) -> int:
    """Compares and prints; returns the exit code."""
    options = parser().parse_args(argv)
    work = Path(tempfile.mkdtemp(prefix="parity-"))
    options.launch_config = (
        options.launch_config.absolute() if options.launch_config else runs.ROOT / "deepspeed_zero3.yaml"
    )
    try:
        if options.steps < 1:
            raise UserError(f"--steps is {options.steps}; it must be 1 or more.")
        with quiet(LOG) as console:
            inputs.write(work, options.config)
            lines = compare_all(options, work, console)
            show(lines, console)
    except UserError as error:  # the folder stays: the message names a log in it
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    shutil.rmtree(work)
    return int(any(line.must_hold and not line.difference.equal for line in lines))


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="python -m parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whole.add_argument(
        "--config",
        type=Path,
        default=Path("demo_config.yaml"),
        help="config whose optimizer settings and rows are used (default: demo_config.yaml)",
    )
    whole.add_argument("--steps", type=int, default=20, help="optimizer steps per training (default: 20)")
    whole.add_argument(
        "--launch-config",
        type=Path,
        help="another launch config, for example one that offloads Adam (default: deepspeed_zero3.yaml)",
    )
    whole.add_argument(
        "--no-stock", action="store_true", help="leave out the contract's trainer, which needs .venv-stock (3.3 GB)"
    )
    return whole


if __name__ == "__main__":
    sys.exit(main())
