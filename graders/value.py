r"""The structure of an answer: the record that the readers make, and the signs at which a text may be cut."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PARTS = 400  # of one list, set or tuple, and cells of a matrix: anything larger is not treated as an answer
MAX_DEPTH = 12  # nesting of structures; real answers have 3


@dataclass(frozen=True, slots=True)
class Value:
    """One structured answer. `kind` is formula, list, set, sequence, union, matrix, relation, ratio or base."""

    kind: str
    text: str = ""
    parts: tuple["Value", ...] = ()
    # sequence: its two brackets; relation: its signs; matrix: its number of columns; union: its operation;
    # list: its separator, "signs" where one formula stands for two, ":" where one value is written twice
    mark: str = ""
    unit: str = ""  # trailing unit of the whole, canonical; empty when none is written


Marks = list[tuple[int, int, str]]

_MARKS = re.compile(
    r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\[A-Za-z]+|\\[\s\S]|[()\[\]{},;:=<>&]|(?<![A-Za-z])(?:and|or)(?![A-Za-z])|\bU\b"
)
_OPENS, _CLOSES = frozenset(["(", "[", "{", "\\{"]), frozenset([")", "]", "}", "\\}"])
REALS = Value("sequence", r"\mathbb{R}", (Value("formula", r"-\infty"), Value("formula", r"\infty")), "()")


def top_level(text: str) -> Marks:
    """Separators and relation signs outside all brackets: (start, end, sign)."""
    found, depth = [], 0
    for mark in _MARKS.finditer(text):
        sign = mark.group()
        if sign in _OPENS or sign.startswith("\\begin"):
            depth += 1
        elif sign in _CLOSES or sign.startswith("\\end"):
            depth -= 1
        elif depth == 0:
            found.append((mark.start(), mark.end(), sign))
    return found


def split_at(text: str, marks: Marks, signs: Iterable[str]) -> list[str]:
    """The pieces of a text between those of its marks that are one of the signs, outer spaces trimmed."""
    pieces, start = [], 0
    for begin, end, sign in marks:
        if sign in signs:
            pieces.append(text[start:begin].strip())
            start = end
    return [*pieces, text[start:].strip()]


def encloses(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last one."""
    depth, pos = 0, 0
    for mark in _MARKS.finditer(text):
        depth += (mark.group() in _OPENS) - (mark.group() in _CLOSES)
        pos = mark.end()
        if depth == 0:
            break
    return depth == 0 and pos == len(text)
