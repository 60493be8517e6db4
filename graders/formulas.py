r"""Two formulas with their units: percent and degrees, quantities in unlike units, rounded decimals, words."""

import re
from dataclasses import replace
from fractions import Fraction

from graders.logic import Formulas, some
from graders.numeric import decimal_places, parse_number, same_number
from graders.quantities import letter_unit
from graders.units import conversion, same_unit, units_differ
from graders.value import Value
from graders.words import is_prose, same_words

# A gold decimal stands for an irrational answer that rounds to it from this many decimals on: `3.14` is not pi.
MIN_ROUNDED_PLACES = 3
_ANGLES = frozenset(["degree", "radian"])


def same_formula(gold: Value, answer: Value, formulas: Formulas) -> bool | None:
    """Whether two plain formulas are equal, including their units."""
    if same_words(gold.text, answer.text):
        return same_unit(gold.unit, answer.unit)
    if _is_word(gold.text) and _is_word(answer.text):
        return gold.text == answer.text  # not a product of letters, whose order would not matter
    gold, answer = _in_one_unit(gold), _in_one_unit(answer)
    if ("\\vec" in gold.text) != ("\\vec" in answer.text):  # an arrow on one side only is decoration
        plain = [re.sub(r"\\vec\{([A-Z]+)\}", r"\1", value.text) for value in (gold, answer)]
        if all(name in text for text in plain for name in re.findall(r"\\vec\{([A-Z]+)\}", gold.text + answer.text)):
            gold, answer = replace(gold, text=plain[0]), replace(answer, text=plain[1])
    if any(_UNIT_THEN_NUMBER.search(value.text) and not value.unit for value in (gold, answer)):
        return False  # `6 min + 1` is no quantity
    if units_differ(gold.text, answer.text):
        return False
    if "\\infty" in gold.text or "\\infty" in answer.text:
        return gold.text.lstrip("+") == answer.text.lstrip("+")
    gold, answer = _with_letter_unit(gold, answer), _with_letter_unit(answer, gold)
    if {gold.unit, answer.unit} & _ANGLES:
        return _same_angles(gold, answer, formulas)
    factor = conversion(gold.unit, answer.unit)
    if "percent" in (gold.unit, answer.unit) and gold.unit != answer.unit:
        return _same_percentage(gold, answer, formulas)
    if factor is None:
        return False
    return _same_value(_scaled(gold.text, factor), answer.text, formulas)


def _scaled(text: str, factor: Fraction) -> str:
    return text if factor == 1 else f"({text})*{factor.numerator}/{factor.denominator}"


def _is_word(text: str) -> bool:
    return text.isalpha() and text.isascii() and (is_prose(text) or (text.isupper() and len(text) > 2))


_UNIT_THEN_NUMBER = re.compile(r"\\unit\{(?!degree)[^{}]*\}[+-]")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\\unit\{([^{}]+)\} ?(?:and ?)?")
_LAST_PIECE = re.compile(r"\d+(?:\.\d+)?")


def _in_one_unit(value: Value) -> Value:
    """`2 h 30 min` in hours, where all parts measure the same; any other value as it is."""
    if "\\unit" not in value.text or not value.unit:
        return value
    pieces = _PIECE.findall(value.text)
    rest = _PIECE.sub("", value.text)
    if not pieces or not _LAST_PIECE.fullmatch(rest):
        return value
    first = pieces[0][1]
    factors = [(number, conversion(unit, first)) for number, unit in [*pieces, (rest, value.unit)]]
    if any(factor is None for _, factor in factors):
        return value
    total = sum((Fraction(number) * factor for number, factor in factors if factor is not None), Fraction(0))
    return Value("formula", str(total), unit=first)


def _with_letter_unit(value: Value, other: Value) -> Value:
    """`40m` as 40 metres, if the other answer is a number of metres, or a bare number and so large that m is no name."""
    found = None if value.unit else letter_unit(value.text)
    if found is None:
        return value
    number, unit, likely = found
    bare = not other.unit and unit[0] not in other.text and any(map(str.isdigit, other.text))
    if (other.unit and conversion(unit, other.unit) is not None) or (likely and bare):
        return Value("formula", number, unit=unit)
    return value


def _same_angles(gold: Value, answer: Value, formulas: Formulas) -> bool | None:
    r"""Degrees and radians. A bare number is one of degrees too; what holds `\pi` is radians unless it says degrees."""
    units = gold.unit, answer.unit
    if units[0] == units[1]:
        return _same_value(gold.text, answer.text, formulas)
    if not {*units} <= {"", *_ANGLES}:
        return False
    plain = "" in units and not any("\\pi" in value.text for value in (gold, answer))
    if plain or "degree" not in units:
        return _same_value(gold.text, answer.text, formulas)
    left, right = (f"({v.text})*\\pi/180" if v.unit == "degree" else v.text for v in (gold, answer))
    return formulas(left, right, "equal")


def _same_percentage(gold: Value, answer: Value, formulas: Formulas) -> bool | None:
    """A percentage stands for its hundredth too: 50% is 0.5. A bare 50 is not read as 50%."""
    if gold.unit and answer.unit:
        return False
    equal = _same_value(gold.text, answer.text, formulas)
    if equal:
        return equal
    scaled = (f"({gold.text})/100", answer.text) if gold.unit else (gold.text, f"({answer.text})/100")
    return some([equal, _same_value(*scaled, formulas)])


def _same_value(gold: str, answer: str, formulas: Formulas) -> bool | None:
    decided = same_number(gold, answer)
    if decided is not None:
        return decided
    equal = formulas(gold, answer, "equal")
    if equal or parse_number(answer) is not None or decimal_places(gold) < MIN_ROUNDED_PLACES:
        return equal
    return formulas(gold, answer, "rounds")
