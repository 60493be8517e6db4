"""The rows: of the dataset's files line by line, before any library reads them, and as load_datasets gives them.

Files are checked for what the stock `datasets` cannot read, rows for what the contract or the grader does not accept.
Where load_datasets returns the rows of the files unchanged, lines and rows are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from data.decontaminate import Index
from data.placeholders import is_never_an_answer
from data.submission.checks.findings import Finding, shown
from data.submission.inside.probe import is_conversation, turns_of
from graders import extract_boxed

MAX_ROWS = {"train": 100_000, "validation": 100}  # the contract's
LINE_BYTES = 10_000_000
# Well-kept sets carry a few odd rows; more than this is a systematic fault.
TOLERATED_SHARE = 0.01
SHOWN = 3


@dataclass
class Seen:
    """What one pass over rows collects: fault -> line numbers, column -> types, hashes of the problems.

    `bare` are lines without `messages`, which load_datasets may convert. `leaks` are the benchmark problems that rows give
    away: (benchmark, id) -> whether word for word. `where` and `unit` say what the numbers count.
    """

    where: str = ""
    unit: str = "line"
    rows: int = 0
    lines: int = 0
    bare: list[int] = field(default_factory=list)
    faults: dict[str, list[int]] = field(default_factory=dict)
    types: dict[str, Counter[str]] = field(default_factory=dict)
    problems: Counter[bytes] = field(default_factory=Counter)
    leaks: dict[tuple[str, str], bool] = field(default_factory=dict)
    turns: Any = field(default_factory=hashlib.sha256)

    def fault(self, name: str, line: int) -> None:
        self.faults.setdefault(name, []).append(line)

    @property
    def converted(self) -> bool:
        """Whether no row has the contract's form, so that load_datasets must convert them."""
        return len(self.bare) == self.rows > 0


FAULTS = {
    "line": ("no JSON object", "write one JSON object a line, in UTF-8 without a byte order mark"),
    "line-size": (f"longer than {LINE_BYTES:,} bytes", "no example of 2,048 tokens needs that; drop them"),
    "not-a-number": ("NaN or Infinity, which JSON does not have", "write null or leave the column out"),
    "surrogate": ("half a character (a lone surrogate), which no tokenizer takes", "repair the text or drop the row"),
    "roles": ("no user turn and assistant turn with text each", "mend or drop them"),
    "box": ("no closed last \\boxed{} in the solution; the grader reads nothing else", "add it or drop them"),
    "placeholder": ("a box that holds `proof`, `not found` or the like, which is no answer", "drop them"),
}
OF_FILES = ("line", "line-size", "not-a-number", "surrogate")


def findings(
    folder: Path, advance: Callable[[int], None] = lambda done: None, tests: Index | None = None
) -> list[Finding]:
    """What is wrong with train.jsonl and validation.jsonl in `folder`, and with the rows in them; missing files are found by
    another check.

    `tests` holds the problems of benchmarks: training on those makes every figure worthless.
    """
    seen = read_all(folder, advance, tests)
    return [*of_files(seen), *of_rows(seen, tests)]


def read_all(
    folder: Path, advance: Callable[[int], None] = lambda done: None, tests: Index | None = None
) -> dict[str, Seen]:
    """Split -> what its file in `folder` holds; splits without a file are left out."""
    paths = {split: folder / f"{split}.jsonl" for split in MAX_ROWS if (folder / f"{split}.jsonl").is_file()}
    seen: dict[str, Seen] = {}
    for split, path in paths.items():
        before = sum(part.lines for part in seen.values())
        seen[split] = read(path, partial(_onwards, advance, before), tests if split == "train" else None)
        seen[split].where = f"{folder.name}/{split}.jsonl"
    return seen


def read_returned(
    folder: Path, files: dict[str, Seen], told: dict[str, Any], tests: Index | None = None
) -> dict[str, Seen]:
    """Split -> the rows that load_datasets returned; the probe wrote them into `folder` where they differ from the files.

    Where it was not run or failed, the lines of the files are used, unless load_datasets must convert them.
    """
    returned = read_all(folder, tests=tests) if folder.is_dir() else {}
    for split, part in returned.items():
        part.where, part.unit = f"load_datasets: {split}", "row"
    same = {split: part for split, part in files.items() if split not in returned and not part.converted}
    return {split: part for split, part in (same | returned).items() if part.rows or split not in told.get("rows", {})}


def digests(seen: dict[str, Seen]) -> dict[str, str]:
    """Split -> the digest of its rows' turns, as the probe makes it."""
    return {split: part.turns.hexdigest() for split, part in seen.items()}


def of_files(seen: dict[str, Seen]) -> Iterator[Finding]:
    """Findings on which the stock `datasets` would fail."""
    for part in seen.values():
        yield from of_lines(part, OF_FILES)
        yield from of_columns(part)


def of_rows(seen: dict[str, Seen], tests: Index | None = None) -> Iterator[Finding]:
    """Findings that the contract or the grader would not accept."""
    for split, part in seen.items():
        yield from of_split(split, part)
    if len(seen) == 2:
        shared = seen["train"].problems.keys() & seen["validation"].problems.keys()
        if shared:
            problem = f"{len(shared):,} problems of validation are in train too, so its loss says nothing"
            yield Finding("leak", seen["validation"].where, problem, "drop them from train")
    if tests and "train" in seen:
        yield from _leaks(seen["train"].where, seen["train"].leaks, tests)


def _leaks(where: str, leaks: Mapping[tuple[str, str], bool], tests: Index) -> Iterator[Finding]:
    """What `python -m data audit` calls word for word is fatal, what it calls nearly is not."""
    sizes = Counter(problem.benchmark for problems in tests.owners for problem in problems)
    for name, size in sizes.items():
        exact = [same for (benchmark, _), same in leaks.items() if benchmark == name]
        for same, how, fix in (
            (True, "are trained on, word for word", "drop them"),
            (False, "are trained on, nearly word for word", "look at them with `python -m data audit`, and drop them"),
        ):
            if count := exact.count(same):
                problem = f"{count:,} of the {size:,} problems of {name} {how}"
                yield Finding("benchmark-leak", where, problem, fix, fatal=same)


def identity(problem: str) -> bytes:
    """The same for problems that differ in case and spaces only."""
    plain = " ".join(problem.casefold().split())
    return hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=16).digest()


def read(path: Path, advance: Callable[[int], None] = lambda done: None, tests: Index | None = None) -> Seen:
    """One pass over the file, a line at a time."""
    seen = Seen()
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                seen.fault("line-size", number)
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LINE_BYTES)
            elif line.strip():
                look(line, number, seen, tests)
            advance(number)
    seen.lines = number
    return seen


def _onwards(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def count(path: Path) -> int:
    """Lines that are not empty; 0 where there is no such file."""
    if not path.is_file() or path.is_symlink():
        return 0
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def look(line: bytes, number: int, seen: Seen, tests: Index | None = None) -> None:
    seen.rows += 1
    odd: list[str] = []
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=lambda name: odd.append(name))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        return seen.fault("line", number)
    if odd:
        seen.fault("not-a-number", number)
    if b"\\ud" in line.lower() and any(
        0xD800 <= ord(letter) < 0xE000 for letter in json.dumps(row, ensure_ascii=False)
    ):
        seen.fault("surrogate", number)
    for column, value in row.items():
        seen.types.setdefault(column, Counter())[kind(value)] += 1
    messages: Any = row.get("messages")
    try:
        seen.turns.update(turns_of(row))
    except (AttributeError, TypeError):
        return seen.fault("roles", number)
    if "messages" not in row:
        return seen.bare.append(number)
    if not is_conversation(messages):
        return seen.fault("roles", number)
    problem, solution = (turn["content"] for turn in messages[-2:])
    box = extract_boxed(solution)
    if box is None:
        seen.fault("box", number)
    elif is_never_an_answer(box):
        seen.fault("placeholder", number)
    seen.problems[identity(problem)] += 1
    for leak in tests.find_all(problem) if tests else ():
        seen.leaks[leak.benchmark, leak.id] = seen.leaks.get((leak.benchmark, leak.id), False) or leak.reason == "exact"
    return None


def kind(value: Any) -> str:
    """The type that a column of the stock JSON reader would take; whole and broken numbers go together."""
    if value is None:
        return "null"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def of_split(split: str, seen: Seen) -> Iterator[Finding]:
    """Findings in the rows of one split that the contract or the grader would not accept."""
    if seen.rows > MAX_ROWS[split]:
        problem = f"{seen.rows:,} rows; the contract allows {MAX_ROWS[split]:,}"
        yield Finding("counts", seen.where, problem, "sample it down")
    elif not seen.rows:
        yield Finding("counts", seen.where, "no rows", "write some")
    if not seen.converted:
        seen.faults["roles"] = sorted({*seen.faults.get("roles", ()), *seen.bare})
        yield from of_lines(seen, ("roles", "box", "placeholder"))
    again = sum(count - 1 for count in seen.problems.values())
    if again:
        fatal = again > TOLERATED_SHARE * seen.rows
        problem = f"{again:,} rows ({again / seen.rows:.1%}) repeat a problem of the same file"
        yield Finding(
            "duplicates", seen.where, problem, "drop them: they are learnt by heart rather than better", fatal
        )


def of_lines(seen: Seen, names: tuple[str, ...]) -> Iterator[Finding]:
    for name in names:
        if numbers := seen.faults.get(name, []):
            fatal = name not in ("box", "placeholder") or len(numbers) > TOLERATED_SHARE * seen.rows
            what, fix = FAULTS[name]
            yield Finding(name, f"{seen.where}:{numbers[0]}", f"{some(numbers, seen.unit)}: {what}", fix, fatal)


def of_columns(seen: Seen) -> Iterator[Finding]:
    for column, types in seen.types.items():
        present = set(types) - {"null"}
        if len(present) > 1:
            problem = (
                f"column {shown(column)} holds {' and '.join(sorted(present))}; the stock JSON reader takes one type"
            )
            yield Finding("column-type", seen.where, problem, "leave the column out, or make it one type")
        elif column != "messages" and types.total() < seen.rows:
            problem = f"column {shown(column)} is in {types.total():,} of {seen.rows:,} rows; the stock JSON reader may refuse that"
            yield Finding("column-missing", seen.where, problem, "leave the column out, or write it everywhere", False)


def some(numbers: list[int], unit: str) -> str:
    named = ", ".join(map(str, numbers[:SHOWN])) + (
        f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    )
    return f"{unit}{'s' if len(numbers) > 1 else ''} {named}"
