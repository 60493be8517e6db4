"""The whole ladder over the case tables: both directions, levels nested, and the rung that decided."""

import json
from pathlib import Path

import pytest

from graders import grade_answer, grade_answers
from graders.ladder import climb

TABLES = sorted((Path(__file__).parent / "cases").glob("*.jsonl"))
CASES = [json.loads(line) for table in TABLES for line in table.read_text(encoding="utf-8").splitlines()]


def _name(case: dict[str, object]) -> str:
    return f"{case['family']}: {case['gold']} | {case['answer']}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_case(case: dict[str, str]) -> None:
    verdict = grade_answer(case["answer"], case["gold"])
    assert verdict.correct is case["equal"], verdict
    assert verdict.status == ("correct" if case["equal"] else "wrong"), verdict


@pytest.mark.parametrize("case", [case for case in CASES if not case.get("one_way")], ids=_name)
def test_case_in_the_other_direction(case: dict[str, str]) -> None:
    assert grade_answer(case["gold"], case["answer"]).correct is case["equal"]


def test_tables_are_in_balance() -> None:
    equal = sum(case["equal"] for case in CASES)
    assert len(CASES) >= 190
    assert 0.4 < equal / len(CASES) < 0.6


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_formatting_never_changes_a_verdict(case: dict[str, str]) -> None:
    answer = case["answer"]
    dressed = [f" {answer} ", f"${answer}$", answer.replace(r"\frac", r"\dfrac")]
    assert {v.correct for v in grade_answers([(a, case["gold"]) for a in dressed])} == {case["equal"]}


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_every_text_equals_itself(case: dict[str, str]) -> None:
    for text in (case["gold"], case["answer"]):
        verdict = grade_answer(text, text)
        assert verdict.strict and verdict.normalized and verdict.correct


@pytest.mark.parametrize(
    ("gold", "answer", "rule", "strict", "normalized"),
    [
        ("5", " $5$ ", "exact", True, True),
        (r"\frac12", r"\dfrac{1}{2}", "normalized", False, True),
        (r"5\text{ cm}", "5", "normalized", False, True),
        ("0.5", r"\frac12", "numeric", False, False),
        ("[0,1]", r"0\le x\le 1", "structure:sequence", False, False),
        ("A", "(A)", "structure:choice", False, False),
        (r"\text{Even}", "even", "structure:words", False, False),
        ("(x+1)^2", "x^2+2x+1", "algebra", False, False),
        (r"\ln 4", r"2\ln 2", "symbolic", False, False),
    ],
)
def test_the_rule_that_decided_is_named(gold: str, answer: str, rule: str, strict: bool, normalized: bool) -> None:
    verdict = grade_answer(answer, gold)
    assert (verdict.rule, verdict.strict, verdict.normalized, verdict.correct) == (rule, strict, normalized, True)


def test_only_the_symbolic_rung_is_left_open() -> None:
    step = climb(r"2\ln 2", r"\ln 4")
    assert step.equal is None and not step.refused


def test_long_numbers_compare_and_long_prose_does_not() -> None:
    digits = "3" * 20_000
    assert climb("0" + digits, digits).equal is True
    assert climb(digits + "1", digits + "2").equal is False
    assert climb("x+" * 20_000 + "x", "5").rule.startswith("longer than")
