"""The embedded default: distinct problems whose solutions compute what they box."""

import itertools
import json
import re
from fractions import Fraction

import pytest

from data.synthetic import KINDS, LARGEST, generate, write_dataset
from graders import extract_boxed, grade

STEP = re.compile(r"(\d+(?: [*+/-] \d+)+) = (\d+)(?![\d/])")


@pytest.fixture(scope="module")
def problems():
    return list(itertools.islice(generate(seed=3), 6000))


def test_six_thousand_problems_are_distinct_and_of_every_kind_and_level(problems):
    assert len({item.problem for item in problems}) == 6000
    assert {item.kind for item in problems} == set(KINDS)
    assert {item.level for item in problems} == set(LARGEST)


def test_every_solution_ends_in_its_answer_which_the_grader_accepts_strictly(problems):
    for item in problems:
        assert item.solution.endswith(f"The answer is $\\boxed{{{item.answer}}}$.")
        assert item.solution.count("\\boxed") == 1
        assert extract_boxed(item.solution) == item.answer
    assert all(grade(item.solution, item.answer).strict for item in problems[:500])


def test_every_step_of_the_working_is_true(problems):
    checked = 0
    for item in problems:
        for left, right in STEP.findall(item.solution):
            numbers, value = left.split(), Fraction(left.split()[0])
            for operator, operand in zip(numbers[1::2], map(Fraction, numbers[2::2]), strict=True):
                value = {"*": value * operand, "+": value + operand, "-": value - operand, "/": value / operand}[
                    operator
                ]
            assert value == int(right), item.solution
            checked += 1
    assert checked > 8000


def test_the_same_seed_gives_the_same_bytes_and_no_problem_is_in_two_splits(tmp_path):
    for folder in ("a", "b"):
        write_dataset(tmp_path / folder, train=200, test=50, seed=1)
    for name in ("train", "validation", "synthetic-test"):
        assert (tmp_path / "a" / f"{name}.jsonl").read_bytes() == (tmp_path / "b" / f"{name}.jsonl").read_bytes()
    rows = [json.loads(line) for path in (tmp_path / "a").glob("*.jsonl") for line in path.open()]
    assert len(rows) == 270 == len({row["id"] for row in rows})


def test_another_seed_gives_other_problems():
    first, second = ({item.problem for item in itertools.islice(generate(seed), 500)} for seed in (0, 1))
    assert len(first & second) < 100


@pytest.mark.parametrize("level", LARGEST)
def test_a_level_bounds_the_numbers(level):
    for item in itertools.islice(generate(0, (level,)), 300):
        assert item.level == level
