"""One row of a benchmark under the names that people give its columns: problem, answers, id.

The case of names does not matter. What a row states is not judged here: `eval.golds` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from string import ascii_uppercase
from typing import Any

from eval.records import UserError
from graders import grade_answers

Row = dict[str, Any]

# Of several columns the first one counts.
PROBLEM_KEYS = ("problem", "question", "prompt", "query", "input")
ANSWER_KEYS = (
    "answer", "final_answer", "expected_answer", "gold", "gold_answer", "ground_truth", "reference_answer",
    "correct_answer", "correct", "target", "answers", "solution",
)  # fmt: skip
ID_KEYS = ("id", "unique_id", "uid", "_id", "problem_id", "question_id", "idx", "index")
# What a problem's text begins with where it stands apart: SVAMP's story, OlympiadBench's setting.
BEFORE_KEYS = ("body", "context")
CHOICE_KEYS = ("options", "choices")
MADE_OF = "JSON lines, JSON, CSV or Parquet with a problem and an answer in each row"
WHOLE_FLOAT = 1 << 53  # above it a float is no exact whole number


class NotABenchmark(UserError):
    """The file holds something else: its first row states no problem or no answer, or is no row.

    `reason` says which, without the place.
    """

    def __init__(self, place: object, reason: str) -> None:
        super().__init__(f"{place}: {reason}; a benchmark is {MADE_OF}.")
        self.reason = reason


@dataclass(frozen=True)
class Stated:
    """What a row says. `answers` are (column, text) in the order of trust; "" was left blank."""

    place: str
    id: str | None
    problem: str
    answers: tuple[tuple[str, str], ...]
    joined: bool
    subject: str | None
    level: str | None
    source: str | None


def states_problem(row: Mapping[str, Any]) -> bool:
    """Whether a row has a column for the problem."""
    return any(key in _named(row) for key in PROBLEM_KEYS)


def check_shape(row: Mapping[str, Any], place: str) -> None:
    """Raises NotABenchmark where a row has no column for the problem, or none for the answer."""
    named = _named(row)
    for what, keys in (("problem", PROBLEM_KEYS), ("answer", (*ANSWER_KEYS, "reward_model"))):
        if not any(key in named for key in keys):
            raise NotABenchmark(place, f"{what} is None, the columns are {', '.join(map(str, row))!r:.120}")


def read_row(row: Row, place: str) -> Stated:
    """What a row states. Raises UserError where its problem or answer is missing, or is no text."""
    named = _named(row)
    choices = _choices(named)
    problem = "\n".join(filter(None, (*_before(named), _problem(named, place), _listed(choices, named))))
    answers, joined = _answers(named, choices, place)
    subject, type_, level, source = (_about(named.get(key)) for key in ("subject", "type", "level", "source"))
    return Stated(
        place,
        next((text for key in ID_KEYS if (text := _simple(named.get(key)))), None),
        problem,
        answers,
        joined,
        type_ if subject is None else subject,
        level,
        source,
    )


def as_text(value: Any, place: str, key: str) -> str | None:
    """The text that a value stands for: "5" for 5.0, "1, 2" for a list; None for null and NaN.

    Raises UserError for what is no text, number or list of them.
    """
    if isinstance(value, list) and not any(isinstance(item, list) and len(item) > 1 for item in value):
        return ", ".join(text for item in value if (text := as_text(item, place, key))) or None
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return _simple(value)
    raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text, a number or a list of them.")


def _simple(value: Any) -> str | None:
    """A text or number; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value.normalize(), "f")
    if isinstance(value, float) and value == value:
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE_FLOAT else repr(value)
    return None


def _about(value: Any) -> str | None:
    """A field that only describes the problem, as text; None where it is not stated."""
    return None if value is None or value != value else _simple(value) or str(value)


def _named(row: Mapping[str, Any]) -> Row:
    """The row with column names in lower case; of two that become one, the one that was."""
    named: Row = {}
    for key, value in row.items():
        name = str(key).strip().lower().replace(" ", "_").replace("-", "_")
        if name not in named or name == key:
            named[name] = value
    return named


def _problem(named: Row, place: str) -> str:
    key, value = next(((key, named[key]) for key in PROBLEM_KEYS if named.get(key) is not None), ("problem", None))
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    if turns:  # a chat: its only user turn
        value = next((turn.get("content") for turn in turns if turn.get("role") == "user"), None)
    text = as_text(value, place, key)
    if text is None or not text.strip():
        raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text.")
    return text


def _before(named: Row) -> list[str]:
    return [text for key in BEFORE_KEYS if isinstance(text := named.get(key), str) and text.strip()]


def _choices(named: Row) -> Sequence[str]:
    listed = [named[key] for key in CHOICE_KEYS if isinstance(named.get(key), list)]
    texts = [_simple(choice) for choice in listed[0]] if listed else []
    return [text for text in texts if text] if all(texts) else []


def _listed(choices: Sequence[str], named: Row) -> str:
    """The choices as "A) … B) …", where the problem does not list them itself."""
    text = next((str(named[key]) for key in PROBLEM_KEYS if key in named), "")
    if not choices or len(choices) > len(ascii_uppercase) or all(choice in text for choice in choices):
        return ""
    marks = zip(ascii_uppercase, choices, strict=False)
    return " ".join(
        choice if re.match(rf"\(?{letter}[).:]", choice) else f"{letter}) {choice}" for letter, choice in marks
    )


def _answers(named: Row, choices: Sequence[str], place: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """((column, text), …) of what is stated, and whether the first is a list of several."""
    stated = {key: named[key] for key in ANSWER_KEYS if key in named}
    if isinstance(reward := named.get("reward_model"), dict):
        stated["ground_truth"] = reward.get("ground_truth")
    found = {
        key: text
        for key, value in stated.items()
        if not isinstance(value, dict)
        and (text := _letter(value, choices) or _one_of(value) or as_text(value, place, key)) is not None
    }
    if not found:
        key, value = next(iter(stated.items()), ("answer", None))
        raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text, a number or a list of them.")
    first = stated[next(iter(found))]
    several = isinstance(first, list) and len([item for item in first if item]) > 1 and not _one_of(first)
    return tuple(found.items()), several


def _letter(value: Any, choices: Sequence[str]) -> str:
    """The letter of a choice that is stated by its position from 0, as in MMLU."""
    if isinstance(value, bool) or not isinstance(value, int) or str(value) in choices:
        return ""
    return ascii_uppercase[value] if 0 <= value < min(len(choices), len(ascii_uppercase)) else ""


def _one_of(value: Any) -> str:
    """The first of several ways to write one answer; "" for several answers, all asked for."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(item, str) and item for item in value):
        return ""
    equal = grade_answers([(item, value[0]) for item in value[1:]])
    return value[0] if all(verdict.correct for verdict in equal) else ""
