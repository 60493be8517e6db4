"""Test sets: a table of those known by name, and a reader for files of your own.

A file is NAME.jsonl or NAME.jsonl.gz with one object a line: id, problem, answer, and optionally subject, level, source.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.records import Benchmark, Problem, UserError, first_line
from graders import grade_many


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
    return {"problem": row["question"], "answer": row["answer"].rsplit("####", 1)[1].strip().replace(",", "")}


HUB = {
    "math500": HubRow("HuggingFaceH4/MATH-500", None, "test", 500, _plain),
    "gsm8k-test": HubRow("openai/gsm8k", "main", "test", 1319, _gsm8k),
    "aime24": HubRow("HuggingFaceH4/aime_2024", None, "train", 30, _plain),
}


def load(name: str, folder: Path | None = None, limit: int | None = None) -> Benchmark:
    """The benchmark `name`: NAME.jsonl(.gz) in `folder` if given, else the hub's; the first `limit` problems.

    Raises UserError for an unknown name (with the nearest known one), a bad line (with its number), or a wrong count.
    """
    problems = list(_from_file(_find_file(name, folder)) if folder else _from_hub(name))
    if not problems:
        raise UserError(f"benchmark {name} is empty; a line is an object with id, problem and answer.")
    kept = tuple(problems[:limit])
    content = "".join(json.dumps([problem.id, problem.problem, problem.answer]) + "\n" for problem in kept)
    return Benchmark(name, kept, hashlib.sha256(content.encode()).hexdigest(), len(problems))


def names(folder: Path | None = None) -> list[str]:
    """Names that `load` knows: the files in `folder`, or the hub's table. Raises UserError where there is no such folder."""
    if folder is None:
        return sorted(HUB)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; --benchmarks-dir names one that holds NAME.jsonl or NAME.jsonl.gz.")
    files = (path.name.removesuffix(".gz") for path in folder.iterdir())
    return sorted({name.removesuffix(".jsonl") for name in files if name.endswith(".jsonl")})


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


def _find_file(name: str, folder: Path) -> Path:
    for suffix in (".jsonl", ".jsonl.gz"):
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise UserError(f"{folder} has no benchmark {name!r}{_nearest(name, names(folder))}")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are: {', '.join(known) or 'none'}."


def _from_file(path: Path) -> Iterator[Problem]:
    seen: set[str] = set()
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    problem = _parse_line(line, path, number)
                    if problem.id in seen:
                        raise UserError(f"{path}:{number}: id {problem.id!r} comes twice; ids must be unique.")
                    seen.add(problem.id)
                    yield problem
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}); it must be UTF-8 JSON lines, gzipped if it ends in .gz."
        ) from None


def _parse_line(line: str, path: Path, number: int) -> Problem:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a character, such as \ud800, is JSON but no text
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: {line[:40]!r}… is not JSON ({error}); write one object a line.") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}:{number}: {line[:40]!r}… is not an object; write id, problem and answer.")
    for key in ("id", "problem", "answer"):
        if not isinstance(row.get(key), str):
            raise UserError(f"{path}:{number}: {key} is {row.get(key)!r}; it must be a string.")
    optional = {key: None if row.get(key) is None else str(row[key]) for key in ("subject", "level", "source")}
    name = path.name.split(".jsonl")[0]
    return Problem(row["id"], name, row["problem"], row["answer"], **optional)


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
