"""One row of a benchmark under the names that people give its columns: problem, answers, id.

The case of names does not matter. What a row states is not judged here: `eval.golds` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from eval.benchmark_choices import NOTHING, Choices, find_base, has_letters, list_choices, read_choices, simple_text
from eval.records import UserError
from graders import grade_answers

Row = dict[str, Any]

# Of several columns the first one counts.
PROBLEM_KEYS = ("problem", "question", "prompt", "query", "input")
ANSWER_KEYS = (
    "answer", "final_answer", "expected_answer", "gold", "gold_answer", "ground_truth", "reference_answer",
    "correct_answer", "correct", "answerkey", "answer_key", "target", "answers", "solution",
)  # fmt: skip
ID_KEYS = ("id", "unique_id", "uid", "_id", "problem_id", "question_id", "idx", "index")
# What a problem's text begins with where it stands apart: SVAMP's story, OlympiadBench's setting.
BEFORE_KEYS = ("body", "context")
# What stands for an answer that is null (or an empty list), and for NaN.
ABSENT = ("null", "NaN")
MADE_OF = "JSON lines, JSON, CSV or Parquet with a problem and an answer in each row"


class NotABenchmark(UserError):
    """The file holds something else: its first row states no problem or no answer, or is no row.

    `reason` says which, without the place.
    """

    def __init__(self, place: object, reason: str) -> None:
        super().__init__(f"{place}: {reason}; a benchmark is {MADE_OF}.")
        self.reason = reason


@dataclass(frozen=True)
class Stated:
    """What a row says. `answers` are (column, text) in the order of trust; "" was left blank.

    `position` is what stands for the first answer where that is a choice, counted from `base`.
    """

    place: str
    id: str | None
    problem: str
    answers: tuple[tuple[str, str], ...]
    joined: bool
    subject: str | None
    level: str | None
    source: str | None
    choices: Choices
    is_number: bool
    position: str | None = None
    base: int = 0


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
    choices = read_choices(row, named, place)
    asked = "\n".join((*_before(named), _problem(named, place)))
    problem = "\n".join(filter(None, (asked, list_choices(choices, asked))))
    answers, joined = _answers(named, place)
    subject, type_, level, source = (_about(named.get(key)) for key in ("subject", "type", "level", "source"))
    return Stated(
        place,
        next((text for key in ID_KEYS if (text := simple_text(named.get(key)))), None),
        problem,
        answers,
        joined,
        type_ if subject is None else subject,
        level,
        source,
        choices,
        isinstance(_first_answer(named), int | float),
    )


def name_positions(rows: Sequence[Stated]) -> list[Stated]:
    """The rows with the letter of a choice for its position, where all of the file's answers are positions."""
    judged = [row for row in rows if has_letters(row.choices) and not _is_nothing(row)]
    base = find_base([(row.answers[0][1].strip(), row.is_number, row.choices) for row in judged])
    if base is None:
        _refuse_mixture(judged)
        return list(rows)
    return [_name_position(row, base) for row in rows]


def _refuse_mixture(judged: Sequence[Stated]) -> None:
    """Raises UserError where some answers of a file are letters of choices, others their positions."""
    texts = [(row, row.answers[0][1].strip()) for row in judged]
    letters = [row for row, text in texts if text in row.choices.labels]
    positions = [row for row, text in texts if text.isdecimal() and text not in row.choices.texts]
    if letters and positions:
        said = f"the answer {positions[0].answers[0][1]!r} is a position, but in {letters[0].place} it is a letter"
        raise UserError(f"{positions[0].place}: {said}; write the letters of all choices.")


def _is_nothing(row: Stated) -> bool:
    return row.answers[0][1].strip() in ("", *NOTHING)


def _name_position(row: Stated, base: int) -> Stated:
    (column, text), *others = row.answers
    if not has_letters(row.choices) or _is_nothing(row):
        return row
    letter = row.choices.labels[int(text) - base]
    return replace(row, answers=((column, letter), *others), position=text, base=base)


def as_text(value: Any, place: str, key: str) -> str | None:
    """The text that a value stands for: "5" for 5.0, "1, 2" for a list; None for null and NaN.

    Raises UserError for what is no text, number or list of them.
    """
    if isinstance(value, list) and not any(isinstance(item, list) and len(item) > 1 for item in value):
        return ", ".join(text for item in value if (text := as_text(item, place, key))) or None
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return simple_text(value)
    raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text, a number or a list of them.")


def _about(value: Any) -> str | None:
    """A field that only describes the problem, as text; None where it is not stated."""
    return None if value is None or value != value else simple_text(value) or str(value)


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
        if (count := sum(turn.get("role") == "user" for turn in turns)) > 1:
            fix = "the answer belongs to one of them; keep one user turn, examples go into --shots"
            raise UserError(f"{place}: {key} is a chat with {count} user turns; {fix}.")
        value = next((turn.get("content") for turn in turns if turn.get("role") == "user"), None)
    text = as_text(value, place, key)
    if text is None or not text.strip():
        raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text.")
    return text


def _before(named: Row) -> list[str]:
    return [text for key in BEFORE_KEYS if isinstance(text := named.get(key), str) and text.strip()]


def _answers(named: Row, place: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """((column, text), …) of what is stated, and whether the first is a list of several."""
    stated = {key: named[key] for key in ANSWER_KEYS if key in named}
    if isinstance(reward := named.get("reward_model"), dict):
        stated["ground_truth"] = reward.get("ground_truth")
    found = {
        key: text
        for key, value in stated.items()
        if not isinstance(value, dict) and (text := _one_of(value) or as_text(value, place, key)) is not None
    }
    if not found:
        key, value = next(iter(stated.items()), ("answer", None))
        if stated and all(map(_is_absent, stated.values())):  # told at --check, as a blank answer is
            return ((key, ABSENT[value != value]),), False
        raise UserError(f"{place}: {key} is {value!r:.60}; it must be a text, a number or a list of them.")
    first = stated[next(iter(found))]
    several = isinstance(first, list) and len([item for item in first if item]) > 1 and not _one_of(first)
    return tuple(found.items()), several


def _first_answer(named: Row) -> Any:
    return next((named[key] for key in ANSWER_KEYS if named.get(key) is not None), None)


def _is_absent(value: Any) -> bool:
    """Whether a column has no value here: null, NaN, or a list of nothing else."""
    if isinstance(value, list):
        return all(map(_is_absent, value))
    return value is None or value != value


def _one_of(value: Any) -> str:
    """The first of several ways to write one answer; "" for several answers, all asked for."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(item, str) and item for item in value):
        return ""
    equal = grade_answers([(item, value[0]) for item in value[1:]])
    return value[0] if all(verdict.correct for verdict in equal) else ""
