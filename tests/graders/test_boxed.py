"""Extraction: the rule of the contract, row by row."""

import random
import time
from collections.abc import Callable

import pytest

from graders import find_box
from graders.boxed import (
    box_starts,
    brace_depth,
    closed_boxes,
    extract_boxed,
    gold_from_solution,
    solution_boxes,
    unclosed_content,
)

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


@pytest.mark.parametrize(("output", "expected"), BOXES)
def test_the_span_of_the_graded_box(output: str, expected: str | None) -> None:
    box = find_box(output)
    assert (box and box.content) == expected
    if box:
        command = output[box.start : box.end]
        assert command.startswith("\\boxed") and command.endswith("}")
        assert extract_boxed(command) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (r"\boxed{1} and \boxed{2", "2"),
        (r"\boxed{1} and \boxed{ \{2 and $so", r" \{2 and $so"),
        (r"\boxed{1", "1"),
        (r"\boxed{1}", None),
        (r"\boxed{}", None),
        (r"\boxed 5", None),
        ("", None),
    ],
)
def test_what_follows_a_box_that_never_closes(output: str, expected: str | None) -> None:
    assert unclosed_content(output) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1} \boxed{ 2 } \boxed{}", ["1", "2", ""]),
        (r"\boxed{a \boxed{b}}", ["b", r"a \boxed{b}"]),
        (r"\boxed{1 and \boxed{2}", ["2"]),
        (r"} \boxed {1}", ["1"]),
        (r"\\boxed{1} \\\boxed{2}", ["1", "2"]),
        (r"\boxed{a \} b} \boxed{\\}", [r"a \} b", r"\\"]),
        (r"\boxed 5 \fbox{5} \boxedx{5}", []),
    ],
)
def test_boxes_that_close(text: str, expected: list[str]) -> None:
    assert [box.content for box in closed_boxes(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1} \fbox{2} \boxed 3, \boxed{}", ["1", "2", "3", ""]),
        (r"\boxed{\text{a \boxed{b}}}", [r"\text{a \boxed{b}}", "b"]),
        (r"\boxed\frac{1}{2}$ and \fbox 7.", [r"\frac{1}{2}", "7"]),
        (r"\text{so \boxed 5} \boxed{4", ["5"]),
        (r"\boxed 5\boxed{6}\boxed ", ["5", "6"]),
        (r"\boxed\boxed{6} \boxed ., $", ["6"]),
        ("boxed 5", []),
    ],
)
def test_boxes_of_a_solution(text: str, expected: list[str]) -> None:
    assert [box.content for box in solution_boxes(text)] == expected


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        (r"so $\boxed 5$.", "5"),
        (r"so \fbox{9}", "9"),
        (r"so \boxed{\frac12}", r"\frac12"),
        (r"\fbox{x} and \boxed{y}", "y"),
        (r"\boxed 3, then \boxed{4}", "4"),
        (r"so $\boxed\frac12$", r"\frac12"),
        (r"so \boxed{3} and \boxed{4", "3"),
        (r"\boxed{7} or \boxed{ \, } \boxed{}", "7"),
        (r"\boxed{\fbox{7}}", "7"),
        ("no box", None),
        (r"\boxed{}", None),
    ],
)
def test_gold_from_solution(solution: str, expected: str | None) -> None:
    assert gold_from_solution(solution) == expected


DEPTHS = [("{{}", 1), (r"\{", 0), (r"\\{", 1), ("}", -1), ("", 0)]


@pytest.mark.parametrize(("text", "depth"), DEPTHS)
def test_brace_depth(text: str, depth: int) -> None:
    assert brace_depth(text) == depth


def closing(text: str, start: int) -> int | None:
    """The brace that closes the box at `start`, by counting one box at a time: quadratic in sum."""
    depth, place = 0, text.index("{", start)
    while place < len(text):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return place + 1
        place += 2 if text[place] == "\\" else 1
    return None


def test_one_pass_pairs_braces_as_counting_from_each_box_does() -> None:
    draw = random.Random(0)
    units = ["\\boxed{", "\\boxed {", "{", "}", "}", "\\", "a", "$", " "]
    for _ in range(3_000):
        text = "".join(draw.choices(units, k=draw.randint(1, 16)))
        spans = [(start, closing(text, start)) for start in box_starts(text)]
        closed = [(start, end) for start, end in spans if end is not None]
        assert sorted((box.start, box.end) for box in closed_boxes(text)) == closed
        box = find_box(text)
        assert box is None or (box.start, box.end) == spans[-1]
        unclosed = bool(spans) and spans[-1][1] is None
        assert (unclosed_content(text) is not None) == unclosed


SCANS = [
    *(extract_boxed, unclosed_content, gold_from_solution),
    *(box_starts, closed_boxes, solution_boxes, brace_depth),
]


@pytest.mark.parametrize("scan", SCANS, ids=lambda scan: scan.__name__)
def test_time_is_linear(scan: Callable[[str], object], million: str) -> None:
    for text in (million, million + "\\boxed{5}"):
        started = time.process_time()
        scan(text)
        assert time.process_time() - started < 3


def test_nested_boxes_are_read_in_linear_time() -> None:
    text = "\\boxed{" * 120_000 + "5" + "}" * 120_000
    started = time.process_time()
    assert (extract_boxed(text), gold_from_solution(text)) == ("5", "5")
    assert len(closed_boxes(text)) == len(solution_boxes(text)) == 120_000
    assert time.process_time() - started < 3
