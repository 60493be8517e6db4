"""Whether a data set is any good, before anything is trained on it: any set that `data.sources` reads, no recipe needed.

Lengths, boxes, the form of the answers against the grader, duplicates, and what it gives away of the benchmarks. Rows are
read in batches and of each only figures are kept (`data.examine`); the examples are read again at the end.
`data.audit_report` shows what comes out.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from rich.console import Console

from data import dedup
from data.adapters import describe_columns
from data.decontaminate import load_problems
from data.examine import Instruments, Seen, examine
from data.rows import Drop, Row
from data.sources import Batch, Source, batches, read, size_bytes
from eval.benchmarks import left_out
from eval.console import progress
from eval.records import Problem, UserError
from graders import Verdict, grade_answers

MAX_TOKENS = 2048  # the contract's
DEFAULT_TOKENIZER = Path("models/smollm2-135m")
BIN_TOKENS = 128
SHOWN_EXAMPLES, EXCERPT_CHARS = 5, 700
SHOWN_SOURCES = 200
# Processes need some seconds to start and to index the benchmarks; below so many bytes one is faster.
BYTES_FOR_PROCESSES = 16 << 20
SECONDS_TO_ANSWER = 5
BATCHES_AHEAD = 3  # for each process: a bound on memory

Judged = list[tuple[int, str, str, Verdict]]  # row, last box, stated answer
Wanted = dict[int, list[tuple[str, dict[str, Any]]]]  # row -> findings that show it, with what they say of it


def audit(
    path: str,
    instruments: Instruments,
    console: Console,
    workers: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The figures and examples of a data set, as `--json` prints them.

    `workers` is the number of processes (default: one a core for a large set), `columns` says which column is the
    problem, solution and so on. Raises UserError where the set can't be read or has no rows.
    """
    source = source_of(path, columns or {})
    seen = _see(source, instruments, console, workers)
    if not seen.rows:
        reasons = [f"{reason} ({count:,})" for reason, count in (seen.unreadable + seen.marked).most_common(3)]
        said = f": {', '.join(reasons)}" if reasons else ", it is empty"
        raise UserError(f"{path} has no row that can be read{said}; {_fix(seen)}.", 1)
    verdicts = grade_answers([(box, answer) for _, box, answer in seen.other])
    judged = [(*other, verdict) for other, verdict in zip(seen.other, verdicts, strict=True)]
    exact = dedup.first_of_equal(seen.keys)
    groups = dedup.group(np.vstack(seen.signatures), seen.keys)
    figures = _figures(seen, instruments, judged, exact, groups)
    examples = _examples(source, _wanted(seen, judged, exact, groups))
    return (
        {"dataset": path}
        | figures
        | {"unreadable_examples": seen.unreadable_examples[:SHOWN_EXAMPLES], "examples": examples}
    )


def _fix(seen: Seen) -> str:
    """What to do about a data set of which no row could be read."""
    there = next((one["columns"] for one in seen.unreadable_examples if "columns" in one), None)
    if there is not None:
        return describe_columns(there)
    if not seen.unreadable and not seen.marked:
        return "write it again"
    if seen.unreadable.most_common(1)[:1] and seen.unreadable.most_common(1)[0][0] in ("not JSON", "not UTF-8"):
        return "write one JSON object a line, in UTF-8"
    return "mend the rows, or see `messages` in the README"


def find_instruments(tokenizer: str | None, benchmarks_dir: Path | None, console: Console) -> Instruments:
    """The tokenizer and the benchmarks to compare with; what was not asked for and is not there is skipped out loud."""
    if tokenizer is None:
        tokenizer = str(DEFAULT_TOKENIZER) if DEFAULT_TOKENIZER.is_dir() else None
    if tokenizer is None:
        console.print(
            f"no tokens are counted: {DEFAULT_TOKENIZER} is not there (make demo); pass --tokenizer with a model"
        )
    problems = tuple(load_problems(benchmarks_dir)) if benchmarks_dir else _from_hub(console)
    if others := left_out(benchmarks_dir):
        console.print(others, markup=False, soft_wrap=True)
    instruments = Instruments(tokenizer, problems)
    _ = instruments.tokenizer  # a wrong name is said before any row is read
    return instruments


def _from_hub(console: Console) -> tuple[Problem, ...]:
    """The problems of the hub's benchmarks; none, said out loud, where it can't be reached."""
    try:
        if silent := _silent_hub():
            raise UserError(f"{silent} does not answer; pass --benchmarks-dir with files NAME.jsonl.")
        console.print("asking the hub for benchmarks; --benchmarks-dir compares with those of a folder instead")
        return tuple(load_problems(None))
    except UserError as error:
        console.print(f"no benchmark is compared: {error}", markup=False)
        return ()


def _silent_hub() -> str:
    """The hub's address where nobody answers, since its client would ask again for minutes; "" where that is not known."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or getproxies().get(address.scheme):
        return ""
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), SECONDS_TO_ANSWER).close()
        return ""
    except OSError:
        return str(constants.ENDPOINT)


def source_of(path: str, columns: Mapping[str, str]) -> Source:
    """The training rows of a file or folder; `PATH:SPLIT` names another split."""
    return Source(name=Path(path).name, path=path, columns={"source": "source", **columns})


def _see(source: Source, instruments: Instruments, console: Console, workers: int | None) -> Seen:
    seen, total = Seen(), size_bytes(source)
    if workers is None:
        workers = (os.cpu_count() or 1) if total > BYTES_FOR_PROCESSES else 0
    with progress(console, "read", max(total >> 10, 1), "kB") as advance:
        for part in _parts(source, instruments, workers):
            seen.add(part)
            advance(min(seen.read_bytes, total) >> 10, f"{seen.rows:,} rows")
    return seen


def _parts(source: Source, instruments: Instruments, workers: int) -> Iterator[Seen]:
    """What each batch shows, in order."""
    if workers < 2:
        yield from (examine(batch, source, instruments) for batch in batches(source))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (source, instruments)) as pool:
        waiting = []
        for batch in batches(source):
            waiting.append(pool.submit(_examine_here, batch))
            if len(waiting) > BATCHES_AHEAD * workers:
                yield waiting.pop(0).result()
        yield from (future.result() for future in waiting)


_here: tuple[Source, Instruments]


def _start(source: Source, instruments: Instruments) -> None:
    global _here
    _here = source, instruments


def _examine_here(batch: Batch) -> Seen:
    return examine(batch, *_here)


def _figures(
    seen: Seen, instruments: Instruments, judged: Judged, exact: dedup.Vector, groups: dedup.Vector
) -> dict[str, Any]:
    rows = np.arange(seen.rows)
    repeated = int((exact != rows).sum())
    counted = instruments.tokenizer_name is not None
    answers = _answers(seen.same, judged)
    return {
        "rows": seen.rows,
        "unreadable": dict(seen.unreadable.most_common()),
        "too_long": sum(tokens > MAX_TOKENS for tokens in seen.tokens) if counted else None,
        "no_box": len(seen.no_box),
        "placeholder_boxes": len(seen.placeholder_boxes),
        "placeholder_answers": dict(seen.placeholders.most_common()),
        "reasoning_left_out": dict(seen.left_out.most_common()),
        "marked_invalid": dict(seen.marked.most_common()),
        "box_differs_from_answer": answers["wrong"],
        "duplicates": repeated,
        "near_duplicates": int((groups != rows).sum()) - repeated,
        "contaminated_rows": len(seen.leaks),
        "contamination": _contamination(seen, instruments),
        "benchmark_problems": dict(Counter(problem.benchmark for problem in instruments.problems)),
        "answers": answers,
        "boxes": dict(seen.boxes.most_common()),
        "answer_types": dict(seen.types.most_common()),
        "sources": {
            name: {"rows": count, "tokens": seen.source_tokens[name] if counted else None}
            for name, count in seen.sources.most_common(SHOWN_SOURCES)
        },
        "tokens": _tokens(np.array(seen.tokens), str(instruments.tokenizer_name)) if counted else None,
    }


def _answers(same: int, judged: Judged) -> dict[str, int]:
    """Of the rows with a box and a stated answer: how the grader sees the box. The counts nest; undecided are apart."""
    verdicts = [verdict for *_, verdict in judged]
    wrong = sum(verdict.status == "wrong" for verdict in verdicts)
    return {
        "compared": same + len(verdicts),
        "strict": same + sum(verdict.strict for verdict in verdicts),
        "normalized": same + sum(verdict.normalized for verdict in verdicts),
        "equivalent": same + sum(verdict.correct for verdict in verdicts),
        "wrong": wrong,
        "undecided": sum(not verdict.correct for verdict in verdicts) - wrong,
    }


def _contamination(seen: Seen, instruments: Instruments) -> dict[str, dict[str, int]]:
    """Problems of each benchmark that some row gives away: word for word, or else nearly so."""
    problems = {
        name: (set[str](), set[str]()) for name in sorted({problem.benchmark for problem in instruments.problems})
    }
    for leaks in seen.leaks.values():
        for leak in leaks:
            problems[leak.benchmark][leak.reason != "exact"].add(leak.id)
    return {name: {"exact": len(exact), "near": len(near - exact)} for name, (exact, near) in problems.items()}


def _tokens(tokens: np.ndarray[Any, np.dtype[np.int64]], tokenizer: str) -> dict[str, Any]:
    """Totals, and a histogram up to the limit; what is longer stands in `too_long`."""
    edges = np.arange(0, MAX_TOKENS + BIN_TOKENS, BIN_TOKENS)
    counts, _ = np.histogram(tokens[tokens <= MAX_TOKENS], bins=edges)
    middle, most = np.percentile(tokens, (50, 95))
    return {
        "tokenizer": tokenizer,
        "total": int(tokens.sum()),
        "median": int(middle),
        "p95": int(most),
        "longest": int(tokens.max()),
        "histogram": {"bin": BIN_TOKENS, "counts": counts.tolist()},
    }


def _wanted(seen: Seen, judged: Judged, exact: dedup.Vector, groups: dedup.Vector) -> Wanted:
    """The rows to show under each finding: the worst, or the first where none is worse than another."""
    wanted: Wanted = {}

    def want(finding: str, row: int, **said: Any) -> None:
        wanted.setdefault(row, []).append((finding, said))

    longest = sorted(range(seen.rows), key=lambda row: -seen.tokens[row])[:SHOWN_EXAMPLES]
    for row in (row for row in longest if seen.tokens[row] > MAX_TOKENS):
        want("too_long", row, tokens=seen.tokens[row])
    for finding, rows in (("no_box", seen.no_box), ("placeholder", seen.placeholder_boxes)):
        for row in rows[:SHOWN_EXAMPLES]:
            want(finding, row)
    for finding, chosen in (
        ("box_differs_from_answer", [line for line in judged if line[3].status == "wrong"]),
        ("form", _different([line for line in judged if line[3].correct and not line[3].strict])),
        ("undecided", [line for line in judged if not line[3].correct and line[3].status != "wrong"]),
    ):
        for row, box, answer, verdict in chosen[:SHOWN_EXAMPLES]:
            want(finding, row, box=box[:EXCERPT_CHARS], answer=answer[:EXCERPT_CHARS], rule=verdict.rule)
    for finding, numbers in (
        ("duplicates", exact),
        ("near_duplicates", np.where(exact == np.arange(seen.rows), groups, -1)),
    ):
        repeats = np.flatnonzero((numbers != np.arange(seen.rows)) & (numbers >= 0))[:SHOWN_EXAMPLES]
        for row in repeats.tolist():
            want(finding, row, repeats=int(numbers[row]) + 1)
    for row, leak in _leaks_to_show(seen):
        leaked = {
            "benchmark": leak.benchmark,
            "problem_id": leak.id,
            "reason": leak.reason,
            "share": round(leak.share, 3),
        }
        want("contamination", row, **leaked, benchmark_problem=leak.problem[:EXCERPT_CHARS])
    return wanted


def _different(judged: Judged) -> Judged:
    """One line a pair of box and answer: the same form a hundred times shows nothing new."""
    return list(
        {(box, answer): (row, box, answer, verdict) for row, box, answer, verdict in reversed(judged)}.values()
    )[::-1]


def _leaks_to_show(seen: Seen) -> Iterator[tuple[int, Any]]:
    """A few leaks of each benchmark and reason, no problem twice."""
    shown: Counter[tuple[str, str]] = Counter()
    problems: set[str] = set()
    for row, leaks in seen.leaks.items():
        for leak in leaks:
            if shown[leak.benchmark, leak.reason] < 2 and leak.problem not in problems:
                shown[leak.benchmark, leak.reason] += 1
                problems.add(leak.problem)
                yield row, leak


def _examples(source: Source, wanted: Wanted) -> dict[str, list[dict[str, Any]]]:
    """{finding: examples}, read again from the source; the problem from its beginning, the solution from its end."""
    numbered = {row: {"row": row + 1} for row in wanted}
    others = {said["repeats"] - 1 for found in wanted.values() for _, said in found if "repeats" in said}
    texts = dict(_read_again(source, numbered.keys() | others))
    examples: dict[str, list[dict[str, Any]]] = {}
    for row, found in sorted(wanted.items()):
        for finding, said in found:
            shown = {"row": row + 1, "id": texts[row]["id"]} | said | _excerpts(texts[row])
            if "repeats" in said:
                shown["first_problem"] = texts[said["repeats"] - 1]["problem"][:EXCERPT_CHARS]
            examples.setdefault(finding, []).append(shown)
    return examples


def _read_again(source: Source, rows: Mapping[int, Any] | set[int]) -> Iterator[tuple[int, Row]]:
    number, last = 0, max(rows, default=-1)
    for batch in batches(source):
        for item in read(batch, source):
            if isinstance(item, Drop):
                continue
            if number in rows:
                yield number, item
            number += 1
        if number > last:
            return


def _excerpts(row: Row) -> dict[str, str]:
    problem, solution = row["problem"], row["solution"]
    more = "…" if len(solution) > EXCERPT_CHARS else ""
    return {
        "problem": problem[:EXCERPT_CHARS] + ("…" if len(problem) > EXCERPT_CHARS else ""),
        "solution": more + solution[-EXCERPT_CHARS:],
    }
