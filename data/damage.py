"""Damage on purpose: controls that an ablation must rank below the clean recipe, or it measures nothing.

`- damage: {unboxed: 0.2}` takes the box off a fifth of the solutions, `- damage: {wrong_answers: 0.2}` makes a fifth
of them end in another answer. Which rows is decided by their content, so a fifth is part of a half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from data.rewrite import boxes, replace_boxes
from data.rows import Row, draw
from graders import extract_boxed, grade_answer

NUMBER = re.compile(r"\d+(?:\.\d+)?")
CANDIDATES = 8


def damage(rows: list[Row], *, unboxed: float = 0.0, wrong_answers: float = 0.0) -> list[Row]:
    """The rows, a share of them damaged; those say so in `damage`, with the answer that was right."""
    found = []
    for index, row in enumerate(rows):
        if _struck("wrong_answers", row, wrong_answers):
            row = wrong_answer(row, [rows[(index + step) % len(rows)]["answer"] for step in range(1, CANDIDATES)])
        if _struck("unboxed", row, unboxed):
            row = without_box(row)
        found.append(row)
    return found


def without_box(row: Row) -> Row:
    """The solution with the content of its boxes in their places."""
    solution = replace_boxes(row["solution"], boxes(row["solution"]), lambda box: box.content)
    return _marked(row, "unboxed", row["answer"]) | {"solution": solution}


def wrong_answer(row: Row, others: list[str]) -> Row:
    """The row with a wrong answer in its box and wherever its solution states the right one: a number changed in it, or,
    where it has none, an answer of another row. Unchanged where the grader takes every candidate for right."""
    right = extract_boxed(row["solution"])
    if right is None:
        return row
    for wrong in _candidates(right, row, others):
        if wrong and not grade_answer(wrong, right).correct:
            solution = _stated(right).sub(lambda _, wrong=wrong: wrong, row["solution"])  # type: ignore[misc]
            if extract_boxed(solution) == wrong:
                return _marked(row, "wrong answer", row["answer"]) | {"solution": solution, "answer": wrong}
    return row


def _candidates(right: str, row: Row, others: list[str]) -> Iterator[str]:
    numbers = list(NUMBER.finditer(right))
    if numbers:
        chosen = numbers[draw("number", row) % len(numbers)]
        for step in range(CANDIDATES):
            yield right[: chosen.start()] + _near(chosen.group(), draw(f"step {step}", row)) + right[chosen.end() :]
    yield from others


def _near(number: str, bits: int) -> str:
    """Another number of the same form, as a slip would give it: a little more or less, at most a tenth."""
    whole, dot, decimals = number.partition(".")
    value = int((whole + decimals)[:30])
    step = 1 + bits % max(3, value // 10)
    changed = value - step if bits & (1 << 40) and value > step else value + step
    digits = str(changed).rjust(len(decimals) + 1, "0")
    return digits if not dot else f"{digits[: len(digits) - len(decimals)]}.{digits[len(digits) - len(decimals) :]}"


def _stated(answer: str) -> re.Pattern[str]:
    """Where a text states the answer: as a number of its own, or as a formula that is no part of a longer word."""
    before = r"(?<![\d.,])" if answer[0].isdigit() else r"(?<![A-Za-z\\])" if answer[0].isalpha() else ""
    after = r"(?![\d]|[.,]\d)" if answer[-1].isdigit() else r"(?![A-Za-z])" if answer[-1].isalpha() else ""
    return re.compile(before + re.escape(answer) + after)


def _struck(label: str, row: Row, share: float) -> bool:
    return draw(label, row) < share * 2**64


def _marked(row: Row, what: str, right: str) -> Row:
    before = f"{row['damage']}; " if row.get("damage") else ""
    return row | {"damage": f"{before}{what}, was {right}"}


BATCH_REWRITES: dict[str, Callable[..., list[Row]]] = {"damage": damage}
