r"""Answers that are more than one formula: split into parts, compare parts.

`read` turns a normalized text into a Value (a set, a tuple or interval, a union, a matrix, a relation, a ratio, a
numeral in a base, or a plain formula); `compare` decides on two of them part by part. What two formulas are to each
other is asked through a function that the caller passes in, so the same code runs with the cheap readings of
`algebra` and, inside a worker, with the symbolic ones. Answers are three-valued: None means that some formula on
which the decision depends could not be judged.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from graders.numeric import canonical_decimal, decimal_places, parse_number
from graders.units import compatible

Question = Literal["equal", "proportional", "positive", "rounds"]
# (gold, answer, question) -> yes, no, or not decidable here. "rounds": gold is a decimal to which answer rounds.
Formulas = Callable[[str, str, Question], bool | None]

MAX_PARTS = 400  # of one list, set or tuple, and cells of a matrix: more is no answer but a flood
MAX_UNMATCHED = 24  # parts of an unordered pair left after exact matches; the rest is quadratic
MAX_DEPTH = 12  # nesting of structures; real answers have 3


@dataclass(frozen=True, slots=True)
class Value:
    """One structured answer. `kind` is formula, list, set, sequence, union, matrix, relation, ratio or base."""

    kind: str
    text: str = ""
    parts: tuple["Value", ...] = ()
    mark: str = ""  # sequence: its two brackets; relation: its signs; matrix: its number of columns
    unit: str = ""  # trailing unit of the whole, canonical; empty when none is written


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether two answers are equal (None: not decidable here), and the rule that said so."""

    equal: bool | None
    rule: str


_MARKS = re.compile(
    r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\[A-Za-z]+|\\[\s\S]|[()\[\]{},;:=<>&]|(?<![A-Za-z])(?:and|or)(?![A-Za-z])|\bU\b"
)
_OPENS, _CLOSES = frozenset(["(", "[", "{", "\\{"]), frozenset([")", "]", "}", "\\}"])
_RELATIONS = frozenset(["=", "<", ">", "\\leq", "\\geq", "\\neq", "\\approx", "\\equiv", "\\sim"])
_FLIPPED = {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix|smallmatrix|array)\}(?:\{[lcr|]*\})?([\s\S]*)\\end\{\1\}")
_TRAILING_UNITS = re.compile(r"([\s\S]*?)\s*((?:\\unit\{[^{}]*\}\s*)+)")
_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?_(?:\{(\d+)\}|(\d))")
_NAME = r"(?:\\?[A-Za-z]+|\\angle ?[A-Z]{1,3})'*(?:_(?:\w|\{[^{}]*\}))?"
_LONE_NAME = re.compile(rf"(?:{_NAME})(?:\((?:{_NAME})(?:,{_NAME})*\))?|\((?:{_NAME})(?:,{_NAME})+\)|f\(\d+\)")
_LONGEST_PLAIN_NAME = 4  # letters: `AB` and `ABCD` name segments and areas, longer runs are words
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?: ?([ap])\.?m\.?)?", re.IGNORECASE)
_ALL_REALS = frozenset([r"\mathbb{R}", r"\mathbb R", r"\R", r"\reals", "all real numbers", "all reals"])
_CHOICE = re.compile(r"\(?([A-Ja-j])\)?[.):]?")
_CHOICE_WITH_TEXT = re.compile(r"(?:\(([A-J])\)|([A-J])[.):])\s*\S[\s\S]*")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def compare(gold: str, answer: str, formulas: Formulas) -> Decision:
    """Whether two normalized texts are the same answer, and by which rule."""
    if _same_choice(gold, answer):
        return Decision(True, "structure:choice")
    if _same_words(gold, answer):
        return Decision(True, "structure:words")
    left, right = read(gold), read(answer)
    kind = left.kind if left.kind != "formula" else right.kind
    if kind == "formula" and (left.unit or right.unit):
        kind = "unit"
    return Decision(_same(left, right, formulas, MAX_DEPTH), f"structure:{kind}")


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
        text, unit = found[1], re.findall(r"\{([^{}]*)\}", found[2])[0]
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
    if text.replace(" ", "") in ("\\emptyset", "\\{\\}"):
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


def _same(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if gold.text and gold.text == answer.text and gold.unit == answer.unit and gold.kind == answer.kind:
        return True
    gold, answer = _unwrapped(gold, answer), _unwrapped(answer, gold)
    if depth == 0 or not compatible(gold.unit, answer.unit):
        return False
    if gold.kind == "formula" == answer.kind:
        return _same_formula(gold, answer, formulas)
    comparer = _COMPARERS.get(frozenset([gold.kind, answer.kind]))
    return comparer(gold, answer, formulas, depth - 1) if comparer else False


def _unwrapped(value: Value, other: Value) -> Value:
    """The right-hand side of `x = 5` when the other answer is not an equation."""
    if value.kind != "relation" or value.mark != "=" or other.kind == "relation":
        return value
    left, right = value.parts
    if _is_name(left.text) and not (_is_name(right.text) and not _is_name(other.text)):
        return right
    return left if _is_name(right.text) else value


def _is_name(text: str) -> bool:
    if text in ("e", "i", "\\pi", "\\infty") or not _LONE_NAME.fullmatch(text):
        return False
    return text.startswith(("(", "\\")) or len(re.split(r"[(_]", text, maxsplit=1)[0]) <= _LONGEST_PLAIN_NAME


def _same_formula(gold: Value, answer: Value, formulas: Formulas) -> bool | None:
    if _same_words(gold.text, answer.text):
        return True
    if "\\infty" in gold.text or "\\infty" in answer.text:
        return gold.text.lstrip("+") == answer.text.lstrip("+")
    percents = (gold.unit == "percent") - (answer.unit == "percent")
    equal = _same_value(gold.text, answer.text, formulas)
    if equal or not percents:
        return equal
    # A percentage stands for its hundredth too: 50% is 0.5. The other way round nothing is guessed.
    scaled = (f"({gold.text})/100", answer.text) if percents > 0 else (gold.text, f"({answer.text})/100")
    return some([equal, _same_value(*scaled, formulas)])


def _same_value(gold: str, answer: str, formulas: Formulas) -> bool | None:
    left, right = canonical_decimal(gold), canonical_decimal(answer)
    if left is not None and right is not None:
        return left == right
    left_number, right_number = parse_number(gold), parse_number(answer)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    equal = formulas(gold, answer, "equal")
    if equal or right_number is not None or decimal_places(gold) < MIN_ROUNDED_PLACES:
        return equal
    return formulas(gold, answer, "rounds")


# A gold decimal stands for an irrational answer that rounds to it from this many decimals on: `3.14` is not pi.
MIN_ROUNDED_PLACES = 3


def _unordered(gold: Sequence[Value], answer: Sequence[Value], formulas: Formulas, depth: int) -> bool | None:
    """Equal as sets: every part has a partner on the other side. Parts that are equal as texts are matched first."""
    left_texts, right_texts = ({(v.kind, _key(v), v.unit) for v in side} for side in (gold, answer))
    left = [v for v in gold if (v.kind, _key(v), v.unit) not in right_texts]
    right = [v for v in answer if (v.kind, _key(v), v.unit) not in left_texts]
    if max(len(left), len(right)) > MAX_UNMATCHED:
        return False
    return every(
        [some(_same(part, other, formulas, depth) for other in answer) for part in left]
        + [some(_same(other, part, formulas, depth) for other in gold) for part in right]
    )


def _key(value: Value) -> str:
    return (canonical_decimal(value.text) or value.text) if value.kind == "formula" else value.text


def _ordered(gold: Sequence[Value], answer: Sequence[Value], formulas: Formulas, depth: int) -> bool | None:
    if len(gold) != len(answer):
        return False
    return every(_same(left, right, formulas, depth) for left, right in zip(gold, answer, strict=True))


def _same_collections(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    left, right = gold.parts, answer.parts
    if any(part.text == "\\ldots" for part in left + right):
        return _ordered(left, right, formulas, depth)
    assigned = [_assigned_names(left), _assigned_names(right)]
    if any(len(set(names)) > 1 for names in assigned) and not all(assigned):
        return _ordered(left, right, formulas, depth)  # `x=1, y=2` against `1, 2`
    if any(part.kind == "relation" for part in left + right) and not any(assigned):
        left_ranges, right_ranges = _as_intervals(gold), _as_intervals(answer)
        if left_ranges and right_ranges:
            return _unordered(left_ranges, right_ranges, formulas, depth)
    return _unordered(left, right, formulas, depth)


def _assigned_names(parts: Sequence[Value]) -> list[str]:
    """The names on the left of `x=1, y=2` where every part is an assignment, else nothing."""
    assigned = [part.parts[0].text for part in parts if part.kind == "relation" and part.mark == "="]
    return assigned if len(assigned) == len(parts) and all(map(_is_name, assigned)) else []


def _list_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    sequence, listed = (gold, answer) if gold.kind == "sequence" else (answer, gold)
    if listed.mark == "signs" or listed.kind == "set" or sequence.mark != "()":
        return False
    return _ordered(gold.parts, answer.parts, formulas, depth)


def _same_sequences(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _one_and_many(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A single value and a collection: equal if the collection holds that value and nothing else."""
    one, many = (gold, answer) if answer.kind in ("list", "set") else (answer, gold)
    if not many.parts:
        return False
    pairs = ((part, one) if many is gold else (one, part) for part in many.parts)
    return every(_same(left, right, formulas, depth) for left, right in pairs)


def _same_matrices(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _matrix_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A column or row and the same vector written in line."""
    matrix = gold if gold.kind == "matrix" else answer
    return int(matrix.mark) in (1, len(matrix.parts)) and _ordered(gold.parts, answer.parts, formulas, depth)


def _same_relations(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    intervals = [_interval(value) for value in (gold, answer)]
    if intervals[0] and intervals[1]:
        return _variable(gold) == _variable(answer) and _same(intervals[0], intervals[1], formulas, depth)
    if gold.mark == answer.mark and len(gold.parts) == 2:
        return _same_by_difference(gold, answer, formulas, depth)
    for other in (answer, _reversed(answer)):
        if other.mark == gold.mark:
            return _ordered(gold.parts, other.parts, formulas, depth)
        if gold.mark == _reversed(answer).mark and len(gold.parts) == 2:
            return _same_by_difference(gold, _reversed(answer), formulas, depth)
    return False


def _same_by_difference(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """Equations: one is the other moved or scaled by a non-zero constant; inequalities: by a positive one."""
    if gold.mark == "=" and _is_function_name(gold.parts[0].text, answer.parts[0].text):
        return _same(gold.parts[1], answer.parts[1], formulas, depth)
    if any(part.kind != "formula" for part in gold.parts + answer.parts):
        return some(
            _ordered(gold.parts, parts, formulas, depth)
            for parts in ((answer.parts, answer.parts[::-1]) if gold.mark == "=" else (answer.parts,))
        )
    if gold.mark == "\\approx":
        return _ordered(gold.parts, answer.parts, formulas, depth)
    left, right = (f"({value.parts[0].text})-({value.parts[1].text})" for value in (gold, answer))
    return formulas(left, right, "proportional" if gold.mark in ("=", "\\neq") else "positive")


def _is_function_name(left: str, right: str) -> bool:
    """Whether `y = ...` and `f(x) = ...` name a function, so that only the right-hand sides count."""
    return _is_name(left) and _is_name(right) and ("(" in left or "(" in right) and "y" in (left[0], right[0], *"y")


def _reversed(value: Value) -> Value:
    signs = [_FLIPPED.get(sign, sign) for sign in reversed(value.mark.split())]
    return replace(value, parts=value.parts[::-1], mark=" ".join(signs))


def _variable(value: Value) -> str:
    return next((part.text for part in value.parts if _is_name(part.text)), "")


def _interval(value: Value) -> Value | None:
    """`x > 5` and `0 < x <= 1` as intervals; None for any other relation."""
    signs = value.mark.split()
    if not all(sign in _FLIPPED for sign in signs):
        return None
    if signs[0] in (">", "\\geq"):
        value = _reversed(value)
        signs = value.mark.split()
    ends = value.parts
    if not all(sign in ("<", "\\leq") for sign in signs):
        return None
    low, high = Value("formula", r"-\infty"), Value("formula", r"\infty")
    if len(ends) == 3 and _is_name(ends[1].text):
        brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
        return Value("sequence", "", (ends[0], ends[2]), brackets)
    if len(ends) == 2 and _is_name(ends[0].text):
        return Value("sequence", "", (low, ends[1]), "(" + (")" if signs[0] == "<" else "]"))
    if len(ends) == 2 and _is_name(ends[1].text):
        return Value("sequence", "", (ends[0], high), ("(" if signs[0] == "<" else "[") + ")")
    return None


def _as_intervals(value: Value) -> list[Value] | None:
    """The intervals of a union, of one interval, of inequalities joined by "or", or of `x != a`."""
    if value.kind in ("union", "list"):
        pieces = [_as_intervals(part) for part in value.parts]
        return [part for piece in pieces if piece for part in piece] if all(pieces) else None
    if value.kind == "relation" and value.mark == "\\neq" and _is_name(value.parts[0].text):
        point = value.parts[1]
        low, high = Value("formula", r"-\infty"), Value("formula", r"\infty")
        return [Value("sequence", "", (low, point), "()"), Value("sequence", "", (point, high), "()")]
    if value.kind == "relation":
        interval = _interval(value)
        return [interval] if interval else None
    if value.kind == "set":
        return [Value("set", "", (part,)) for part in value.parts] or None
    return [value] if value.kind == "sequence" and len(value.parts) == 2 else None


def _same_ranges(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    left, right = _as_intervals(gold), _as_intervals(answer)
    return _unordered(left, right, formulas, depth) if left and right else False


def _same_ratios(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    clocks = [_clock(value.text) for value in (gold, answer)]
    if clocks[0] and clocks[1]:
        halves = {clock[1] for clock in clocks if clock} - {""}
        return clocks[0][0] == clocks[1][0] and len(halves) < 2
    if len(gold.parts) != len(answer.parts):
        return False
    quotients = [
        [f"({first.text})/({second.text})" for first, second in pairwise(value.parts)] for value in (gold, answer)
    ]
    return every(formulas(left, right, "equal") for left, right in zip(*quotients, strict=True))


def _clock(text: str) -> tuple[list[int], str] | None:
    """Hours, minutes and seconds of a clock time, and `a` or `p` where the half of the day is given."""
    found = _CLOCK.fullmatch(text)
    return ([int(part or 0) for part in found.groups()[:3]], (found[4] or "").lower()) if found else None


def _same_bases(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.text == answer.text


_Comparer = Callable[[Value, Value, Formulas, int], bool | None]
_COMPARERS: dict[frozenset[str], _Comparer] = {
    frozenset(["list"]): _same_collections,
    frozenset(["set"]): _same_collections,
    frozenset(["list", "set"]): _same_collections,
    frozenset(["sequence"]): _same_sequences,
    frozenset(["sequence", "list"]): _list_and_sequence,
    frozenset(["formula", "list"]): _one_and_many,
    frozenset(["formula", "set"]): _one_and_many,
    frozenset(["relation", "set"]): _one_and_many,
    frozenset(["relation", "list"]): _one_and_many,
    frozenset(["matrix"]): _same_matrices,
    frozenset(["matrix", "sequence"]): _matrix_and_sequence,
    frozenset(["relation"]): _same_relations,
    frozenset(["relation", "sequence"]): _same_ranges,
    frozenset(["relation", "union"]): _same_ranges,
    frozenset(["list", "union"]): _same_ranges,
    frozenset(["union"]): _same_ranges,
    frozenset(["ratio"]): _same_ratios,
    frozenset(["base"]): _same_bases,
}


def _same_choice(gold: str, answer: str) -> bool:
    """`A`, `(A)`, `A.` and `A. text` are choice A."""
    letters = [_choice_letter(text) for text in (gold, answer)]
    lone = [_CHOICE.fullmatch(text) is not None for text in (gold, answer)]
    return letters[0] is not None and letters[0] == letters[1] and any(lone)


def _choice_letter(text: str) -> str | None:
    found = _CHOICE.fullmatch(text) or _CHOICE_WITH_TEXT.fullmatch(text)
    return next(group for group in found.groups() if group).upper() if found else None


def _same_words(gold: str, answer: str) -> bool:
    """Words are compared without case, articles and full stops; texts without any word are not compared here."""
    if not re.search(r"[A-Za-z]{2}", gold) or "\\" in gold or re.search(r"[=+*/^_<>]", gold):
        return False
    return _words(gold) == _words(answer)


def _words(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().rstrip(".")).split())
