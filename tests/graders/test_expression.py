"""The grammar: LaTeX and plain text give the same tree, other text gives a reason."""

import pytest

from graders.expression import TooLarge, Unreadable, names
from graders.grammar import parse
from graders.normalize import normalize


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"2\pi r", "2*pi*r"),
        (r"x^{10}", "x**10"),
        (r"\sqrt{x+1}", "sqrt(x+1)"),
        (r"\sin(2x)", "sin(2*x)"),
        (r"\sin 2x", "sin(2x)"),
        (r"e^{-x}", "e^(-x)"),
        (r"\theta", "theta"),
        (r"|x|", "abs(x)"),
        (r"\arctan x", "atan(x)"),
        (r"\sin^{-1} x", "arcsin(x)"),
        (r"\exp(x)", "e^x"),
        (r"\sqrt[3]{x}", "cbrt(x)"),
        (r"1\frac{1}{2}", "1.5"),
        (r"x y", "xy"),
        (r"\sin x \cos x", "sin(x)*cos(x)"),
        (r"n!", "(n)!"),
        (r"2^{3^2}", "2^3^2"),
        (r"8[2x]^2", "8(2x)^2"),
    ],
)
def test_one_tree_for_both_notations(latex: str, plain: str) -> None:
    assert parse(normalize(latex)) == parse(normalize(plain))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_{1}+b'", {"a_1", "b'"}),
        ("R+r", {"R", "r"}),
        (r"x_{n+1}", {"x_n+1"}),
        ("xsin(y)", {"x", "y"}),
        ("f(x)", {"f", "x"}),
    ],
)
def test_names(text: str, expected: set[str]) -> None:
    assert names(parse(normalize(text))) == expected


@pytest.mark.parametrize(
    "text",
    ["", "1+", "(1", r"\frac{1}", r"\unknown{x}", "hello", "2 apples", "1;2", r"\frac{{{", "x^", "|x", "a#b", "x`y",
     "__import__('os').system('true')", "lambda: 1", "().__class__"],
)  # fmt: skip
def test_unreadable_text_gives_a_reason(text: str) -> None:
    with pytest.raises(Unreadable) as error:
        parse(normalize(text))
    assert str(error.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 500 + "x" + ")" * 500, r"\frac{1}{" * 400 + "1" + "}" * 400, "x" + "^x" * 500, "x" + "!" * 500,
     r"\sin" * 500 + " x", "1+" * 10_000 + "1", "9" * 5_000 + "x", "-" * 7_000 + "^"],
)  # fmt: skip
def test_size_is_refused_before_evaluation(text: str) -> None:
    with pytest.raises((TooLarge, Unreadable)):
        parse(text)
