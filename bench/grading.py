"""Outputs graded a second against Math-Verify given the last box only, its best case, on the same outputs.

`table` holds both graders against labelled sets too: the project's cases, or those of BENCH_CASES=<folder of .jsonl
files, rows with gold, answer (or output) and equal (or label)>, and BENCH_OUTPUTS=<file of rows with gold and output>.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.measure import Row, seconds
from data.synthetic import LARGEST, generate
from eval.records import UserError
from graders import cache, extract_boxed, grade_answer, grade_many, second_opinion

OUTPUTS = 2000
CASES = Path(__file__).parents[1] / "tests/graders/cases"
COLUMNS = (
    "set", "grader", "rows", "false positives", "false negatives", "not decided", "pairs/s", "worst pair",
    "same as the other",
)  # fmt: skip

Pair = tuple[str | None, str]  # (answer, gold); answer None: no box, which neither grader accepts


@dataclass(frozen=True)
class Opinion:
    """What a grader says about one pair (None: it did not decide), and its wall seconds."""

    accepts: bool | None
    seconds: float


NO_BOX = Opinion(False, 0.0)  # no grader was asked


@dataclass(frozen=True)
class Set:
    """Pairs that both graders are given: each output by its last box. `labels` is empty where nobody has judged."""

    name: str
    pairs: list[Pair]
    labels: list[bool]


def rows() -> list[Row]:
    """One row; the answers are easy ones, which the first rungs decide."""
    from math_verify import parse, verify

    pairs = [(item.solution, item.answer) for item in islice(generate(0, tuple(LARGEST)), OUTPUTS)]
    ours = seconds(lambda: grade_many(pairs, workers=1))
    theirs = seconds(lambda: [verify(parse(f"${gold}$"), parse(f"\\boxed{{{gold}}}")) for _, gold in pairs])
    return [
        (
            f"grade {OUTPUTS:,} easy outputs",
            f"{OUTPUTS / ours:,.0f}/s",
            f"Math-Verify {OUTPUTS / theirs:,.0f}/s",
            f"{theirs / ours:.0f}",
        )
    ]


def table() -> list[str]:
    """Lines of a Markdown table: a row for each grader and set. UserError where a set that was asked for is not there."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    return lines + [line for each in _sets() for line in _compared(each)]


def _sets() -> Iterator[Set]:
    folder = Path(os.environ.get("BENCH_CASES", CASES))
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise UserError(f"{folder} holds no .jsonl files; BENCH_CASES=<folder> names a folder of labelled cases.")
    yield from map(_labelled, files)
    if outputs := os.environ.get("BENCH_OUTPUTS"):
        if not Path(outputs).is_file():
            raise UserError(f"{outputs} is not there; BENCH_OUTPUTS=<file> names rows with gold and output.")
        yield _unlabelled(Path(outputs))


def _labelled(path: Path) -> Set:
    """Rows of the core policy where a file tells policies apart, whatever their label."""
    cases = [case for case in _rows(path) if case.get("policy", "core") == "core"]
    answers = [case["answer"] if "answer" in case else extract_boxed(case["output"]) for case in cases]
    pairs = list(zip(answers, [case["gold"] for case in cases], strict=True))
    return Set(path.name, pairs, [case["label"] if "label" in case else case["equal"] for case in cases])


def _unlabelled(path: Path) -> Set:
    """Every so many outputs that have a box: the file is in the order of its sources."""
    found = [(extract_boxed(row["output"]), row["gold"]) for row in _rows(path)]
    boxed = [pair for pair in found if pair[0] is not None]
    pairs = boxed[:: max(1, len(boxed) // OUTPUTS)][:OUTPUTS]
    return Set(f"{len(pairs):,} boxed model outputs", pairs, [])


def _rows(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def _compared(given: Set) -> list[str]:
    """The rows of both graders on one set."""
    opinions = {"this grader": _ours(given.pairs), "Math-Verify": _theirs(given.pairs)}
    said = zip(*opinions.values(), strict=True)
    same = sum(one.accepts == other.accepts for one, other in said)
    return [_row(given, name, opinion, same) for name, opinion in opinions.items()]


def _row(given: Set, grader: str, opinions: Sequence[Opinion], same: int) -> str:
    spent = [opinion.seconds for opinion in opinions]
    wrong = ["–", "–"]
    if given.labels:
        judged = [(opinion.accepts, label) for opinion, label in zip(opinions, given.labels, strict=True)]
        wrong = [str(judged.count((True, False))), str(judged.count((False, True)))]
    undecided = sum(opinion.accepts is None for opinion in opinions)
    cells = [given.name, grader, f"{len(spent):,}", *wrong, str(undecided)]
    cells += [f"{sum(map(bool, spent)) / sum(spent):,.0f}", f"{1000 * max(spent):,.1f} ms", f"{same:,}"]
    return "| " + " | ".join(cells) + " |"


def _ours(pairs: Sequence[Pair]) -> list[Opinion]:
    """One process, no verdict remembered; a worker where the symbolic rung is asked."""
    return [NO_BOX if answer is None else _timed_here(answer, gold) for answer, gold in pairs]


def _timed_here(answer: str, gold: str) -> Opinion:
    cache.forget()  # a pair that comes twice counts twice
    began = time.perf_counter()
    verdict = grade_answer(answer, gold)
    return Opinion(verdict.correct if verdict.judged else None, time.perf_counter() - began)


def _theirs(pairs: Sequence[Pair]) -> list[Opinion]:
    """One process that is killed where a pair takes too long; its start counts for no pair."""
    from pebble import ProcessPool

    asked = [pair for pair in pairs if pair[0] is not None]
    context = multiprocessing.get_context("spawn")
    with ProcessPool(max_workers=1, context=context, initializer=_prepare) as pool:
        replies = pool.map(_timed_there, asked, timeout=second_opinion.TIMEOUT_S).result()
        return [NO_BOX if answer is None else _next(replies) for answer, _ in pairs]


def _next(replies: Iterator[Opinion]) -> Opinion:
    from pebble import ProcessExpired

    try:
        return next(replies)
    except (FutureTimeout, ProcessExpired, MemoryError):
        return Opinion(None, second_opinion.TIMEOUT_S)


def _prepare() -> None:
    """The first pair of a process builds parsers: here, so that it counts for no pair."""
    second_opinion._prepare()
    second_opinion._accepts(("1", "1"))


def _timed_there(pair: tuple[str, str]) -> Opinion:
    began = time.perf_counter()
    accepts = second_opinion._accepts(pair)
    return Opinion(accepts, time.perf_counter() - began)
