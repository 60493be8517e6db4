"""Test sets: a table of those known by name, and a reader for files of your own.

A file is NAME.jsonl with one object a line: problem, answer, and optionally id, subject, level,
source. Other formats and names of columns are read too: see `benchmark_files` and
`benchmark_rows`, and `golds` for what counts as the answer.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval import benchmark_files
from eval.benchmark_rows import NotABenchmark, Stated, check_shape, name_positions, read_row
from eval.console import printable
from eval.golds import read_decimal_commas, read_golds, without_thousands
from eval.records import Benchmark, Problem, Reading, UserError, first_line
from graders import grade_many

MOST_NAMED = 5  # of what a folder without a benchmark holds
ID_DIGITS = 12  # of the sha256 that stands for a missing id


@dataclass(frozen=True)
class HubRow:
    """Where a benchmark lives on the hub, how many problems it must have, and how its columns are read."""

    hub_id: str
    config: str | None
    split: str
    count: int
    read: Callable[[dict[str, Any]], dict[str, Any]]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    level = row.get("level")
    return {
        "problem": row["problem"],
        "answer": str(row["answer"]),
        "subject": row.get("subject"),
        "level": None if level is None else str(level),
    }


def _gsm8k(row: dict[str, Any]) -> dict[str, Any]:
    # The reference solution ends in "#### 1,234".
    return {"problem": row["question"], "answer": without_thousands(row["answer"].rsplit("####", 1)[1].strip())}


HUB = {
    "math500": HubRow("HuggingFaceH4/MATH-500", None, "test", 500, _plain),
    "gsm8k-test": HubRow("openai/gsm8k", "main", "test", 1319, _gsm8k),
    "aime24": HubRow("HuggingFaceH4/aime_2024", None, "train", 30, _plain),
}


def load(name: str, folder: Path | None = None, limit: int | None = None) -> Benchmark:
    """The benchmark `name` out of `folder` if given, else the hub's; of these `limit` problems drawn.

    Raises UserError for an unknown name (with the nearest one), a bad row (with its place), or a
    wrong count.
    """
    found, readings = _from_file(_find_file(name, folder), name) if folder else (list(_from_hub(name)), [])
    if not found:
        raise UserError(f"benchmark {name} is empty; a line is an object with id, problem and answer.")
    kept = tuple(draw(found, limit))
    content = "".join(json.dumps([problem.id, problem.problem, problem.answer]) + "\n" for problem in kept)
    ids = {problem.id for problem in kept}
    said = tuple(reading for reading in readings if reading.id in ids)
    return Benchmark(name, kept, hashlib.sha256(content.encode()).hexdigest(), len(found), said)


def draw(problems: Sequence[Problem], limit: int | None) -> list[Problem]:
    """`limit` problems by a hash of their text and id, in file order; 100 are part of 200.

    Files are often sorted: the first ones of MATH are all algebra.
    """
    order = sorted(problems, key=lambda one: hashlib.sha256(f"{one.problem}\0{one.id}".encode()).digest())
    drawn = {problem.id for problem in order[:limit]}
    return [problem for problem in problems if problem.id in drawn]


def names(folder: Path | None = None) -> list[str]:
    """Names that `load` knows: those in `folder`, or the hub's table.

    Raises UserError for no folder, or one without a benchmark: nothing would be compared with it.
    """
    if folder is None:
        return sorted(HUB)
    if known := survey(folder)[0]:
        return known
    raise UserError(f"{folder} holds no benchmark ({_held(folder)}); name the folder that holds NAME.jsonl.")


def _held(folder: Path) -> str:
    """What a folder without a benchmark holds: "folders: a, b; files: c"."""
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    others = survey(folder)[1]
    said = [f"{what} {_some(held)}" for what, held in (("folders:", folders), ("files:", others)) if held]
    return printable("; ".join(said)) or "it is empty"


def _some(held: Sequence[str]) -> str:
    more = f" and {len(held) - MOST_NAMED:,} more" if len(held) > MOST_NAMED else ""
    return ", ".join(held[:MOST_NAMED]) + more


def survey(folder: Path) -> tuple[list[str], list[str]]:
    """(names of the benchmarks in `folder`, damaged ones too; its other files with the reason)."""
    found, others = files(folder)
    known = []
    for name, path in sorted(found.items()):
        try:
            next(_stated(path), None)
        except NotABenchmark as error:
            others.append(f"{path.name} ({error.reason})")
        except UserError:  # a damaged benchmark must not go missing: `load` says what is wrong
            known.append(name)
        else:
            known.append(name)
    return known, sorted(others)


def left_out(folder: Path | None) -> str:
    """A sentence that names the files of `folder` which are no benchmarks; "" where there are none."""
    others = survey(folder)[1] if folder else []
    return f"left out, as these files are no benchmarks: {'; '.join(map(printable, others))}" if others else ""


def hub_row(name: str) -> HubRow:
    """The row of `HUB`. Raises UserError for an unknown name, with the nearest known one."""
    if name not in HUB:
        raise UserError(
            f"unknown benchmark {name!r}{_nearest(name, names())} Or pass --benchmarks-dir with {name}.jsonl."
        )
    return HUB[name]


def to_lines(benchmark: Benchmark) -> str:
    """The problems as JSON lines, the form in which a report keeps them."""
    return "".join(json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in benchmark.problems)


def ungradable(benchmark: Benchmark) -> list[tuple[Problem, str]]:
    """Problems whose own reference answer, boxed, is not graded correct, with the status: it should be empty."""
    verdicts = grade_many([(f"\\boxed{{{problem.answer}}}", problem.answer) for problem in benchmark.problems])
    return [
        (problem, verdict.status)
        for problem, verdict in zip(benchmark.problems, verdicts, strict=True)
        if not verdict.correct
    ]


def files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """(the file of each name, other files with the reason); hidden ones and folders are neither.

    Raises UserError where there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; --benchmarks-dir names one that holds NAME.jsonl, NAME.csv and so on.")
    found: dict[str, Path] = {}
    others = []
    paths = [path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir()]
    for path in sorted(paths, key=lambda path: (benchmark_files.rank(path), path.name)):
        name = benchmark_files.stem(path)
        if name and found.setdefault(name, path) != path:
            others.append(f"{path.name} ({found[name].name} is read under this name)")
        elif not name:
            others.append(path.name)
    return found, others


def _find_file(name: str, folder: Path) -> Path:
    found, _ = files(folder)
    if name in found:
        return found[name]
    raise UserError(f"{folder} has no benchmark {name!r}{_nearest(name, names(folder))}")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are: {', '.join(known) or 'none'}."


def _stated(path: Path) -> Iterator[Stated]:
    """What the rows state. Raises NotABenchmark where the first one has no problem or no answer."""
    for number, (place, row) in enumerate(benchmark_files.read_rows(path)):
        if number == 0:
            check_shape(row, place)
        yield read_row(row, place)


def _from_file(path: Path, name: str) -> tuple[list[Problem], list[Reading]]:
    rows = name_positions(list(_stated(path)))
    ids = _ids(rows)
    golds, readings = read_golds(rows, ids)
    if benchmark_files.has_semicolons(path):
        golds, readings = read_decimal_commas(golds, readings, ids)
    problems = [
        Problem(id_, name, row.problem, gold, row.subject, row.level, row.source)
        for row, id_, gold in zip(rows, ids, golds, strict=True)
    ]
    return problems, readings


def _ids(rows: Iterable[Stated]) -> list[str]:
    """The id of each row; without one a hash of its text, with -2 behind it for a second such row.

    Raises UserError where a stated id comes twice: predictions are kept and paired by it.
    """
    places: dict[str, str] = {}
    found = []
    for row in rows:
        made = hashlib.sha256(row.problem.encode()).hexdigest()[:ID_DIGITS]
        id_, copy = row.id or made, 1
        while row.id is None and id_ in places:
            id_, copy = f"{made}-{copy + 1}", copy + 1
        if id_ in places:
            fix = "make ids unique, or leave the column out and they are made from the text"
            raise UserError(f"{row.place}: id {id_!r} comes twice, first in {places[id_]}; {fix}.")
        places[id_] = row.place
        found.append(id_)
    return found


def _from_hub(name: str) -> Iterator[Problem]:
    row = hub_row(name)
    # Imported late: reading files needs no `datasets`.
    from datasets import load_dataset

    try:
        rows = load_dataset(row.hub_id, row.config, split=row.split)
    except Exception as error:  # the hub's client raises a dozen unrelated types for "not to be had"
        raise UserError(
            f"{row.hub_id} could not be had from the hub ({first_line(error)}); pass --benchmarks-dir with {name}.jsonl."
        ) from None
    if len(rows) != row.count:
        raise UserError(
            f"{row.hub_id} has {len(rows)} problems, {row.count} were expected; the hub's copy has changed.", 1
        )
    for number, fields in enumerate(rows):
        yield Problem(f"{name}-{number:04d}", name, source=row.hub_id, **row.read(fields))
