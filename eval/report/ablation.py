"""Recipes against a control: each trained with the same seeds, measured on the same problems, held against each other in pairs.

reports/ablations/<id>/cells.json      what `python -m data ablate` ran: arms, seeds, and the keys of their evaluations
                       ablation.json   what follows from it: made again with every report
                       index.html      the same as a page

The last checkpoint of a cell stands for it: the best one would be picked on the problems that then judge it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column
from rich.text import Text

from eval.console import print_table, printable
from eval.report.look import replace_file
from eval.report.ranking import SIGNIFICANT, join_words, limited, percent
from eval.scores import LEVELS, Graded, aligned, read_graded
from eval.stats import (
    OverSeeds,
    Paired,
    Scores,
    accuracy_interval,
    holm,
    mean_over_seeds,
    paired,
    paired_over_seeds,
    seed_spread,
)
from eval.store import read_manifest, read_object
from eval.words import bounds, p_value, p_words, signed, size, tenths, why_not

FOLDER, CELLS, RESULT = "ablations", "cells.json", "ablation.json"
NAME_CHARACTERS, REASON_CHARACTERS = 40, 400
UNEQUAL_TOKENS = 1.05


@dataclass(frozen=True)
class Seed:
    """The last checkpoint of one cell; `against` is the control with the same seed, where there is one."""

    seed: int
    summary: Mapping[str, Any]
    tokens_seen: int | None
    against: Paired | None


@dataclass(frozen=True)
class ArmRow:
    """One recipe over its seeds. `over` is the difference to the control, None for itself; `p` is Holm's over all arms."""

    name: str
    seeds: tuple[Seed, ...]
    shares: Mapping[str, float]
    interval: tuple[float, float]
    over: OverSeeds | None = None
    p: float | None = None

    def mean(self, what: str) -> float:
        """The mean of a summary's figure over seeds."""
        return float(np.mean([seed.summary[what] for seed in self.seeds]))

    @property
    def tokens_seen(self) -> int | None:
        """Training tokens, the mean over seeds; None where nobody wrote them down."""
        known = [seed.tokens_seen for seed in self.seeds if seed.tokens_seen is not None]
        return round(sum(known) / len(known)) if known else None


@dataclass(frozen=True)
class Table:
    """One benchmark: arms by accuracy, best first. `spread` is the standard deviation between the seeds of an arm."""

    benchmark: str
    title: str
    control: str
    rows: tuple[ArmRow, ...]
    spread: tuple[float, int] | None
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A cell without a result: its name, why in one sentence, and its log relative to the project ("" where not known)."""

    name: str
    reason: str
    log: str


@dataclass(frozen=True)
class Ablation:
    """One ablation: what was run, and a table for each benchmark that has results."""

    folder: Path
    record: Mapping[str, Any]
    tables: tuple[Table, ...]

    @property
    def title(self) -> str:
        """The arms, the control first."""
        names = [plain(arm["name"]) for arm in self.record["arms"]]
        shown = [*names[:4], f"{len(names) - 4} more"] if len(names) > 5 else names
        return f"{join_words(shown)}"

    @property
    def failures(self) -> list[Failure]:
        """The cells without a result."""
        return [_failure(cell) for cell in self.record["cells"] if cell.get("error")]


def load_ablations(reports: Path) -> list[Ablation]:
    """Every ablation of a reports folder, newest first. Raises UserError where one can't be read."""
    folders = [path.parent for path in (reports / FOLDER).glob(f"*/{CELLS}")]
    found = [load_ablation(folder) for folder in folders]
    return sorted(found, key=lambda one: (str(one.record.get("created")), one.folder.name), reverse=True)


def load_ablation(folder: Path) -> Ablation:
    """The ablation in reports/ablations/<id>, its figures from the verdicts in the store."""
    record = read_object(folder / CELLS)
    reports = folder.parent.parent
    tables = [make_table(record, benchmark, reports) for benchmark in record["benchmarks"]]
    return Ablation(folder, record, tuple(table for table in tables if table.rows))


def make_table(record: Mapping[str, Any], benchmark: str, reports: Path) -> Table:
    """The table of one benchmark; without rows where nothing of it is stored."""
    known = {
        (cell["arm"], cell["seed"]): (cell, *found)
        for cell in record["cells"]
        if (found := _last(cell, benchmark, reports))
    }
    arms = [arm["name"] for arm in record["arms"] if any(name == arm["name"] for name, _ in known)]
    graded = aligned_by_cell({place: one[2] for place, one in known.items()})
    scores = {level: {arm: _stack(arm, graded[level]) for arm in arms} for level in LEVELS}
    equivalent, control = scores["equivalent"], str(record["control"])
    spread = seed_spread(list(equivalent.values()))
    over = {
        arm: paired_over_seeds(equivalent[control], equivalent[arm], spread)
        for arm in arms
        if control in equivalent and arm != control
    }
    p_values = dict(zip(over, holm([one.p for one in over.values()]).tolist(), strict=True))
    rows = []
    for arm in arms:
        seeds = tuple(
            Seed(seed, summary, cell.get("tokens_seen"), _against(graded["equivalent"], control, name, seed))
            for (name, seed), (cell, summary, _) in known.items()
            if name == arm
        )
        shares = {level: float(np.nanmean(mean_over_seeds(scores[level][arm]))) for level in LEVELS}
        interval = accuracy_interval(mean_over_seeds(equivalent[arm]), len(seeds))
        rows.append(ArmRow(arm, seeds, shares, interval, over.get(arm), p_values.get(arm)))
    ranked = tuple(sorted(rows, key=lambda row: -row.shares["equivalent"]))
    title = _title(next(iter(known.values()))[1], benchmark) if known else benchmark
    table = Table(benchmark, title, control, ranked, spread, ())
    said = [*sentences(table, record), *_on_other_problems(benchmark, [one[2] for one in known.values()])]
    return Table(benchmark, title, control, ranked, spread, tuple(said))


def _on_other_problems(benchmark: str, graded: Sequence[Graded]) -> list[str]:
    """A sentence where cells were measured on different problems, such as another LIMIT's; else []."""
    if len({one.benchmark_sha for one in graded}) < 2:
        return []
    shared = len(set.intersection(*(set(one.ids) for one in graded)))
    return [
        f"The cells were not measured on the same problems of {plain(benchmark)}: {shared:,} ids are common to all, and "
        "each pair is compared on its shared problems; run the ablation again to measure all alike."
    ]


def aligned_by_cell(graded: Mapping[tuple[str, int], Graded]) -> dict[str, dict[tuple[str, int], Scores]]:
    """{level: {(arm, seed): its scores}}, the same problem at the same place in all."""
    if not graded:
        return {level: {} for level in LEVELS}
    return {level: dict(zip(graded, aligned(list(graded.values()), level), strict=True)) for level in LEVELS}


def sentences(table: Table, record: Mapping[str, Any]) -> list[str]:
    """What may be concluded, a sentence an arm, then what the seeds say and what failed: each with its number."""
    others = sum(row.over is not None for row in table.rows)
    said = [verdict(row, table.control, others) for row in table.rows if row.over]
    if not said and len(table.rows) > 1:
        said.append(f"The control {plain(table.control)} has no result, so nothing is compared.")
    if table.spread:
        sd, freedom = table.spread
        said.append(
            f"Seeds of one recipe differ by {size(sd)} (standard deviation, pooled, {freedom} degrees of freedom); "
            "intervals and p-values count it."
        )
    elif any(len(row.seeds) > 1 for row in table.rows):
        said.append(
            "Next to nothing is right, or wrong, so the seeds show no spread: the intervals are about other problems."
        )
    elif len(table.rows) > 1:
        said.append(
            "One seed a recipe: the intervals are about other problems, and say nothing about another training of the same "
            "recipe."
        )
    if said_of_tokens := token_sentence(table, bool(record.get("budget_tokens"))):
        said.append(said_of_tokens)
    failed = [f"{plain(cell['arm'])} seed {cell['seed']}" for cell in record["cells"] if cell.get("error")]
    if failed:
        said.append(f"Without a result: {join_words(failed)}.")
    return said


def token_sentence(table: Table, budgeted: bool) -> str:
    """How far apart the arms' training tokens are, in one sentence; "" where they are equal to a twentieth, or not known."""
    known = {row.name: row.tokens_seen for row in table.rows if row.tokens_seen}
    if not known or max(known.values()) <= UNEQUAL_TOKENS * min(known.values()):
        return ""
    (least, fewest), (most, largest) = (pick(known.items(), key=lambda one: one[1]) for pick in (min, max))
    fix = "" if budgeted else "; --budget tokens=N gives all the same"
    return f"Training tokens differ: {plain(least)} saw {fewest:,}, {plain(most)} {largest:,}{fix}."


def verdict(row: ArmRow, control: str, arms: int = 1) -> str:
    """Whether an arm can be told from the control, in one sentence with its numbers; `arms` were corrected for together."""
    assert row.over is not None and row.p is not None
    found, difference = row.over, row.over.problems.difference
    among = f"{arms} {'arms' if arms > 1 else 'arm'}"
    test = p_words(found.p, row.p, among) + why_not(found.p, row.p, found.low, found.high)
    if row.p < SIGNIFICANT:
        word = "better" if difference > 0 else "worse"
        low, high = (found.low, found.high) if difference >= 0 else (-found.high, -found.low)
        interval = f"95 % interval {tenths(100 * low)} to {tenths(100 * high)}"
        return f"{plain(row.name)} is {word} than {plain(control)} by {size(difference)}, {interval}, {test}."
    return (
        f"{plain(row.name)} cannot be told from {plain(control)}: {_away(difference)}, "
        f"95 % interval {bounds(found.low, found.high)}, {test}; so many problems and seeds find a "
        f"difference of {size(found.detectable)} in four of five cases, before the correction."
    )


def _away(difference: float) -> str:
    """A difference in a sentence: "+3.2 points", "less than 0.1 points lower", "equal"."""
    if abs(difference) < 1e-9:
        return "equal"
    if signed(difference) == "0.0":
        return f"{size(difference)} {'higher' if difference > 0 else 'lower'}"
    return f"{signed(difference)} points"


def terminal_table(ablation: Ablation, console: Console) -> None:
    """Prints a table a benchmark and its sentences."""
    names, *figures = COLUMNS
    columns = [Column(names, no_wrap=True), *(Column(name, justify="right") for name in figures)]
    for found in ablation.tables:
        rows = [
            [Text(cell, style="bold" if row.over is None else "") for cell in cells(row, found)] for row in found.rows
        ]
        print_table(console, columns, rows, found.title)
        for sentence in found.sentences:
            console.print(Text(sentence, style="dim"))


COLUMNS = (
    "arm",
    "equivalent",
    "95% interval",
    "by seed",
    "− control",
    "95% interval",
    "p (Holm)",
    "no box",
    "truncated",
    "tokens",
)


def cells(row: ArmRow, table: Table) -> tuple[str, ...]:
    """The row's cells in the order of COLUMNS."""
    over = row.over
    difference = ("", "", "") if over is None else (
        signed(over.problems.difference),
        bounds(over.low, over.high),
        p_value(row.p or 0.0),
    )  # fmt: skip
    return (
        plain(row.name) + (" (control)" if row.name == table.control else ""),
        percent(row.shares["equivalent"]),
        f"{100 * row.interval[0]:.1f}–{100 * row.interval[1]:.1f}",
        " ".join(f"{100 * seed.summary['equivalent']:.1f}" for seed in row.seeds),
        *difference,
        percent(row.mean("no_box")),
        percent(row.mean("truncated")),
        "–" if row.tokens_seen is None else f"{row.tokens_seen:,}",
    )


def as_json(ablation: Ablation) -> dict[str, Any]:
    """What ablation.json holds: shares and differences in [-1, 1]."""
    return {
        "id": ablation.folder.name,
        "control": ablation.record["control"],
        "budget_tokens": ablation.record.get("budget_tokens"),
        "arms": ablation.record["arms"],
        "benchmarks": [
            {
                "benchmark": table.benchmark,
                "title": table.title,
                "seed_sd": table.spread and table.spread[0],
                "rows": [_row_object(row) for row in table.rows],
                "sentences": list(table.sentences),
            }
            for table in ablation.tables
        ],
        "failed": {f"{c['arm']} seed {c['seed']}": c["error"] for c in ablation.record["cells"] if c.get("error")},
    }


def write_result(ablation: Ablation) -> None:
    """ablation.json, whole or not at all."""
    replace_file(ablation.folder / RESULT, json.dumps(as_json(ablation), indent=1, ensure_ascii=False) + "\n")


def plain(text: str) -> str:
    """One line without control characters: names of recipes are what people called their files."""
    line = printable(str(text))
    return line if len(line) <= NAME_CHARACTERS else line[: NAME_CHARACTERS - 1] + "…"


def _failure(cell: Mapping[str, Any]) -> Failure:
    """What the record keeps of a failed cell; its error ends in the exit code and the whole path of the log."""
    name = f"{cell['arm']} seed {cell['seed']}"
    said = " ".join(re.sub(r"\(exit code -?\d+; .*\)$", "", str(cell["error"])).split()).removeprefix(f"{name}: ")
    sentence = re.split(r"(?<=[.!?]) ", said)[0]
    # Only the name is taken, as with keys of evaluations.
    log = f"ablations/cells/{printable(Path(str(cell['key'])).name)}/cell.log" if cell.get("key") else ""
    return Failure(plain(name), printable(sentence)[:REASON_CHARACTERS], log)


def _last(cell: Mapping[str, Any], benchmark: str, reports: Path) -> tuple[dict[str, Any], Graded] | None:
    """(summary, verdicts) of a cell's last checkpoint; None where the store has none."""
    keys = {int(step): key for step, key in cell.get("keys", {}).get(benchmark, {}).items()}
    if not keys:
        return None
    # Only the name is taken: a record must not be able to point outside the reports folder.
    folder = reports / Path(keys[max(keys)]).name
    if not (folder / "DONE").is_file():
        return None
    summary = read_object(folder / "summary.json") | {"key": folder.name, "step": max(keys)}
    return summary, read_graded(folder, read_manifest(folder), summary["grader"])


def _against(scores: Mapping[tuple[str, int], Scores], control: str, arm: str, seed: int) -> Paired | None:
    """The exact paired test of one seed."""
    if arm == control or (control, seed) not in scores:
        return None
    return paired(scores[control, seed], scores[arm, seed])


def _stack(arm: str, scores: Mapping[tuple[str, int], Scores]) -> Scores:
    return np.stack([row for (name, _), row in scores.items() if name == arm])


def _title(summary: Mapping[str, Any], benchmark: str) -> str:
    limit = summary.get("limit")
    if not limit:
        return f"{benchmark}, {summary['n']:,} problems"
    return f"{benchmark}{limited(limit, None, bool(summary.get('drawn')))}"


def _row_object(row: ArmRow) -> dict[str, Any]:
    over = row.over
    return {
        "arm": row.name,
        **row.shares,
        "ci95": list(row.interval),
        "no_box": row.mean("no_box"),
        "truncated": row.mean("truncated"),
        "tokens_seen": row.tokens_seen,
        "difference": over
        and {
            "difference": over.problems.difference,
            "ci95": [over.low, over.high],
            "p": over.p,
            "p_holm": row.p,
            "ci95_these_trainings": [over.problems.low, over.problems.high],
            "detectable": over.detectable,
        },
        "seeds": [_seed_object(seed) for seed in row.seeds],
    }


def _seed_object(seed: Seed) -> dict[str, Any]:
    shown = ("checkpoint", "step", "key", *LEVELS, "ci95", "no_box", "truncated")
    found = seed.against
    return {"seed": seed.seed, "tokens_seen": seed.tokens_seen} | {name: seed.summary.get(name) for name in shown} | {
        "against_control": found
        and {
            "difference": found.difference,
            "ci95": [found.low, found.high],
            "mcnemar_p": found.p,
            "fixed": found.fixed,
            "broken": found.broken,
        }
    }  # fmt: skip


def rows_by_key(ablations: Sequence[Ablation]) -> dict[str, tuple[Ablation, Table, ArmRow]]:
    """{key of an evaluation: where it stands in an ablation}; the newest ablation of several."""
    return {
        seed.summary["key"]: (ablation, table, row)
        for ablation in reversed(ablations)
        for table in ablation.tables
        for row in table.rows
        for seed in row.seeds
    }
