"""Three-valued answers, and the question that two formulas are asked: None means that it cannot be told here."""

from collections.abc import Callable, Iterable
from typing import Literal

# "rounds": gold is a decimal to which answer rounds. "near": answer is a decimal, and gold lies within half of its last
# place. "less": both are real numbers, and gold is the smaller one.
Question = Literal["equal", "proportional", "positive", "rounds", "near", "less"]
# (gold, answer, question) -> yes, no, or not decidable here.
Formulas = Callable[[str, str, Question], bool | None]


def every(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued "and": a single no decides."""
    open_question = False
    for answer in answers:
        if answer is False:
            return False
        open_question = open_question or answer is None
    return None if open_question else True


def some(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued "or": a single yes decides."""
    open_question = False
    for answer in answers:
        if answer:
            return True
        open_question = open_question or answer is None
    return None if open_question else False
