"""Numbers from any notation, exactly."""

from fractions import Fraction

import pytest

from graders.normalize import normalize
from graders.numeric import canonical_decimal, decimal_places, parse_number

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", HALF), ("1/2", HALF), (r"\frac12", HALF), (r"\dfrac{1}{2}", HALF), (r"5\times10^{-1}", HALF),
        ("5e-1", HALF), ("½", HALF), (".5", HALF), ("(1/2)", HALF), ("0", Fraction(0)), ("0/3", Fraction(0)),
        (r"1\frac12", 3 * HALF), ("1 1/2", 3 * HALF), (r"-1\frac12", -3 * HALF), (r"\frac{-1}{2}", -HALF),
        (r"0.\overline{3}", THIRD), (r"0.333\ldots", THIRD), (r"0.1\overline{6}", THIRD / 2), ("10^3", Fraction(1000)),
        ("1,234", Fraction(1234)), ("−２", Fraction(-2)), (r"0.142857142857\ldots", Fraction(1, 7)),
        ("1/0", None), ("x", None), ("", None), ("1,23", None), ("1.2.3", None), ("10^{999999999}", None),
        ("1e999999999", None), ("9" * 2_000, None), (".", None), ("-", None), ("1/2/3", None),
    ],
)  # fmt: skip
def test_parse_number(text: str, value: Fraction | None) -> None:
    assert parse_number(normalize(text)) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [("007", "7"), ("-0.50", "-0.5"), ("-0", "0"), ("+3", "3"), ("--3", "3"), ("5.", "5"), ("0.0", "0"), (".", None),
     ("", None), ("1a", None)],
)  # fmt: skip
def test_canonical_decimal(text: str, expected: str | None) -> None:
    assert canonical_decimal(text) == expected


def test_decimals_of_any_length_are_exact() -> None:
    digits = "7" * 50_000
    assert canonical_decimal("0" + digits + ".0") == digits
    assert canonical_decimal(digits + "1") != canonical_decimal(digits + "2")


@pytest.mark.parametrize(("text", "places"), [("1.50", 2), ("3", 0), ("x.5", 0)])
def test_decimal_places(text: str, places: int) -> None:
    assert decimal_places(text) == places
