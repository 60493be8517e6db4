r"""Ranges of one variable: inequalities, intervals and unions, brought to lists of intervals."""

import re
from dataclasses import replace

from graders.structure import Value, is_name

_FLIPPED = {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}
_MIRRORED = {"(": ")", ")": "(", "[": "]", "]": "["}
_ABSOLUTE = re.compile(r"\|([^|]*)\|")
_LOW, _HIGH = Value("formula", r"-\infty"), Value("formula", r"\infty")


def reverse(value: Value) -> Value:
    """A relation read from right to left."""
    signs = [_FLIPPED.get(sign, sign) for sign in reversed(value.mark.split())]
    return replace(value, parts=value.parts[::-1], mark=" ".join(signs))


def variable(value: Value) -> str:
    """The name that a relation is about; empty if it has none."""
    parts = value.parts[1:2] if len(value.parts) == 3 else value.parts
    return next(filter(is_name, (_ABSOLUTE.sub(r"\1", part.text) for part in parts)), "")


def variables(value: Value) -> frozenset[str]:
    """The names that the relations in a value are about."""
    if value.kind == "relation":
        return frozenset(filter(None, [variable(value)]))
    return frozenset(name for part in value.parts for name in variables(part))


def interval(value: Value) -> Value | None:
    """`x > 5` and `0 < x <= 1` as intervals; None for any other relation."""
    signs = value.mark.split()
    if not all(sign in _FLIPPED for sign in signs):
        return None
    if signs[0] in (">", "\\geq"):
        value = reverse(value)
        signs = value.mark.split()
    ends = value.parts
    if not all(sign in ("<", "\\leq") for sign in signs):
        return None
    if len(ends) == 3 and is_name(ends[1].text):
        brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
        return Value("sequence", "", (ends[0], ends[2]), brackets)
    if len(ends) == 2 and is_name(ends[0].text):
        return Value("sequence", "", (_LOW, ends[1]), "(" + (")" if signs[0] == "<" else "]"))
    if len(ends) == 2 and is_name(ends[1].text):
        return Value("sequence", "", (ends[0], _HIGH), ("(" if signs[0] == "<" else "[") + ")")
    return None


def as_intervals(value: Value) -> list[Value] | None:
    """The intervals of a union, of one interval, of inequalities joined by "or", of `|x| > a` or of `x != a`."""
    if value.kind in ("union", "list"):
        pieces = [as_intervals(part) for part in value.parts]
        return [part for piece in pieces if piece for part in piece] if all(pieces) else None
    if value.kind == "relation" and value.mark == "\\neq" and is_name(value.parts[0].text):
        point = value.parts[1]
        return [Value("sequence", "", (_LOW, point), "()"), Value("sequence", "", (point, _HIGH), "()")]
    if is_absolute(value):
        return _two_sided(value)
    if value.kind == "relation":
        found = interval(value)
        return [found] if found else None
    if value.kind == "set":
        return [Value("set", "", (part,)) for part in value.parts] or None
    return [value] if value.kind == "sequence" and len(value.parts) == 2 else None


def is_absolute(value: Value) -> bool:
    """Whether a relation is about the absolute value of one variable, as `|x| < 3` and `1 <= |z| <= 2` are."""
    names = (_ABSOLUTE.fullmatch(part.text) for part in value.parts)
    return value.kind == "relation" and any(name and is_name(name[1]) for name in names)


def _two_sided(value: Value) -> list[Value] | None:
    """The intervals of a real variable whose absolute value a relation bounds."""
    plain = replace(value, parts=tuple(replace(p, text=_ABSOLUTE.sub(r"\1", p.text)) for p in value.parts))
    above = interval(plain)
    if above is None:
        return None
    (low, high), (left, right) = above.parts, tuple(above.mark)
    if low is _LOW:
        return [Value("sequence", "", (_minus(high), high), _MIRRORED[right] + right)]
    return [Value("sequence", "", (_minus(high), _minus(low)), _MIRRORED[right] + _MIRRORED[left]), above]


def _minus(end: Value) -> Value:
    return _LOW if end is _HIGH else replace(end, text=f"-({end.text})")
