"""Error classes of the last box: 200 outputs that people's models wrote, read by hand and rewritten, and a table of edges."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from eval.outcomes import CLASSES, Outcome, before_next_problem, boxes, classify, near_miss, tally
from graders import grade

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "outcomes.jsonl").read_text().splitlines()]
MARKER = "### Problem:"


def outcome_of(gold: str, text: str, finish_reason: str = "stop", next_problem: str = MARKER) -> Outcome:
    return classify(gold, text, finish_reason, asdict(grade(text, gold)), next_problem)


def test_at_least_95_of_100_outputs_are_classed_as_a_reader_does() -> None:
    """The rest are two that write the role word of their chat before their own answer: read as no box, classed as runaway."""
    assert len(CASES) == 200
    seen = [outcome_of(c["gold"], c["text"], c["finish_reason"], c["next_problem"]).kind for c in CASES]
    differ = [(case["read_as"], kind) for case, kind in zip(CASES, seen, strict=True) if case["read_as"] != kind]
    assert differ == [("no_box", "runaway")] * 2
    assert {case["read_as"] for case in CASES} == set(CLASSES) - {"undecided", "ungraded"}


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        (r"\boxed{12}", "stop", ("right", "", False)),
        (r"\boxed{12.0}", "stop", ("format_only", "", False)),
        (r"\boxed{12} or rather \boxed{15}", "stop", ("overwritten", "", True)),
        (r"\boxed{12} or \boxed{}", "stop", ("overwritten", "", True)),
        (r"\boxed{12.0}, hence \boxed{15}", "stop", ("overwritten", "", True)),
        ("\\boxed{12}\n### Problem: next\n\\boxed{15}", "stop", ("runaway", "", True)),
        ("\\boxed{15}\n### Problem: next\n\\boxed{12.5}", "stop", ("runaway", "", False)),
        ("\\boxed{12}\n### Problem: next \\boxed{", "length", ("runaway", "", True)),
        ("so\n### Problem:", "problem", ("runaway", "", False)),
        ("\\boxed{15}\n### Problem:", "problem", ("wrong", "", False)),  # its own box was read
        ("\\boxed{12}\n### Problem:", "problem", ("right", "", False)),
        (r"\boxed{12} and then \boxed{1", "length", ("truncated", "", True)),
        (r"and then", "length", ("truncated", "", False)),
        (r"and then \boxed{15}", "length", ("wrong", "", False)),
        (r"so $\boxed{12$ as asked", "stop", ("unclosed", "", True)),
        (r"so $\boxed{\frac{24}{2$ as asked", "stop", ("unclosed", "", True)),
        (r"so \boxed{15", "stop", ("unclosed", "", False)),
        (r"so $\boxed{\frac{24}{2 \text{ \{}$", "stop", ("unclosed", "", False)),
        (r"it is 12", "stop", ("no_box", "", False)),
        (r"\fbox{12} \boxed 12", "stop", ("no_box", "", False)),
        (r"\boxed{}", "stop", ("no_box", "", False)),
        ("", "stop", ("no_box", "", False)),
        (r"\boxed{-12}", "stop", ("near_miss", "sign", False)),
        (r"\boxed{13}", "stop", ("near_miss", "off by one", False)),
        (r"\boxed{1,200}", "stop", ("near_miss", "factor", False)),
        (r"\boxed{6 \text{ cm}}", "stop", ("near_miss", "factor", False)),
        (r"\boxed{17}", "stop", ("wrong", "", False)),
        (r"\boxed{\boxed{12}}", "stop", ("right", "", False)),
        (r"\\boxed{12} so \\boxed{17}", "stop", ("overwritten", "", True)),
    ],
)
def test_edges(text: str, finish_reason: str, expected: tuple[str, str, bool]) -> None:
    found = outcome_of("12", text, finish_reason)
    assert (found.kind, found.detail, found.recoverable) == expected


@pytest.mark.parametrize("status", ["timeout", "unparsed_gold", "error"])
def test_what_was_not_judged_is_no_error_of_the_model(status: str) -> None:
    verdict = {"status": status, "strict": False, "extracted": "1"}
    assert classify("1", r"\boxed{1}", "stop", verdict).kind == "undecided"
    assert classify("1", r"\boxed{1}", "stop", None).kind == "ungraded"


@pytest.mark.parametrize(
    ("finish_reason", "text", "truncated", "ran_on"),
    [
        ("length", r"\boxed{1}", True, False),
        ("problem", r"\boxed{1}", False, True),
        ("stop", "\\boxed{1}\n### Problem: x", False, True),
        ("stop", r"\boxed{1} as in ### Problem: x", False, False),  # in a line, so no heading of the template
    ],
)
def test_facts_stand_beside_the_class(finish_reason: str, text: str, truncated: bool, ran_on: bool) -> None:
    found = outcome_of("1", text, finish_reason)
    assert (found.kind, found.truncated, found.ran_on) == ("right", truncated, ran_on)


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("5", "-5", "sign"),
        ("0", "1", "off by one"),
        (r"\frac{1}{2}", "-0.5", "sign"),
        (r"\frac{1}{2}", "1.5", ""),
        ("30", "60", "factor"),
        ("60", "30", "factor"),
        ("0.25", "25", "factor"),
        ("3", "180", "factor"),
        ("7", "21", ""),
        ("0", "5", ""),
        ("x", "-x", ""),
        ("5", "5", ""),
        ("1" * 100, "2", ""),
    ],
)
def test_near_misses(gold: str, answer: str, expected: str) -> None:
    assert near_miss(gold, answer) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1} \boxed{ 2 } \boxed{}", ["1", "2"]),
        (r"\boxed{a \boxed{b}}", ["b", r"a \boxed{b}"]),
        (r"\boxed{\{1,2\}} \boxed{\frac{1}{2}}", [r"\{1,2\}", r"\frac{1}{2}"]),
        (r"\boxed{1 and \boxed{2}", ["2"]),
        (r"} \boxed{1}", ["1"]),
        (r"\boxed{a \\boxed{b}} \boxed{\,}", ["b", r"a \\boxed{b}"]),
        (r"\boxed 5 \fbox{5} \boxedx{5}", []),
    ],
)
def test_every_complete_box_is_read(text: str, expected: list[str]) -> None:
    assert list(boxes(text)) == expected


def test_the_next_problem_begins_on_its_own_line() -> None:
    assert before_next_problem("a\n  ### Problem: b", MARKER) == "a\n"
    assert before_next_problem("see ### Problem: b", MARKER) == "see ### Problem: b"
    assert before_next_problem("a\n### Problem: b", "") == "a\n### Problem: b"


def test_a_tally_adds_up_and_says_what_mending_would_win() -> None:
    outcomes = [("wrong", False), ("overwritten", True), ("right", False), ("overwritten", False)]
    rows = tally(outcomes)
    assert [row.kind for row in rows] == ["right", "overwritten", "wrong"]
    assert (rows[1].count, rows[1].share, rows[1].recoverable, rows[1].points) == (2, 0.5, 1, 25.0)
    assert rows[1].examples == (1, 3)
    assert Counter(row.count for row in rows).total() == 3 and tally([]) == []
    with pytest.raises(KeyError, match="odd"):  # a class without a row would be lost from the sum
        tally([("odd", False)])


NESTED = "\\boxed{" * 100_000 + "5" + "}" * 100_000 + "\\boxed{8}"


def assert_ends_soon(text: str, finish_reason: str) -> None:
    verdict = asdict(grade(text, "7"))
    began = time.process_time()
    classify("7", text, finish_reason, verdict, MARKER)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_time_is_linear(million: str, finish_reason: str) -> None:
    assert_ends_soon(million, finish_reason)
    assert_ends_soon("\\boxed{6}" + million + "\\boxed{8}", finish_reason)


def test_nested_boxes_take_no_time() -> None:
    assert_ends_soon(NESTED, "stop")
