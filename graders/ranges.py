r"""Sets of real numbers: intervals, conditions on one variable, and what "and", "or" and `\cup` make of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cmp_to_key

from graders.logic import Formulas
from graders.names import is_variable
from graders.numeric import parse_number
from graders.value import REALS, Value

# Which of two ends is the smaller one: -1, 0 or 1; None where that cannot be said.
Order = Callable[[Value, Value], int | None]

MAX_SPANS = 60  # of one set; merging them asks for the order of every two ends
_FLIPPED = {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}
_TURNED = _FLIPPED | {
    "\\subset": "\\supset",
    "\\supset": "\\subset",
    "\\subseteq": "\\supseteq",
    "\\supseteq": "\\subseteq",
}
_USUAL_VARIABLES = frozenset("xyztuvwnmk")  # of two names the one that has the range; else the one on the left
_ABSOLUTE = re.compile(r"\|([^|]+)\|")
_SHIFTED = re.compile(r"(\\?[A-Za-z]+(?:_\w)?)([-+][^-+|]+)?")
LOW, HIGH = REALS.parts


class Unordered(Exception):
    """Raised when the order of two ends is unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers between two ends. Each end is included or not. Equal ends make a point."""

    low: Value
    has_low: bool
    high: Value
    has_high: bool


def reverse(value: Value) -> Value:
    """A relation read from right to left."""
    signs = [_TURNED.get(sign, sign) for sign in reversed(value.mark.split())]
    return replace(value, parts=value.parts[::-1], mark=" ".join(signs))


def is_condition(value: Value) -> bool:
    """Whether a value bounds a variable, or joins such conditions."""
    if value.kind == "relation":
        return any(sign in _FLIPPED or sign == "\\neq" for sign in value.mark.split())
    return value.kind == "union" or (value.kind == "list" and any(map(is_condition, value.parts)))


def range_variables(value: Value) -> frozenset[str]:
    """The name that a condition is about: x in `x > a` and `1 < x < a`; none for intervals."""
    if value.kind == "relation":
        parts = value.parts[1:2] if len(value.parts) == 3 else value.parts
        names = [name for part in parts if is_variable(name := _absolute_name(part) or part.text)]
        usual = [name for name in names if name[0] in _USUAL_VARIABLES]
        return frozenset((usual or names)[:1])
    found = [range_variables(part) for part in value.parts if part.kind != "formula"]
    found = [names for names in found if names]
    return frozenset.intersection(*found) if found and value.kind in ("list", "union") else frozenset()


def _absolute_name(part: Value) -> str:
    r"""The variable of `|x|` and `|x-3|`."""
    found = _ABSOLUTE.fullmatch(part.text)
    shifted = _SHIFTED.fullmatch(found[1]) if found else None
    return shifted[1] if shifted and is_variable(shifted[1]) else ""


def build_spans(value: Value, name: str, order: Order) -> list[Span] | None:
    """The spans of a set of real numbers, disjoint, merged and in order; None for anything else.

    `name` is the variable of conditions. Raises Unordered where the order of two ends is not known, as of `a` and `b`.
    """
    spans = _spans(value, name, order)
    return None if spans is None or len(spans) > MAX_SPANS else _merged(spans, order)


def build_unordered_spans(value: Value, name: str) -> list[Span] | None:
    """The spans of a union as they are written, for ends without an order; None where more than a union is asked for."""

    def unknown(left: Value, right: Value) -> int | None:
        raise Unordered

    try:
        return _spans(value, name, unknown)
    except Unordered:
        return None


def _spans(value: Value, name: str, order: Order) -> list[Span] | None:
    if value.kind == "relation":
        return _of_relation(value, name)
    if value.kind == "sequence" and len(value.parts) == 2 and value.mark != "if":
        closed = [bracket in "[]" for bracket in value.mark]
        return [Span(value.parts[0], closed[0], value.parts[1], closed[1])]
    if value.kind == "set":
        points = [Span(part, True, part, True) for part in value.parts if part.kind == "formula"]
        return points if len(points) == len(value.parts) else None
    if value.kind not in ("union", "list") or value.mark == "signs" or not 1 < len(value.parts) <= MAX_SPANS:
        return None
    value = _spell_exceptions(value)
    relations = [part.kind == "relation" for part in value.parts]
    if value.mark in (",", ";") and any(relations) and not all(relations):
        return None  # `x = [0,1], y = 7` is no set of numbers
    pieces = [_spans(part, name, order) for part in value.parts]
    known = [piece for piece in pieces if piece is not None]
    return _joined(value, known, order) if len(known) == len(pieces) else None


def _spell_exceptions(value: Value) -> Value:
    r"""`x \neq -1, 4` as `x \neq -1, x \neq 4`."""
    if value.kind != "list":
        return value
    parts: list[Value] = []
    for part in value.parts:
        before = parts[-1] if parts else None
        if part.kind == "formula" and before is not None and before.mark == "\\neq":
            part = replace(before, text="", parts=(before.parts[0], part))
        parts.append(part)
    return replace(value, parts=tuple(parts))


def _joined(value: Value, pieces: list[list[Span]], order: Order) -> list[Span]:
    r"""The spans of joined conditions.

    "and" and `\cap` intersect, `\setminus` takes away, "or" and `\cup` unite. A comma means "and", or "or" if the
    intersection is empty.
    """
    united = [span for piece in pieces for span in piece]
    if value.mark in ("and", "\\cap") or (value.mark in (",", ";") and all(p.kind == "relation" for p in value.parts)):
        try:
            common = pieces[0]
            for piece in pieces[1:]:
                common = _intersected(common, piece, order)
        except Unordered:
            if value.mark in ("and", "\\cap"):
                raise
            return united
        excluded = any(part.mark == "\\neq" for part in value.parts)
        return common or ([] if value.mark in ("and", "\\cap") or excluded else united)
    if value.mark == "\\setminus":
        rest = pieces[0]
        for piece in pieces[1:]:
            rest = _intersected(rest, _complement(_merged(piece, order)), order)
        return rest
    return united


def _of_relation(value: Value, name: str) -> list[Span] | None:
    """`x > 5`, `0 < x <= 1`, `|x-1| < 3`, `x \\neq 2` and `x = 2` as spans of the variable; None for any other relation."""
    signs = value.mark.split()
    if signs in (["="], ["\\neq"]):
        left, right = value.parts
        point = right if left.text == name else left if right.text == name else None
        points = point.parts if point and point.mark == "signs" else (point,) if point else ()
        if not points or any(each.kind != "formula" for each in points):
            return None
        spans = [Span(each, True, each, True) for each in points]
        return spans if signs == ["="] else _complement(spans[::-1] if len(spans) > 1 else spans)
    if not all(sign in _FLIPPED for sign in signs):
        return None
    if signs[0] in (">", "\\geq"):
        value, signs = reverse(value), reverse(value).mark.split()
    if not all(sign in ("<", "\\leq") for sign in signs):
        return None
    return _between(value.parts, [sign == "\\leq" for sign in signs], name)


def _between(ends: tuple[Value, ...], closed: list[bool], name: str) -> list[Span] | None:
    middle = next((at for at, end in enumerate(ends) if name in (end.text, _absolute_name(end))), None)
    if middle is None or len(ends) > 3 or (len(ends) == 3 and middle != 1):
        return None
    low, has_low = (ends[middle - 1], closed[middle - 1]) if middle > 0 else (LOW, False)
    high, has_high = (ends[middle + 1], closed[middle]) if middle + 1 < len(ends) else (HIGH, False)
    span = Span(low, has_low, high, has_high)
    return [span] if ends[middle].text == name else _expand_absolute(span, ends[middle])


def _expand_absolute(span: Span, absolute: Value) -> list[Span]:
    """The spans of a variable whose (shifted) absolute value lies in a span."""
    found = _ABSOLUTE.fullmatch(absolute.text)
    shifted = _SHIFTED.fullmatch(found[1]) if found else None
    shift = (shifted[2] or "") if shifted else ""

    def moved(end: Value, sign: str) -> Value:
        if end is HIGH:
            return HIGH if sign == "+" else LOW
        text = f"{sign}({end.text})" if sign == "-" else end.text
        return replace(end, text=f"{text}-({shift.lstrip('+')})" if shift else text)

    above = Span(moved(span.low, "+"), span.has_low, moved(span.high, "+"), span.has_high)
    below = Span(moved(span.high, "-"), span.has_high, moved(span.low, "-"), span.has_low)
    if span.low is LOW:
        return [Span(below.low, below.has_low, above.high, above.has_high)]
    return [below, above]


def _compare(left: Value, right: Value, order: Order) -> int:
    if left is right or left.text == right.text:
        return 0
    found = order(left, right)
    if found is None:
        raise Unordered
    return found


def _merged(spans: list[Span], order: Order) -> list[Span]:
    """The same numbers as maximal spans in order: those that overlap or touch are one."""

    def by_low(left: Span, right: Span) -> int:
        return _compare(left.low, right.low, order) or right.has_low - left.has_low

    found: list[Span] = []
    for span in sorted(filter(lambda span: not _is_empty(span, order), spans), key=cmp_to_key(by_low)):
        last = found[-1] if found else None
        gap = _compare(last.high, span.low, order) if last else -1
        if last is None or gap < 0 or (gap == 0 and not (last.has_high or span.has_low)):
            found.append(span)
            continue
        longer = _compare(last.high, span.high, order)
        if longer < 0 or (longer == 0 and span.has_high):
            found[-1] = replace(last, high=span.high, has_high=span.has_high)
    return found


def _is_empty(span: Span, order: Order) -> bool:
    if span.low is span.high:
        return not (span.has_low and span.has_high)
    if span.low is LOW or span.high is HIGH:
        return False
    found = _compare(span.low, span.high, order)
    return found > 0 or (found == 0 and not (span.has_low and span.has_high))


def _intersected(left: list[Span], right: list[Span], order: Order) -> list[Span]:
    both = [_common(one, other, order) for one in left for other in right]
    return [span for span in both if not _is_empty(span, order)]


def _common(one: Span, other: Span, order: Order) -> Span:
    low = _compare(one.low, other.low, order)
    high = _compare(one.high, other.high, order)
    lower = one if low > 0 else other
    upper = one if high < 0 else other
    has_low = lower.has_low if low else one.has_low and other.has_low
    has_high = upper.has_high if high else one.has_high and other.has_high
    return Span(lower.low, has_low, upper.high, has_high)


def _complement(spans: list[Span]) -> list[Span]:
    """All real numbers but those of merged spans."""
    found, low, has_low = [], LOW, False
    for span in spans:
        if span.low is not LOW:
            found.append(Span(low, has_low, span.low, not span.has_low))
        low, has_low = span.high, not span.has_high
    return found if low is HIGH else [*found, Span(low, has_low, HIGH, False)]


def as_values(spans: list[Span]) -> list[Value]:
    """Spans as intervals without a text, part by part; a point as a set."""
    return [
        Value("set", "", (span.low,)) if span.low.text == span.high.text
        else Value("sequence", "", (span.low, span.high), "(["[span.has_low] + ")]"[span.has_high])
        for span in spans
    ]  # fmt: skip


def order_of_ends(left: Value, right: Value, formulas: Formulas) -> int | None:
    """-1, 0 or 1 as one end is smaller than, equal to or larger than another; None if they are no real numbers."""
    low, high = (_infinite(value.text) for value in (left, right))
    if low or high:
        return (low > high) - (low < high)
    numbers: list[Fraction | None] = [parse_number(value.text) for value in (left, right)]
    if numbers[0] is not None and numbers[1] is not None:
        return (numbers[0] > numbers[1]) - (numbers[0] < numbers[1])
    if left.kind != "formula" or right.kind != "formula":
        return None
    less = formulas(left.text, right.text, "less")
    if less is None:
        return 0 if formulas(left.text, right.text, "equal") else None
    return -1 if less else 1


def _infinite(text: str) -> int:
    return {r"\infty": 1, r"+\infty": 1, r"-\infty": -1}.get(text.replace(" ", ""), 0)
