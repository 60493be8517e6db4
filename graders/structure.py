r"""Answers that are more than one formula, read into parts.

`read` turns a normalized text into a Value: a set, a tuple or interval, a union, a matrix, a relation, a ratio, a
numeral in a base, or a plain formula. What the parts of two answers are to each other is decided in `compare`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

MAX_PARTS = 400  # of one list, set or tuple, and cells of a matrix: more is no answer but a flood
MAX_DEPTH = 12  # nesting of structures; real answers have 3


@dataclass(frozen=True, slots=True)
class Value:
    """One structured answer. `kind` is formula, list, set, sequence, union, matrix, relation, ratio or base."""

    kind: str
    text: str = ""
    parts: tuple["Value", ...] = ()
    mark: str = ""  # sequence: its two brackets; relation: its signs; matrix: its number of columns
    unit: str = ""  # trailing unit of the whole, canonical; empty when none is written


_MARKS = re.compile(
    r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\[A-Za-z]+|\\[\s\S]|[()\[\]{},;:=<>&]|(?<![A-Za-z])(?:and|or)(?![A-Za-z])|\bU\b"
)
_OPENS, _CLOSES = frozenset(["(", "[", "{", "\\{"]), frozenset([")", "]", "}", "\\}"])
_RELATIONS = frozenset(["=", "<", ">", "\\leq", "\\geq", "\\neq", "\\approx", "\\equiv", "\\sim"])
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix|smallmatrix|array)\}(?:\{[lcr|]*\})?([\s\S]*)\\end\{\1\}")
_TRAILING_UNITS = re.compile(r"([\s\S]*?)\s*((?:\\unit\{[^{}]*\}\s*)+)")
_ENDS_IN_ANGLE = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?:\^\d|\^\{[^{}]*\})? ?[^-+*/(){}=<>,]*$")
_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?_(?:\{(\d+)\}|(\d))")
_NAME = r"(?:\\?[A-Za-z]+|\\angle ?[A-Z]{1,3})'*(?:_(?:\w|\{[^{}]*\}))?"
_LONE_NAME = re.compile(
    rf"(?:{_NAME})(?:(?:\^\{{-1\}})?\((?:{_NAME})(?:,{_NAME})*\))?|\((?:{_NAME})(?:,{_NAME})+\)|f\(\d+\)"
)
_LONGEST_PLAIN_NAME = 4  # letters: `AB` and `ABCD` name segments and areas, longer runs are words
_ALL_REALS = frozenset([r"\mathbb{R}", r"\mathbb R", r"\R", r"\reals", "all real numbers", "all reals"])


def read(text: str, depth: int = MAX_DEPTH) -> Value:
    """The structure of a normalized text. What has none, or is over a limit, is a formula."""
    text = text.strip()
    if depth == 0:
        return Value("formula", text)
    marks = _top_level(text)
    for reader in (_read_list, _read_union, _read_member, _read_relation, _read_ratio):
        value = reader(text, marks, depth)
        if value is not None:
            return value
    unit = ""
    if text.endswith("}") and (found := _TRAILING_UNITS.fullmatch(text)):
        unit = " ".join(dict.fromkeys(re.findall(r"\{([^{}]*)\}", found[2])))
        if unit == "degree" and _ENDS_IN_ANGLE.search(found[1]):
            unit = ""  # the degrees are those of the angle, not of the whole
        else:
            text = found[1]
    for whole in (_read_bracketed, _read_matrix, _read_signs, _read_base):
        value = whole(text, depth)
        if value is not None:
            return replace(value, unit=unit)
    return Value("formula", text, unit=unit)


def _top_level(text: str) -> list[tuple[int, int, str]]:
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


Marks = list[tuple[int, int, str]]


def _split(text: str, marks: Marks, signs: Iterable[str]) -> list[str]:
    pieces, start = [], 0
    for begin, end, sign in marks:
        if sign in signs:
            pieces.append(text[start:begin].strip())
            start = end
    return [*pieces, text[start:].strip()]


def _read_list(text: str, marks: Marks, depth: int) -> Value | None:
    signs = {sign for _, _, sign in marks}
    if ";" in signs:
        pieces = _split(text, marks, [";"])
    elif signs & {",", "and", "or"}:
        text = re.sub(r",\s*(and|or)(?![A-Za-z])", r" \1", text)  # the comma before the last "and"
        pieces = _split(text, _top_level(text), [",", "and", "or"])
    else:
        return None
    if len(pieces) > MAX_PARTS or not all(pieces):
        return Value("formula", text)
    return Value("list", text, _read_all(pieces, depth))


def _read_all(pieces: list[str], depth: int) -> tuple[Value, ...]:
    """Parts of a list; a part with a double sign stands for both values."""
    parts: list[Value] = []
    for piece in pieces:
        value = read(piece, depth - 1)
        parts.extend(value.parts if value.mark == "signs" else [value])
    return tuple(parts)


def _read_union(text: str, marks: Marks, depth: int) -> Value | None:
    between = [(a, b, s) for a, b, s in marks if s == "\\cup" or (s == "U" and text[:a].rstrip()[-1:] in (")", "]"))]
    if not between:
        return None
    pieces = _split(text, between, ["\\cup", "U"])
    left = _split(pieces[0], _top_level(pieces[0]), ["\\in"])
    if len(left) == 2 and _LONE_NAME.fullmatch(left[0]):
        pieces[0] = left[1]
    return Value("union", text, tuple(read(piece, depth - 1) for piece in pieces))


def _read_member(text: str, marks: Marks, depth: int) -> Value | None:
    pieces = _split(text, marks, ["\\in"])
    return read(pieces[1], depth - 1) if len(pieces) == 2 and _LONE_NAME.fullmatch(pieces[0]) else None


def _read_relation(text: str, marks: Marks, depth: int) -> Value | None:
    signs = [sign for _, _, sign in marks if sign in _RELATIONS]
    if not signs:
        return None
    pieces = _split(text, marks, _RELATIONS)
    if not all(pieces):
        return Value("formula", text)
    if signs == ["="] and "\\pm" in text and _LONE_NAME.fullmatch(pieces[0]):
        return read(pieces[1], depth - 1)
    return Value("relation", text, tuple(read(piece, depth - 1) for piece in pieces), " ".join(signs))


def _read_ratio(text: str, marks: Marks, depth: int) -> Value | None:
    pieces = _split(text, marks, [":"])
    if len(pieces) < 2 or not all(pieces):
        return None
    return Value("ratio", text, tuple(read(piece, depth - 1) for piece in pieces))


def _read_bracketed(text: str, depth: int) -> Value | None:
    if text in _ALL_REALS:
        return Value("sequence", text, (Value("formula", r"-\infty"), Value("formula", r"\infty")), "()")
    if text.replace(" ", "") in ("\\emptyset", "\\{\\}", "emptyset"):
        return Value("set", text)
    braces = text.startswith("\\{") and text.endswith("\\}")
    width = 2 if braces else 1
    if len(text) < 2 * width or not (braces or (text[0] in "([{" and text[-1] in ")]}")) or not _encloses(text):
        return None
    inner = text[width:-width].strip()
    marks = _top_level(inner)
    if braces or text[0] == "{":
        return _read_set(inner, marks, depth, braces)
    if not any(sign in (",", ";") for _, _, sign in marks):
        return read(inner, depth - 1) if text[0] == "(" and text[-1] == ")" else None
    pieces = _split(inner, marks, [";"] if any(sign == ";" for _, _, sign in marks) else [","])
    if len(pieces) > MAX_PARTS or not all(pieces):
        return None
    return Value("sequence", text, tuple(read(piece, depth - 1) for piece in pieces), text[0] + text[-1])


def _encloses(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last one."""
    depth, pos = 0, 0
    for mark in _MARKS.finditer(text):
        depth += (mark.group() in _OPENS) - (mark.group() in _CLOSES)
        pos = mark.end()
        if depth == 0:
            break
    return depth == 0 and pos == len(text)


def _read_set(inner: str, marks: Marks, depth: int, escaped: bool) -> Value | None:
    builder = re.match(rf"({_NAME})(?:\\in\\mathbb\{{R\}})?[|:]", inner) if escaped else None
    if builder:
        return read(inner[builder.end() :], depth - 1)
    listed = any(sign in (",", ";", "and") for _, _, sign in marks)
    if not listed:
        value = read(inner, depth - 1)
        return value if not escaped or value.mark == "signs" else Value("set", inner, (value,))
    value = _read_list(inner, marks, depth) or Value("formula", inner)
    return Value("set", inner, value.parts) if value.kind == "list" else None


def _read_matrix(text: str, depth: int) -> Value | None:
    found = _MATRIX.fullmatch(text)
    if found is None or found[1] in ("vmatrix", "Vmatrix"):  # bars are a determinant
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found[2].replace("\\hline", "")) if row.strip()]
    cells = [_split(row, _top_level(row), ["&"]) for row in rows]
    if not cells or len({len(row) for row in cells}) != 1 or len(cells) * len(cells[0]) > MAX_PARTS:
        return None
    return Value("matrix", text, tuple(read(cell, depth - 1) for row in cells for cell in row), str(len(cells[0])))


def _read_signs(text: str, depth: int) -> Value | None:
    r"""A formula with `\pm` is the set of its two readings; all signs of one formula go together."""
    if "\\pm" not in text and "\\mp" not in text:
        return None
    plus = re.sub(r"\\pm(?![A-Za-z]) ?", "+", re.sub(r"\\mp(?![A-Za-z]) ?", "-", text))
    minus = re.sub(r"\\pm(?![A-Za-z]) ?", "-", re.sub(r"\\mp(?![A-Za-z]) ?", "+", text))
    return Value("list", text, (read(plus, depth - 1), read(minus, depth - 1)), "signs") if plus != text else None


def _read_base(text: str, depth: int) -> Value | None:
    found = _BASE.fullmatch(text)
    return Value("base", f"{found[1].lstrip('0').upper() or '0'}_{found[2] or found[3]}") if found else None


def is_name(text: str) -> bool:
    """Whether a text is the name of a variable, a point, a segment or a function, as in `x = 5` or `f(x) = 5`."""
    if text in ("e", "i", "\\pi", "\\infty") or not _LONE_NAME.fullmatch(text):
        return False
    return text.startswith(("(", "\\")) or len(re.split(r"[(_^]", text, maxsplit=1)[0]) <= _LONGEST_PLAIN_NAME
