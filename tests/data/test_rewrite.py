r"""Rewrites: what a solution becomes, and what stays as it is because the grader would not agree."""

from __future__ import annotations

import json
import time

import pytest

from data.adapters import LONGEST_ENDING
from data.damage import damage
from data.rewrite import REWRITES, boxes, plain_form
from data.rows import content_hash
from data.sources import Batch, Source, read
from data.synthetic import generate
from graders import extract_boxed, grade, grade_answer

# rewrite, parameters, solution, stated answer -> solution afterwards, answer afterwards
CASES = [
    ("gsm8k_ending", {}, "48/2=<<48/2=24>>24.\n#### 72", "72", "48/2=24.\nThe answer is $\\boxed{72}$.", "72"),
    ("gsm8k_ending", {}, "It is so.\n#### 1,234", "1234", "It is so.\nThe answer is $\\boxed{1234}$.", "1234"),
    ("gsm8k_ending", {}, "So.\n#### \\pi\nThe answer is: \\pi", "", "So.\nThe answer is $\\boxed{\\pi}$.", "\\pi"),
    ("gsm8k_ending", {}, "No mark here.", "4", "No mark here.", "4"),
    ("gsm8k_ending", {}, "#### 5\n#### 6 #### 7.\n \n", "", "#### 5\nThe answer is $\\boxed{6 #### 7}$.", "6 #### 7"),
    ("gsm8k_ending", {}, "#### 5\nSo much.", "5", "#### 5\nSo much.", "5"),
    ("gsm8k_ending", {}, "So ####\nThe answer is: 5", "5", "So ####\nThe answer is: 5", "5"),
    ("gsm8k_ending", {}, "So.\n#### (1,2)", "", "So.\nThe answer is $\\boxed{(1,2)}$.", "(1,2)"),
    ("gsm8k_ending", {}, "So.\n#### \\{1,2,3\\}", "", "So.\nThe answer is $\\boxed{\\{1,2,3\\}}$.", "\\{1,2,3\\}"),
    ("gsm8k_ending", {}, "So.\n#### 3, 4", "", "So.\nThe answer is $\\boxed{3, 4}$.", "3, 4"),
    ("gsm8k_ending", {}, "So.\n#### 3,4", "", "So.\nThe answer is $\\boxed{3,4}$.", "3,4"),
    ("gsm8k_ending", {}, "So.\n#### $1,234.50", "", "So.\nThe answer is $\\boxed{1234.50}$.", "1234.50"),
    ("gsm8k_ending", {}, "So.\n#### $5$", "", "So.\nThe answer is $\\boxed{5}$.", "5"),
    ("gsm8k_ending", {}, "W\n#### 6\nThe answer is: $\\boxed{6}$. Done.", "", "W\nThe answer is $\\boxed{6}$.", "6"),
    ("gsm8k_ending", {}, "#### Step 1\nSo $\\boxed{5}$.", "5", "#### Step 1\nSo $\\boxed{5}$.", "5"),
    ("gsm8k_ending", {}, "A\n#### Then there are 5 of $\\boxed{5}$.", "5", "A\n#### Then there are 5 of $\\boxed{5}$.", "5"),
    ("gsm8k_ending", {}, "A\n##### 5", "5", "A\n##### 5", "5"),
    ("box_answer", {}, "16 - 12 = 4 kids. The answer is 4.", "4", "16 - 12 = 4 kids.\nThe answer is $\\boxed{4}$.", "4"),
    ("box_answer", {}, "So it is \\boxed{4}.", "4", "So it is \\boxed{4}.", "4"),
    ("box_answer", {}, "It cannot be known.", "", "It cannot be known.", ""),
    ("one_box", {}, "First \\boxed{3}, then $\\boxed{5}$.", "5", "First 3, then $\\boxed{5}$.", "5"),
    ("one_box", {}, "So $\\fbox{5}$.", "5", "So $\\boxed{5}$.", "5"),
    ("one_box", {}, "So $\\boxed 5$.", "5", "So $\\boxed{5}$.", "5"),
    ("one_box", {}, "So $\\boxed{\\{1, 2\\}}$.", "", "So $\\boxed{\\{1, 2\\}}$.", "\\{1, 2\\}"),
    ("one_box", {}, "$\\boxed\\frac{1}{2}$", "", "$\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
    ("one_box", {}, "\\text{so \\boxed 5}", "5", "\\text{so \\boxed{5}}", "5"),
    ("one_box", {}, "\\\\\\boxed{3} \\\\boxed{5}", "5", "\\\\3 \\\\boxed{5}", "5"),
    ("one_box", {}, "\\fbox{\\boxed{5}} \\fbox{6}", "5", "\\boxed{5} 6", "5"),
    ("one_box", {}, "So \\boxed{5} and \\boxed{6", "5", "So \\boxed{5} and \\boxed{6", "5"),
    ("one_box", {"last_sentence": True}, "It is $\\boxed{5}$ km.", "5", "It is $5$ km.\nThe answer is $\\boxed{5}$.", "5"),
    ("one_box", {"last_sentence": True}, "It is $\\boxed{5}$.", "5", "It is $\\boxed{5}$.", "5"),
    ("normal_answer", {}, "\\boxed{\\dfrac12}", "\\dfrac12", "\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    ("normal_answer", {}, "\\boxed{\\$1,234.}", "1234", "\\boxed{1234}", "1234"),
    ("normal_answer", {}, "\\boxed{5\\text{ cm}}", "5", "\\boxed{5}", "5"),
    ("normal_answer", {}, "\\boxed{5.} \\fbox{6}", "5", "\\boxed{5} \\fbox{6}", "5"),
    ("normal_answer", {}, "\\boxed{a \\boxed{5.}}", "5", "\\boxed{a \\boxed{5}}", "5"),
    ("normal_answer", {}, "\\boxed{042}", "42", "\\boxed{042}", "042"),
    ("normal_answer", {}, "\\boxed{1\\frac{1}{10}}", "1+1/10", "\\boxed{1\\frac{1}{10}}", "1\\frac{1}{10}"),
    ("normal_answer", {}, "\\boxed{7}", "8", "\\boxed{7}", "8"),
]  # fmt: skip


def row(solution: str, answer: str, problem: str = "How many?") -> dict[str, str]:
    return {"problem": problem, "solution": solution, "answer": answer, "hash": content_hash(problem, solution)}


@pytest.mark.parametrize(("name", "parameters", "solution", "answer", "after", "answer_after"), CASES)
def test_a_rewrite_gives_this_solution_and_answer(name, parameters, solution, answer, after, answer_after):
    given = row(solution, answer)
    changed = REWRITES[name](given, **parameters)
    assert (changed["solution"], changed["answer"]) == (after, answer_after)
    assert given == row(solution, answer)  # the row that came in is as it was


@pytest.mark.parametrize(("before", "after"), [
    ("$x+1$", "x+1"), ("\\tfrac{3}{4}", "\\frac{3}{4}"), ("\\sqrt2", "\\sqrt{2}"), ("12,345", "12345"), ("(1,234)", "(1,234)"),
    ("1,2", "1,2"), ("\\text{ 12 }", "12"), ("\\text{Tuesday}", "\\text{Tuesday}"), ("15\\mbox{ cm}^2", "15"), ("x = 5", "x = 5"),
    ("50\\%", "50\\%"), ("\\left(3,\\ 4\\right)", "\\left(3,\\ 4\\right)"),
])  # fmt: skip
def test_the_plain_form_of_an_answer(before, after):
    assert plain_form(before) == after
    assert grade_answer(after, before).correct


def test_boxes_are_found_where_the_grader_finds_them():
    text = "\\boxed{1} \\fbox{2} \\boxed 3, \\boxed{\\text{a \\boxed{b}}} \\boxedx{4} \\boxed{5"
    assert [box.content for box in boxes(text)] == ["1", "2", "3", "\\text{a \\boxed{b}}"]


@pytest.mark.parametrize("name", [*REWRITES, "damage"])
def test_time_is_linear(name, million):
    rewrites = REWRITES | {"damage": lambda given: damage([given], unboxed=1, wrong_answers=1)}
    for text in (million + "x", f"So {million}\\boxed{{5}}"):
        began = time.process_time()
        rewrites[name](row(text, "5"))
        assert time.process_time() - began < 3


def test_the_time_of_the_plain_form_is_linear(million):
    for text in (f"5{million}x", f"5\\text{{{million}x", f"x{million}"):
        began = time.process_time()
        plain_form(text)
        assert time.process_time() - began < 3


@pytest.mark.parametrize("text", ["\\boxed{" * 60_000, "\\boxed" * 60_000, "<<" * 200_000], ids=repr)
def test_a_hostile_row_is_read(text):
    lines = [json.dumps({"problem": "P", "solution": text}).encode()]
    began = time.process_time()
    (read_row,) = read(Batch("x", 1, lines, 0), Source("x", path="x"))
    assert time.process_time() - began < 3
    assert len(read_row["answer"]) <= LONGEST_ENDING


@pytest.fixture(scope="module")
def problems() -> list[dict[str, str]]:
    items = [item for item, _ in zip(generate(0), range(400), strict=False)]
    return [row(item.solution, item.answer, item.problem) for item in items]


def test_damage_makes_that_share_wrong_and_says_so_consistently(problems):
    damaged = damage(problems, wrong_answers=0.2)
    struck = [(old, new) for old, new in zip(problems, damaged, strict=True) if new != old]
    assert 0.14 < len(struck) / len(problems) < 0.26
    for old, new in struck:
        assert grade(new["solution"], old["answer"]).status == "wrong"
        assert grade(new["solution"], new["answer"]).strict
        assert new["damage"] == f"wrong answer, was {old['answer']}"
        assert new["problem"] == old["problem"]


def test_damage_takes_boxes_off_and_leaves_their_content(problems):
    damaged = damage(problems, unboxed=1)
    assert all(extract_boxed(row["solution"]) is None and row["answer"] in row["solution"] for row in damaged)


def test_a_fifth_is_part_of_a_half_and_other_rows_change_nothing(problems):
    fifth, half = (
        {row["hash"] for row in damage(problems, unboxed=share) if row.get("damage")} for share in (0.2, 0.5)
    )
    assert fifth < half
    assert {row["hash"] for row in damage(problems[100:], unboxed=0.2) if row.get("damage")} == fifth - {
        row["hash"] for row in problems[:100]
    }


def test_an_answer_without_a_number_becomes_another_rows():
    rows = [
        row("It is \\boxed{\\text{Tuesday}}.", "\\text{Tuesday}"),
        row("It is \\boxed{\\text{Friday}}.", "\\text{Friday}"),
    ]
    assert [extract_boxed(item["solution"]) for item in damage(rows, wrong_answers=1)] == [
        "\\text{Friday}",
        "\\text{Tuesday}",
    ]
