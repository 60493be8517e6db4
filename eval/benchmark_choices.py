"""The choices of a multiple-choice problem, in the forms in which data sets state them.

A list, ARC's {"text": [...], "label": [...]}, {"A": ...}, a list as Python or numpy prints it in a
table's cell, a column for each choice, or MathQA's text, which stays as it is.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple

from eval.records import UserError

# What programs write where there is no value.
NOTHING = {"None", "NaN", "nan", "null", "NULL", "<NA>", "N/A", "#N/A", "NaT"}
CHOICE_KEYS = ("options", "choices")
# A column for each choice: A, option_b, choice1. A file may have columns a and b for other things.
PREFIXES = ("", "option_", "option", "options_", "choice_", "choice", "choices_", "opt_", "opt", "op")
MARKS = (ascii_lowercase, "123456789", "0123456789")
FEW_SMALL_LETTERS = 3
LABEL_KEYS = ("label", "key", "id")
WHOLE_FLOAT = 1 << 53  # above it a float is no exact whole number
# A list as Python or numpy prints it, in a cell of a table.
QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
QUOTED_LIST = re.compile(rf"\[\s*{QUOTED}(?:[,\s]+{QUOTED})*\s*\]")
NUMBER_LIST = re.compile(r"\[\s*[-+.\deE]+(?:\s+[-+.\deE]+)*\s*\]")
COUNT_OR_FLAG = re.compile(r"[\d.]+|true|false", re.IGNORECASE)
NUMPY_ARRAY = re.compile(r"array\((\[.*?\])(?:,\s*dtype=[^()]*)?\)", re.DOTALL)


class Choices(NamedTuple):
    """The choices of a problem with their labels, or the text that states them all; none where empty."""

    labels: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    text: str = ""


def read_choices(row: Mapping[str, Any], named: Mapping[str, Any], place: str) -> Choices:
    """The choices of a row; `named` has its columns in lower case. Raises UserError for a form unknown."""
    for key in CHOICE_KEYS:
        value = named.get(key)
        # A flag or a count is no list of choices; in a table it is a text.
        if isinstance(value, str) and (value.strip() in ("", *NOTHING) or COUNT_OR_FLAG.fullmatch(value.strip())):
            continue
        if isinstance(value, str | list | dict) and value:
            return _read(value, f"{place}: {key}")
    return _in_columns({str(key).strip() for key in row}, named, place)


def list_choices(choices: Choices, problem: str) -> str:
    """The choices as "A) … B) …"; "" where the problem lists them itself, under the same labels."""
    if choices.text:
        return "" if choices.text in problem else choices.text
    pairs = list(zip(choices.labels, choices.texts, strict=True))
    if not pairs or all(_is_listed(label, text, problem) for label, text in pairs):
        return ""
    return " ".join(text if _is_marked(label, text) else f"{label}) {text}" for label, text in pairs)


def find_base(stated: Sequence[tuple[str, bool, Choices]]) -> int | None:
    """From what a file's answers count their choices, 0 or 1; None where they are no positions.

    `stated` is (answer, whether it is a number, choices) of every row. One column means one thing:
    all answers are positions, or none is. Texts that are choices themselves are values.
    """
    asked = [one for one in stated if has_letters(one[2])]
    if not asked or not all(re.fullmatch(r"[0-9]{1,3}", answer) for answer, _, _ in asked):
        return None
    are_values = all(answer in choices.texts for answer, _, choices in asked)
    if all(int(answer) < len(choices.labels) for answer, _, choices in asked):
        return None if are_values and not all(number for _, number, _ in asked) else 0
    from_one = all(1 <= int(answer) <= len(choices.labels) for answer, _, choices in asked)
    return 1 if from_one and not are_values else None


def has_letters(choices: Choices) -> bool:
    """Whether the choices have letters, so that a number is no label."""
    return bool(choices.labels) and not any(label.isdigit() for label in choices.labels)


def simple_text(value: Any) -> str | None:
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


def _read(value: Any, place: str) -> Choices:
    """`place` names the column, too."""
    shown = value
    if isinstance(value, str):
        text = value.strip()
        if (text[0], text[-1]) not in (("[", "]"), ("{", "}")):
            return Choices(text=text)
        value = _parsed(text)
    pairs = _pairs(value)
    texts = [simple_text(text) for _, text in pairs]
    while texts and not (texts[-1] or "").strip():
        texts.pop()
    labels = [(simple_text(label) or "").strip() for label, _ in pairs[: len(texts)]]
    full = all(labels) and all((text or "").strip() for text in texts)
    if not texts or not full or len(set(labels)) < len(labels):
        fix = 'write a list of texts, or an object such as {"A": "3", "B": "4"}'
        raise UserError(f"{place} is {shown!r:.80}, which cannot be read as choices; {fix}.")
    return Choices(tuple(labels), tuple(text for text in texts if text))


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    """(label, text) of each choice; [] for an unknown form."""
    if isinstance(value, dict):
        lower = {str(key).lower(): one for key, one in value.items()}
        texts, labels = lower.get("text"), next((lower[key] for key in LABEL_KEYS if key in lower), None)
        if isinstance(texts, list) and isinstance(labels, list | None):
            labels = labels or ascii_uppercase[: len(texts)]
            return list(zip(labels, texts, strict=True)) if len(labels) == len(texts) else []
        stated = [(str(key), one) for key, one in value.items() if one is not None]
        return stated if all(re.fullmatch(r"[A-Za-z]|\d\d?", key) for key, _ in stated) else []
    if not isinstance(value, list) or len(value) > len(ascii_uppercase):
        return []
    if not all(isinstance(one, dict) for one in value):
        return list(zip(ascii_uppercase, value, strict=False))
    marks = (next((one[key] for key in LABEL_KEYS if key in one), None) for one in value)
    return [(mark or letter, one.get("text")) for letter, mark, one in zip(ascii_uppercase, marks, value, strict=False)]


def _parsed(text: str) -> Any:
    """The list or object that a cell of a table holds, as JSON, Python or numpy writes it; else None."""
    try:
        if QUOTED_LIST.fullmatch(text):  # Python joins texts that no comma parts
            return [ast.literal_eval(one) for one in re.findall(QUOTED, text)]
        if NUMBER_LIST.fullmatch(text):
            return text[1:-1].split()
        try:
            return json.loads(text)
        except ValueError:
            return ast.literal_eval(NUMPY_ARRAY.sub(r"\1", text))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _in_columns(written: set[str], named: Mapping[str, Any], place: str) -> Choices:
    """The choices that stand in a column each; blank cells are choices that a problem lacks."""
    for prefix in PREFIXES:
        for marks in MARKS if prefix else MARKS[:1]:
            keys = list(takewhile(named.__contains__, (prefix + mark for mark in marks)))
            is_small = not prefix and "A" not in written and len(keys) <= FEW_SMALL_LETTERS
            if len(keys) > 1 and not is_small:
                return _of_columns(keys, named, place)
    return Choices()


def _of_columns(keys: Sequence[str], named: Mapping[str, Any], place: str) -> Choices:
    found = []
    for letter, key in zip(ascii_uppercase, keys, strict=False):
        if isinstance(named[key], list | dict):
            raise UserError(f"{place}: {key} is {named[key]!r:.80}, which cannot be read as a choice; write a text.")
        if (text := simple_text(named[key])) and text.strip():
            found.append((letter, text))
    if len(found) < 2:
        return Choices()
    return Choices(tuple(letter for letter, _ in found), tuple(text for _, text in found))


def _is_marked(label: str, text: str) -> bool:
    return re.match(rf"\(?{re.escape(label)}\s*[).:]", text, re.IGNORECASE) is not None


def _is_listed(label: str, text: str, problem: str) -> bool:
    if _is_marked(label, text):
        return text in problem
    return re.search(rf"(?<!\w){re.escape(label)}\W{{1,12}}?{re.escape(text)}", problem, re.IGNORECASE) is not None
