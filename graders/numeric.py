r"""Exact rationals from any notation of a number. No floats: `0.1` is 1/10.

Input has gone through `normalize`, so unicode digits, thousands separators and `\dfrac` are already plain.
"""

import math
import re
from fractions import Fraction

MAX_DIGITS = 1_000  # digits of a number that becomes a Fraction; longer plain numbers are compared as strings
# How far a printed double may lie from the exact result of the program that printed it, in units of its last place. The
# golds of GSM-Hard that are such prints of short decimals or fractions lie at most 4 away.
DOUBLE_ULPS = 4
MIN_DOUBLE_DIGITS = 16  # a double holds 15 digits of any decimal; only noise, or a full expansion, needs more
MAX_EXPONENT = 2_000  # of a power of ten; `1e999999999` is refused, not computed

_DECIMAL = re.compile(r"([+-]*+)0*+(\d*+)(?:\.(\d*+))?")
_INTEGER = r"[+-]?\d+"
_FRACTION = re.compile(
    rf"([+-]?)(?:(\d+)(?: |(?=\\)))?(?:\\frac\{{({_INTEGER})\}}\{{({_INTEGER})\}}|({_INTEGER})/({_INTEGER}))"
)
_SCIENTIFIC = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)\*)?10\^(?:\{([+-]?\d+)\}|(\d))")
_DOTTED = re.compile(r"([+-]?\d*\.\d*)\\dot ?\{?(\d)\}?(\d*)\\dot ?\{?(\d)\}?")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)(?:\\overline\{(\d+)\}|\\(?:dot|bar)\{(\d+)\})")
_ELLIPSIS = re.compile(r"([+-]?\d*\.)(\d+)\\ldots")


def canonical_decimal(text: str) -> str | None:
    """A plain decimal without sign noise, leading and trailing zeros, e.g. `-12.5`; None if it is something else.

    Works on digit strings of any length in linear time.
    """
    found = _DECIMAL.fullmatch(text)
    if found is None or not (found[2] or found[3] or "0" in text):
        return None
    sign = "-" if found[1].count("-") % 2 else ""
    tail = (found[3] or "").rstrip("0")
    digits = (found[2] or "0") + ("." + tail if tail else "")
    return digits if digits == "0" else sign + digits


def parse_number(text: str) -> Fraction | None:
    r"""The exact value of a number literal; None if it is no literal or over the size limits.

    Reads decimals, `a/b`, `\frac{a}{b}`, mixed numbers, `5*10^{-1}`, `0.\overline{3}` and `0.333\ldots`.
    """
    if len(text) > MAX_DIGITS or not text:
        return None
    plain = canonical_decimal(text)
    if plain is not None:
        return Fraction(plain)
    while text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1]
    values = (read(text) for read in (_fraction, _scientific, _repeating))
    return next((value for value in values if value is not None), None)


def same_number(gold: str, answer: str) -> bool | None:
    """Whether two number literals are the same number; None if one is no literal. Plain decimals may have any length."""
    left, right = canonical_decimal(gold), canonical_decimal(answer)
    double = None if left is None else printed_double(left)
    if left is not None and right is not None and double is None:
        return left == right
    left_value, right_value = parse_number(gold), parse_number(answer)
    if left_value is None or right_value is None:
        return None if left is None or right is None else False
    if right is not None and len(right.lstrip("-").replace(".", "").lstrip("0")) >= MIN_DOUBLE_DIGITS:
        double = None  # two prints of doubles are equal digit by digit
    return left_value == right_value or (double is not None and is_near_double(double, right_value))


def decimal_places(text: str) -> int:
    """Number of digits after the point of a plain decimal literal, 0 for anything else."""
    found = _DECIMAL.fullmatch(text)
    return len(found[3] or "") if found else 0


def printed_double(text: str) -> float | None:
    """The double whose shortest print a canonical decimal is, where the print has more digits than a double holds.

    `0.30000000000000004` is what a program prints for 0.1 + 0.2: it stands for the exact number beside it.
    """
    digits = text.lstrip("-").replace(".", "").lstrip("0")
    if "." not in text or not MIN_DOUBLE_DIGITS <= len(digits) <= MIN_DOUBLE_DIGITS + 1:
        return None
    return float(text) if repr(float(text)) == text else None


def is_near_double(double: float, exact: Fraction) -> bool:
    """Whether an exact number lies within the noise of a few operations on doubles."""
    return abs(Fraction(double) - exact) <= DOUBLE_ULPS * Fraction(math.ulp(double))


def _fraction(text: str) -> Fraction | None:
    found = _FRACTION.fullmatch(text)
    if found is None:
        return None
    sign, whole, *parts = found.groups()
    above, below = (int(part) for part in parts if part is not None)
    if below == 0 or (whole and (above < 0 or below < 0)):
        return None
    value = Fraction(above, below) + int(whole or 0)
    return -value if sign == "-" else value


def _scientific(text: str) -> Fraction | None:
    found = _SCIENTIFIC.fullmatch(text)
    if found is None:
        return None
    exponent = int(found[2] or found[3])
    if abs(exponent) > MAX_EXPONENT:
        return None
    mantissa = Fraction(found[1][:-1]) if found[1] else Fraction(1)
    return mantissa * Fraction(10) ** exponent


def _repeating(text: str) -> Fraction | None:
    text = _DOTTED.sub(r"\1\\overline{\2\3\4}", text)
    found = _REPEATING.fullmatch(text) or _REPEATING.fullmatch(_with_overline(text))
    if found is None:
        return None
    fixed, block = found[3], found[4] or found[5]
    nines = (10 ** len(block) - 1) * 10 ** len(fixed)
    value = Fraction(int((found[2] or "0") + fixed), 10 ** len(fixed)) + Fraction(int(block), nines)
    return -value if found[1] == "-" else value


def _with_overline(text: str) -> str:
    r"""`0.1666\ldots` as `0.1\overline{6}`: the shortest block that ends the digits at least twice repeats."""
    found = _ELLIPSIS.fullmatch(text)
    if found is None:
        return text
    digits = found[2]
    for length in range(1, len(digits) // 2 + 1):
        if digits[-length:] == digits[-2 * length : -length]:
            return f"{found[1]}{digits[:-length]}\\overline{{{digits[-length:]}}}"
    return text
