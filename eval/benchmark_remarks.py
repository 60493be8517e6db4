"""What to know of a benchmark before its score: answers read out of texts, and duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console

from eval.console import printable
from eval.golds import SENTENCE
from eval.records import Benchmark, Problem

SHOWN_CHARS = 80


def remarks(benchmark: Benchmark) -> list[tuple[str, bool]]:
    """(a sentence with count and example, whether it tells of answers that cannot be used), …"""
    return [*_gold_remarks(benchmark), *_blank_remarks(benchmark), *_duplicate_remarks(benchmark)]


def show_remarks(said: Iterable[tuple[str, bool]], console: Console) -> None:
    """One line each, red where answers cannot be used."""
    for sentence, red in said:
        console.print(printable(sentence), markup=False, soft_wrap=True, style="bold red" if red else None)


def _gold_remarks(benchmark: Benchmark) -> Iterator[tuple[str, bool]]:
    kinds = {reading.how: reading for reading in reversed(benchmark.readings)}
    for how, count in Counter(reading.how for reading in benchmark.readings).items():
        first, where = kinds[how], f"in {count:,} of {len(benchmark.problems):,} problems"
        shown = f"such as {first.id!r} {shortened(first.stated)}"
        if first.answer is None:
            fix = "these are left out of the accuracy; give only the answer"
            yield f"{benchmark.name}: no answer can be read {where} ({how}), {shown}; {fix}.", True
        elif how == SENTENCE:
            yield (
                f"{benchmark.name}: the answer is a sentence {where}, which only the same words match, {shown}.",
                False,
            )
        else:
            yield f"{benchmark.name}: the answer is {how} {where}, {shown}: read as {shortened(first.answer)}.", False


def _blank_remarks(benchmark: Benchmark) -> Iterator[tuple[str, bool]]:
    """Answers that were left blank; those that stand for a missing value have a Reading."""
    said = {reading.id for reading in benchmark.readings}
    blank = [problem.id for problem in benchmark.problems if not problem.answer.strip() and problem.id not in said]
    if blank:
        where = f"in {len(blank):,} of {len(benchmark.problems):,} problems, such as {blank[0]!r}"
        yield f"{benchmark.name}: the answer is blank {where}; these are left out of the accuracy; state it.", True


def _duplicate_remarks(benchmark: Benchmark) -> Iterator[tuple[str, bool]]:
    answers: dict[str, list[Problem]] = {}
    for problem in benchmark.problems:
        answers.setdefault(problem.problem, []).append(problem)
    again = [same for same in answers.values() if len(same) > 1]
    if again:
        differ = sum(len({problem.answer for problem in same}) > 1 for same in again)
        ids = " and ".join(repr(problem.id) for problem in again[0][:2])
        but = f", {differ:,} of them with different answers" if differ else ""
        yield f"{benchmark.name}: duplicated problems: {len(again):,}{but}, such as {ids}.", False


def shortened(text: str) -> str:
    """A text as Python writes it, without control characters; of a long one both ends."""
    return repr(text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS // 2]} … {text[-SHOWN_CHARS // 2 :]}")
