r"""Answers that are more than one formula, read into parts.

`read` turns a normalized text into a Value: a set, a tuple or interval, a union, a matrix, a relation, a ratio, a
numeral in a base, or a plain formula. `compare` compares the parts.
"""

import re
from dataclasses import replace
from itertools import product

from graders.names import is_name, is_phrase
from graders.tables import MATRIX, read_cells, read_matrix, read_rows
from graders.value import MAX_DEPTH, MAX_PARTS, REALS, Marks, Value, encloses, split_at, top_level

_ORDERS = frozenset(["<", ">", "\\leq", "\\geq", "\\neq"])
_RELATIONS = _ORDERS | {
    "=", "\\approx", "\\equiv", "\\sim", "\\parallel", "\\perp", "\\cong", "\\subset", "\\supset", "\\subseteq", "\\supseteq",
}  # fmt: skip
_UNIONS = ("\\cup", "U"), ("\\cap",), ("\\setminus",)
_UNIT = re.compile(r"\\unit\{([^{}]*+)\}\s*+")
_ENDS_IN_ANGLE = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?:\^\d|\^\{[^{}]*\})? ?[^-+*/(){}=<>,]*$")
_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?_(?:\{(\d+)\}|(\d))")
_HALVES = re.compile(r"\\mathbb\{R\}(?:\^\{?([+-])\}?|_(?:\{|(?=[+-]))(>0|\+|<0|-|\\geq ?0|\\leq ?0)\}?)")
_ALL_REALS = frozenset(
    [r"\mathbb{R}", r"\{\mathbb{R}\}", "all real numbers", "all reals", "real numbers", "all real", "the real numbers",
     "the set of all real numbers", r"\{all real numbers\}", "any real number", "the set of real numbers"]
)  # fmt: skip
_EMPTY = frozenset(
    ["\\emptyset", "\\{\\}", "emptyset", "nosolution", "nosolutions", "norealsolution", "norealsolutions", "emptyset",
     "theemptyset", "nosuchsolution", "nosolutionexists", "nosolutionsexist", "therearenosolutions", "nosuchsolutions",
     "thereisnosolution", "norealroots", "norealnumbersolutions", "hasnosolution", "none", "{}"]
)  # fmt: skip


def read(text: str, depth: int = MAX_DEPTH) -> Value:
    """The structure of a normalized text. What has none, or is over a limit, is a formula."""
    text = text.strip()
    if depth == 0:
        return Value("formula", text)
    text = _in_one_notation(text)
    marks = top_level(text)
    for reader in (_read_twice, _read_list, _read_union, _read_member, _read_relation, _read_ratio):
        value = reader(text, marks, depth)
        if value is not None:
            return value
    text, unit = _split_unit(text)
    for whole in (_read_tabular, _read_bracketed, _read_factored, _read_signs, _read_base):
        value = whole(text, depth)
        if value is not None:
            return replace(value, unit=unit)
    return Value("formula", text, unit=unit)


_TURNED = re.compile(r"([\[\]])([^\[\](),]+,[^\[\](),]+)([\[\]])")


_ALL_BUT = re.compile(
    r"(?:all |any )?real(?: number)?s? ?(?:except|other than)(?: for)? ?(?:[a-z]=)?([^=<>]{1,60})", re.IGNORECASE
)


def _in_one_notation(text: str) -> str:
    r"""`\mathbb{R}-\{1\}`, `]0,1[`, and `x>1 \land x<3` as the readers below know them."""
    if text.startswith("\\mathbb{R}-\\{"):
        return text.replace("-", "\\setminus ", 1)
    but = _ALL_BUT.fullmatch(text)
    if but:
        return rf"\mathbb{{R}}\setminus\{{{but[1]}\}}"
    turned = _TURNED.fullmatch(text) if text[:1] in ("[", "]") else None
    if turned and (turned[1] == "]" or turned[3] == "["):
        return ("(" if turned[1] == "]" else "[") + turned[2] + (")" if turned[3] == "[" else "]")
    if "\\l" in text and re.search(r"[=<>]|\\[lg]eq|\\neq", text):
        text = re.sub(r"\\land(?![A-Za-z])", " and ", re.sub(r"\\lor(?![A-Za-z])", " or ", text))
    if "\\neq" in text:
        text = re.sub(r",? ?(?<![A-Za-z])but(?= )", " and", text)
    return text


def _split_unit(text: str) -> tuple[str, str]:
    """A text without the unit it ends in, and that unit."""
    units, begin, end = list[str](), 0, -1
    for found in _UNIT.finditer(text):
        if found.start() != end:
            units, begin = [], found.start()
        units.append(found[1])
        end = found.end()
    if end != len(text):
        return text, ""
    rest = text[:begin].rstrip()
    unit = " ".join(dict.fromkeys(units))
    unit = {"degree celsius": "celsius", "degree fahrenheit": "fahrenheit"}.get(unit, unit)
    if unit == "degree" and _ENDS_IN_ANGLE.search(rest[-200:]):
        return text, ""  # the degrees are those of the angle, not of the whole
    return rest, unit


def _read_list(text: str, marks: Marks, depth: int) -> Value | None:
    signs = {sign for _, _, sign in marks}
    if not signs & {";", ",", "and", "or", "\\\\"}:
        return None
    if signs & {"and", "or"}:
        text = re.sub(r",\s*(and|or)(?![A-Za-z])", r" \1", text)  # the comma before the last "and"
        marks = top_level(text)
        signs = {sign for _, _, sign in marks}
    separators = _separators(text, marks, signs)
    pieces = split_at(text, marks, separators)
    if len(pieces) > MAX_PARTS or not all(pieces):
        return Value("formula", text)
    mark = "and" if "and" in separators and signs & _ORDERS else separators[-1]
    return Value("list", text, _read_all(pieces, depth), mark)


def _separators(text: str, marks: Marks, signs: set[str]) -> list[str]:
    """The signs at which a list is cut: "or" first where the pieces are conditions or lists of values themselves."""
    if signs & {";", "\\\\"}:
        return [";" if ";" in signs else "\\\\"]
    if "or" in signs and signs & _RELATIONS:
        nested = all("," in piece or "and" in piece for piece in split_at(text, marks, ["or"]))
        if ("and" in signs and signs & _ORDERS) or nested:
            return ["or"]
    return [sign for sign in (",", "and", "or") if sign in signs]


def _read_all(pieces: list[str], depth: int) -> tuple[Value, ...]:
    """Parts of a list; a part with a double sign stands for both values."""
    parts: list[Value] = []
    for piece in pieces:
        value = read(piece, depth - 1)
        parts.extend(value.parts if value.mark == "signs" else [value])
    return tuple(parts)


def _read_union(text: str, marks: Marks, depth: int) -> Value | None:
    """Unions bind weaker than intersections, those weaker than differences; `U` is a union after a closed bracket."""
    for signs in _UNIONS:
        between = [
            (a, b, s)
            for a, b, s in marks
            if s in signs and (s != "U" or text[max(0, a - 2) : a].rstrip()[-1:] in (")", "]"))
        ]
        if not between:
            continue
        pieces = split_at(text, between, signs)
        left = split_at(pieces[0], top_level(pieces[0]), ["\\in", "="])
        if len(left) == 2 and is_name(left[0]):
            pieces[0] = left[1]
        if not all(pieces) or len(pieces) > MAX_PARTS:
            return Value("formula", text)
        return Value("union", text, tuple(read(piece, depth - 1) for piece in pieces), signs[0])
    return None


def _read_member(text: str, marks: Marks, depth: int) -> Value | None:
    for sign in ("\\in", "\\notin"):
        pieces = split_at(text, marks, [sign])
        if len(pieces) == 2 and is_name(pieces[0]) and pieces[1]:
            value = read(pieces[1], depth - 1)
            return value if sign == "\\in" else Value("union", text, (REALS, value), "\\setminus")
    return None


def _read_relation(text: str, marks: Marks, depth: int) -> Value | None:
    signs = [sign for _, _, sign in marks if sign in _RELATIONS]
    if not signs:
        return None
    if "\\pmod" not in text:
        signs = ["=" if sign == "\\equiv" else sign for sign in signs]
    pieces = split_at(text, marks, _RELATIONS)
    if not all(pieces) or len(pieces) > MAX_PARTS:
        return Value("formula", text)
    if signs == ["="] and "\\pm" in text and is_name(pieces[0]):
        return read(pieces[1], depth - 1)
    return Value("relation", text, tuple(read(piece, depth - 1) for piece in pieces), " ".join(signs))


def _read_twice(text: str, marks: Marks, depth: int) -> Value | None:
    """Words, a colon and an interval: the interval. A condition before the colon has to be the same set of numbers."""
    pieces = split_at(text, marks, [":"]) if any(sign == ":" for _, _, sign in marks) else []
    if len(pieces) != 2 or not pieces[1].startswith(("(", "[", "\\{", "\\mathbb{R}", "\\emptyset")):
        return None
    value = read(pieces[1], depth - 1)
    if value.kind not in ("sequence", "union", "set"):
        return None
    if re.search(r"[<>]|\\[lg]eq|\\neq", pieces[0]):
        return Value("list", text, (read(pieces[0], depth - 1), value), ":")
    said = _SAID.fullmatch(pieces[0])
    if said and (is_phrase(said[1].strip()) or read(pieces[0], depth - 1) == value):
        return value
    return None


_SAID = re.compile(r"(?:\\\{)?([A-Za-z ]++)\.?(?:\\\})?")
_SPOKEN_RATIO = re.compile(r"(\d+(?:\.\d+)?) ?to ?(\d+(?:\.\d+)?)")


def _read_ratio(text: str, marks: Marks, depth: int) -> Value | None:
    spoken = _SPOKEN_RATIO.fullmatch(text)
    pieces = [spoken[1], spoken[2]] if spoken else split_at(text, marks, [":"])
    if not 2 <= len(pieces) <= MAX_PARTS or not all(pieces):
        return None
    parts = tuple(read(piece, depth - 1) for piece in pieces)
    if len(parts) == 2 and is_phrase(pieces[0]):
        return replace(Value("relation", text, parts, "="))  # `Total: 10`
    return Value("ratio", text, parts)


_POINT = re.compile(r"[A-Z]'?(?:_\d)?\((?=[^()]*,)")  # `A(1,2)` is a point with its name


def _read_bracketed(text: str, depth: int) -> Value | None:
    plain = text.replace(" ", "").lower()
    if text in _ALL_REALS or text.lower() in _ALL_REALS:
        return replace(REALS, text=text)
    half = _HALVES.fullmatch(text)
    if half:
        return _half_line(half[1] or half[2])
    if plain in _EMPTY:
        return Value("set", "\\emptyset")
    if _POINT.match(text) and encloses(text[text.index("(") :]):
        label, place = text[: text.index("(")], text[text.index("(") :]
        return Value("relation", text, (Value("formula", label), read(place, depth - 1)), "=")
    braces = text.startswith("\\{") and text.endswith("\\}")
    width = 2 if braces else 1
    if len(text) < 2 * width or not (braces or (text[0] in "([{" and text[-1] in ")]}")) or not encloses(text):
        return None
    inner = text[width:-width].strip()
    if inner.startswith("\\begin{") and text[0] + text[-1] in ("()", "[]", "\\}", "{}") and MATRIX.fullmatch(inner):
        return read_cells(inner, depth, read)
    marks = top_level(inner)
    if braces or text[0] == "{":
        builder = not braces and re.search(r"[<>=]|\\[lgn]eq", inner) is not None
        return _read_set(inner, marks, depth, braces or builder)
    if not any(sign in (",", ";") for _, _, sign in marks):
        return read(inner, depth - 1) if text[0] == "(" and text[-1] == ")" else None
    pieces = split_at(inner, marks, [";"] if any(sign == ";" for _, _, sign in marks) else [","])
    if len(pieces) > MAX_PARTS or not all(pieces):
        return None
    parts = tuple(read(piece, depth - 1) for piece in pieces)
    return _expand_signs(Value("sequence", text, parts, text[0] + text[-1]))


def _half_line(sign: str) -> Value:
    r"""`\mathbb{R}^+` and the like as intervals."""
    zero, closed = Value("formula", "0"), "eq" in sign
    if sign.startswith(("+", ">", "\\g")):
        return Value("sequence", "", (zero, REALS.parts[1]), "[)" if closed else "()")
    return Value("sequence", "", (REALS.parts[0], zero), "(]" if closed else "()")


def _expand_signs(value: Value) -> Value:
    r"""`(\pm 1, 2)` as the list of its tuples; with `\mp` the signs go together, else each on its own."""
    doubled = [part.parts if part.mark == "signs" else (part,) for part in value.parts]
    if all(len(options) == 1 for options in doubled):
        return value
    if "\\mp" in value.text:
        choices = [tuple(options[min(at, len(options) - 1)] for options in doubled) for at in (0, 1)]
    elif sum(len(options) > 1 for options in doubled) > 4:
        return value
    else:
        choices = list(product(*doubled))
    return Value("list", value.text, tuple(replace(value, text="", parts=parts) for parts in choices), "signs")


_BUILDER = re.compile(
    r"((?:\\[a-z]+ ?|[A-Za-z])'*(?:_(?:\w|\{[^{}]{0,20}\}))?|\([a-z],[a-z]\))(?:\\in\\mathbb\{R\})?[|:]"
)


def parse_set_builder(text: str) -> tuple[str, str]:
    r"""The condition and the variable of `\{x | x>0\}`; for any other text, the text and ""."""
    inner = text[2:-2] if text.startswith("\\{") and text.endswith("\\}") else ""
    builder = _BUILDER.match(inner)
    if builder is None or not encloses(text):
        return text, ""
    names, rest = re.findall(r"\\?[A-Za-z]+", builder[1]), inner[builder.end() :]
    if not all(name in rest for name in names):
        return text, ""
    return rest, names[0] if len(names) == 1 else ""


def _read_set(inner: str, marks: Marks, depth: int, escaped: bool) -> Value | None:
    whole = f"\\{{{inner}\\}}"
    if escaped and (said := parse_set_builder(whole)[0]) != whole:
        return read(said, depth - 1)
    listed = any(sign in (",", ";", "and") for _, _, sign in marks)
    if not listed:
        value = read(inner, depth - 1)
        return value if not escaped or value.mark == "signs" else Value("set", whole, (value,))
    value = _read_list(inner, marks, depth) or Value("formula", inner)
    return Value("set", whole, value.parts) if value.kind == "list" else None


def _read_tabular(text: str, depth: int) -> Value | None:
    return read_rows(text, depth, read)


def _read_factored(text: str, depth: int) -> Value | None:
    return read_matrix(text, depth, read)


def _read_signs(text: str, depth: int) -> Value | None:
    r"""A formula with `\pm` is the set of its two readings; all signs of one formula go together."""
    if "\\pm" not in text and "\\mp" not in text:
        return None
    plus = re.sub(r"\\pm(?![A-Za-z]) ?", "+", re.sub(r"\\mp(?![A-Za-z]) ?", "-", text))
    minus = re.sub(r"\\pm(?![A-Za-z]) ?", "-", re.sub(r"\\mp(?![A-Za-z]) ?", "+", text))
    if plus == text:
        return None
    return Value("list", text, (read(plus.removeprefix("+"), depth - 1), read(minus, depth - 1)), "signs")


def _read_base(text: str, depth: int) -> Value | None:
    """A numeral in a base: its digits are digits of that base, and it begins with one or is all capitals."""
    found = _BASE.fullmatch(text)
    if found is None:
        return None
    digits, base = found[1], int((found[2] or found[3])[:4])
    named = not digits[0].isdigit() and (len(digits) < 2 or not digits.isupper())
    if named or not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in digits):
        return None
    if base == 10:
        return Value("formula", digits)
    return Value("base", f"{digits.lstrip('0').upper() or '0'}_{base}")
