"""Exact readings: what they say is right, and where they cannot tell they say so."""

import time
from fractions import Fraction

import pytest

from graders import algebra
from graders.exact import exact_value
from graders.expression import TooLarge
from graders.field import PRIME, fingerprint
from graders.grammar import parse
from graders.normalize import normalize


@pytest.mark.parametrize(
    ("text", "value"),
    [("2^{10}", 1024), ("5!", 120), (r"\binom{6}{2}", 15), (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)), ("(-8)^{1/3}", -2),
     ("4^{-1/2}", Fraction(1, 2)), ("|-3|", 3), ("0^0", None), ("1/0", None), (r"\sqrt2", None), ("x", None),
     (r"\lfloor 2.7 \rfloor", 2), ("gcd(12,18)", 6)],
)  # fmt: skip
def test_exact_value(text: str, value: Fraction | int | None) -> None:
    assert exact_value(parse(normalize(text))) == value


@pytest.mark.parametrize("text", ["9^9^9", "100000!", "2^{100000}", r"\binom{1000000000}{500000000}", "((9!)!)!"])
def test_magnitude_is_refused(text: str) -> None:
    started = time.process_time()
    with pytest.raises(TooLarge):
        exact_value(parse(normalize(text)))
    assert time.process_time() - started < 0.5


EQUAL = [
    ("(x+1)^2", "x^2+2x+1"), (r"\frac{1}{\sqrt3}", r"\frac{\sqrt3}{3}"), (r"\sqrt{12}", r"2\sqrt3"), ("i(2-i)", "1+2i"),
    (r"\sqrt{6}", r"\sqrt2\sqrt3"), (r"\tan x", r"\frac{\sin x}{\cos x}"), (r"\sqrt{-4}", "2i"),
    ("(a+b)(a-b)", "a^2-b^2"),
    (r"\sin(x+x)", r"\sin(2x)"), (r"\frac{x^{300}-1}{x-1}(x-1)", "x^{300}-1"), ("2^{100}", "4^{50}"),
]  # fmt: skip
DIFFERENT = [
    ("x+2y", "y+2x"), ("R", "r"), (r"\sqrt2", r"\sqrt3"), ("2^{200}", "2^{200}+1"), (r"\sin x", r"\cos x"),
    ("x", "x^2"),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"), (r"\sqrt{x^2}", "x"), (r"\pi", "3.14159"), ("e^x", "e^{x}+0.001"),
]  # fmt: skip
OPEN = [(r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"), (r"\ln 4", r"2\ln 2"), (r"\sin^2 x+\cos^2 x", "1")]


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [(*pair, True) for pair in EQUAL] + [(*pair, False) for pair in DIFFERENT] + [(*pair, None) for pair in OPEN],
)
def test_equal_in_both_directions(gold: str, answer: str, expected: bool | None) -> None:
    left, right = parse(normalize(gold)), parse(normalize(answer))
    assert algebra.equal(left, right) is expected
    assert algebra.equal(right, left) is expected


@pytest.mark.parametrize(
    ("gold", "answer", "positive", "expected"),
    [("x-2", "2x-4", False, True), ("x-2", "2-x", False, True), ("x-2", "2-x", True, False),
     ("x-2", "2x-4", True, True),
     ("x-2", "x-3", False, False), ("x-2", "0", False, False), ("x-x", "x-2", False, False)],
)  # fmt: skip
def test_proportional(gold: str, answer: str, positive: bool, expected: bool) -> None:
    assert algebra.proportional(parse(gold), parse(answer), positive) is expected


def test_cancellation_is_not_taken_for_a_difference() -> None:
    """Doubles lose all digits here; the formulas are equal."""
    left = parse(normalize(r"\frac{1}{\sqrt{10^{12}+1}-10^6}"))
    right = parse(normalize(r"\sqrt{10^{12}+1}+10^6"))
    assert algebra.equal(left, right) is not False


def test_fingerprint_respects_square_roots() -> None:
    for prime in (2, 3, 5, 7, 97):
        assert fingerprint(parse(rf"\sqrt{{{prime}}}^2"), 0) == prime
    assert fingerprint(parse("i^2"), 0) == PRIME - 1
