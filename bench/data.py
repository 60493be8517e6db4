"""What a build costs against its rows: a recipe with every kind of step over 10,000, 100,000 and 860,000 rows.

The input is your training files, enlarged: each copy has other numbers, names and openings, and its problem, solution
and box agree. 860,000 rows are about 1.2 GB, as NuminaMath-CoT has. The plot goes to reports/data-cost.svg.

    BENCH_DATA=<folder of .jsonl or .jsonl.gz files, rows with messages> BENCH_DIR=<folder with benchmarks> python -m bench data
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.measure import Row, watched
from data.synthetic import NAMES
from eval import benchmarks
from eval.records import UserError

PLOT = Path("reports/data-cost.svg")
SIZES = (10_000, 100_000, 860_000)
SOURCES = (
    "cn_k12",
    "synthetic_math",
    "orca_math",
    "olympiads",
    "synthetic_amc",
    "aops_forum",
    "math",
    "gsm8k",
    "amc_aime",
)
OPENINGS = (
    "", "In a town by the sea: ", "A student notes the following. ", "Consider this. ", "At the fair, ", "For practice: ",
    "Here is a question from last year. ", "Think about the following situation. ", "A teacher asks: ", "Exercise. ",
)  # fmt: skip
NUMBER = re.compile(r"(?<![\d.\\{])\d{1,4}(?![\d.])")
NAME = re.compile(r"\b(?:James|John|Tom|Mary|Sarah|Alice|Bob|Natalia|Julia|Mike|Lisa|Anna|Mark|Jerry|Carl|Emily)\b")
# Long rows are drawn more often: the enlarged files then have NuminaMath's mean length.
LENGTH_POWER = 1.2
RECIPE = """name: cost-{rows}
tokenizer: models/smollm2-135m
sources: [{{name: numinamath, path: {path}, bad_rows: 0.1}}]
steps:
  - not_empty
  - no_links
  - no_boilerplate
  - language
  - no_repeats
  - no_runaway
  - not_proof
  - one_answer
  - box_answer
  - one_box
  - has_box
  - normal_answer
  - answer_matches
  - decontaminate
  - dedup: {{near: 0.8}}
  - length: {{max_tokens: 2048}}
  - mix: {{rows: {kept}, caps: {{source: {{"*": {cap}}}}}}}
  - validation: {{rows: 100}}
"""


def rows(sizes: Sequence[int] = SIZES) -> Iterator[Row]:
    """One row a size: seconds, peak memory of all processes together, and the cost of a row beside the smallest size's."""
    benchmarks_dir = _folder("BENCH_DIR", "benchmarks, files NAME.jsonl")
    benchmarks.names(benchmarks_dir)  # raises where there are none, before minutes of work
    seeds = _real_rows(_folder("BENCH_DATA", "training files, .jsonl or .jsonl.gz with messages"))
    costs: list[tuple[int, float, float]] = []  # rows, seconds, CPU seconds
    with tempfile.TemporaryDirectory(prefix="data-cost-", dir=Path.cwd().parent) as folder:
        path = Path(folder) / "rows.jsonl"
        for count in sizes:
            size = write_rows(path, seeds, count)
            recipe = Path(folder) / "recipe.yaml"
            recipe.write_text(
                RECIPE.format(rows=count, path=path, kept=min(count, 100_100), cap=max(count // 10, 20_000))
            )
            command = [sys.executable, "-m", "data", "build", str(recipe), "--out", f"{folder}/out"]
            seconds, cpu_seconds, peak = watched([*command, "--benchmarks-dir", str(benchmarks_dir)])
            costs.append((count, seconds, cpu_seconds))
            yield (
                f"build from {count:,} rows, {size / 1e9:.2f} GB",
                f"{seconds:,.0f} s, {cpu_seconds:,.0f} CPU s, {peak / 1e9:.1f} GB",
                f"{1000 * cpu_seconds / count:.2f} CPU ms a row",
                f"{cpu_seconds / count / (costs[0][2] / costs[0][0]):.2f}",
            )
    plot(costs, PLOT)


def write_rows(path: Path, seeds: list[dict[str, str]], count: int) -> int:
    """Writes `count` variations in NuminaMath's columns, the same ones every time; returns the file's bytes."""
    rng = random.Random(count)
    weights = [len(row["problem"] + row["solution"]) ** LENGTH_POWER for row in seeds]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, count, 10_000):
            for row in rng.choices(seeds, weights, k=min(10_000, count - start)):
                file.write(json.dumps(varied(row, rng), ensure_ascii=False) + "\n")
    return path.stat().st_size


def varied(row: dict[str, str], rng: random.Random) -> dict[str, str]:
    """A row with other numbers, names and opening; a number that stands in several places is the same one in all."""
    shift, numbers = rng.randrange(1, 50), {}
    name = rng.choice(NAMES)

    def other(found: re.Match[str]) -> str:
        value = found.group()
        return numbers.setdefault(value, value if len(value) == 1 else str(int(value) + shift + rng.randrange(3)))

    problem, solution = (NAME.sub(name, NUMBER.sub(other, row[key])) for key in ("problem", "solution"))
    return {"source": rng.choice(SOURCES), "problem": rng.choice(OPENINGS) + problem, "solution": solution}


def plot(costs: list[tuple[int, float, float]], path: Path) -> None:
    """Seconds and CPU seconds against rows, all logarithmic, with the line of equal cost a row through the largest size."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    counts, seconds, cpu_seconds = zip(*costs, strict=True)
    axes.loglog(counts, [cpu_seconds[-1] / counts[-1] * count for count in counts], color="0.7", label="linear")
    axes.loglog(counts, seconds, marker="o", color="#3465a4", label="by the clock")
    axes.loglog(counts, cpu_seconds, marker="s", color="#cc0000", label="CPU, all processes")
    for count, value, cpu in costs:
        for place, figure_of in ((6, value), (-12, cpu)):
            axes.annotate(f"{figure_of:,.0f}", (count, figure_of), xytext=(4, place), textcoords="offset points")
    axes.set_xlabel("rows read")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _folder(variable: str, holds: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        raise UserError(f"{variable} is {value or 'not set'}; {variable}=<folder> names a folder of {holds}.")
    return Path(value)


def _real_rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    problem, solution = (turn["content"] for turn in json.loads(line)["messages"])
                except (ValueError, KeyError, TypeError):
                    raise UserError(f"{path}:{number} has no two `messages`; mend it, or leave the file out.") from None
                found.append({"problem": problem, "solution": solution})
    if not found:
        raise UserError(f"{folder} holds no rows; BENCH_DATA=<folder> names a folder of .jsonl or .jsonl.gz files.")
    return found
