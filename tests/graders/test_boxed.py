"""Extraction: the rule of the contract, row by row."""

import time

import pytest

from graders.boxed import extract_boxed, gold_from_solution

# The first nine rows are inputs on which public extractors disagree with each other.
BOXES = [
    (r"first \boxed{1} then \boxed{2}", "2"),
    (r"\boxed{5}. The boxed answer is right.", "5"),
    (r"so \boxed {7}", "7"),
    (r"\boxed{3} and then \boxed{4", None),
    (r"\fbox{9}", None),
    (r"a} \boxed{3}", "3"),
    (r"\boxed 2 wrong; \boxed{8}", "8"),
    (r"\boxed{\{1,2\}}", r"\{1,2\}"),
    (r"\boxed{\text{a \boxed{b}}}", "b"),
    (r"\boxed{\boxed{5}}", "5"),
    (r"\boxed{}", None),
    (r"\boxed{ }", None),
    (r"\boxed{\,}", None),
    (r"\boxed{5} ... \boxed{}", None),
    (r"\boxed{5", None),
    (r"\boxed{5}}", "5"),
    (r"\boxed 5", None),
    ("boxed(5)", None),
    ("boxed{5}", None),
    (r"\boxedanswer{5}", None),
    ("The answer is 5.", None),
    ("", None),
    ("\\boxed{\n5\n}", "5"),
    ("\\boxed\n{5}", "5"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\left\{ x \mid x > 0 \right.}", r"\left\{ x \mid x > 0 \right."),
    (r"\boxed{a \} b}", r"a \} b"),
    (r"the row ends\\\boxed{4}", "4"),
]


@pytest.mark.parametrize(("output", "expected"), BOXES)
def test_last_box(output: str, expected: str | None) -> None:
    assert extract_boxed(output) == expected


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        (r"so $\boxed 5$.", "5"),
        (r"so \fbox{9}", "9"),
        (r"so \boxed{\frac12}", r"\frac12"),
        (r"\fbox{x} and \boxed{y}", "y"),
        (r"\boxed 3, then \boxed{4}", "4"),
        (r"so $\boxed\frac12$", r"\frac12"),
        ("no box", None),
        (r"\boxed{}", None),
    ],
)
def test_gold_from_solution(solution: str, expected: str | None) -> None:
    assert gold_from_solution(solution) == expected


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "{", "\\boxed{1} ", "\\", "\\\\", "$", "\\boxed ", "}"], ids=lambda unit: unit.strip()
)
def test_time_is_linear(unit: str) -> None:
    output = unit * (1_000_000 // len(unit)) + "\\boxed{5}"
    started = time.process_time()
    extract_boxed(output)
    assert time.process_time() - started < 2.0
