"""Every arm of an ablation checked before the first one is trained: by training's own preflight, and by evaluation's own checks."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from data.cells import Cell
from data.content import benchmark_files, digest_of, key_of, source_files
from data.processes import Busy, follow, held
from data.steps import SCORING_SOURCES, allowances, environment, furnish, is_finished, launch
from eval.records import UserError

CHECKED = "checked"  # in a cell's folder: training's preflight passes; the key of what scoring was checked with


def check_arms(cells: Sequence[Cell], console: Console) -> None:
    """Raises UserError (exit code 1) with a sentence for each arm whose training or scoring would be refused."""
    arms = {cell.arm.name: [other for other in cells if other.arm.name == cell.arm.name] for cell in cells}
    owed = [mine[0] for mine in arms.values() if not any(is_finished(one) or is_checked(one) for one in mine)]
    models: set[str] = set()
    refused = []
    for number, cell in enumerate(owed, start=1):
        with console.status(f"checking arm {number} of {len(owed)} before any is trained"):
            try:
                check(cell, models)
            except Busy:
                continue  # another call trains it
            except UserError as error:
                refused.append(str(error))
    if refused:
        raise UserError(f"nothing is trained, because {len(refused)} of {len(arms)} arms fail: {'; '.join(refused)}", 1)


def check(cell: Cell, models: set[str]) -> None:
    """Training's preflight, then what scoring would refuse of the base model, each model once."""
    model = str(cell.settings["model_name_or_path"])
    with held(cell):
        furnish(cell)
        follow(cell, [*launch(cell), *allowances(cell), "--preflight"], lambda line: None, environment(cell))
        # A template of the arm's own, such as one without EOS, is that of no base model.
        if cell.arm.sft_utils is None and model not in models:
            models.add(model)
            command = [sys.executable, "-m", "eval", "run", model, *cell.scoring.arguments, "--check"]
            follow(cell, [*command, "--reports", str(cell.scoring.reports)], lambda line: None, {})
        (cell.place / CHECKED).write_text(scoring_key(cell), encoding="utf-8")


def is_checked(cell: Cell) -> bool:
    """Whether the arm has passed, with the benchmarks and options of today; what decides training is in the cell's key."""
    path = cell.place / CHECKED
    return path.is_file() and path.read_text(encoding="utf-8") == scoring_key(cell)


def scoring_key(cell: Cell) -> str:
    return key_of(
        {
            "arguments": cell.scoring.arguments,
            "benchmarks": digest_of(benchmark_files(cell.scoring.arguments)),
            "sources": digest_of(source_files(cell.root, SCORING_SOURCES)),
        }
    )
