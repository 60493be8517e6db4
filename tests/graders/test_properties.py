"""Properties that hold for any answer: equality is reflexive and symmetric, dress does not matter, one more does."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders import extract_boxed, grade, grade_answer

settings.register_profile("graders", deadline=None, derandomize=True, max_examples=150)
settings.load_profile("graders")

small = st.integers(-60, 60)
positive = st.integers(1, 60)


def _fraction(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


integers = st.integers(-(10**12), 10**12).map(str)
fractions = st.builds(Fraction, small, positive).map(_fraction)
decimals = st.builds(lambda whole, part: f"{whole}.{part}", small, st.integers(1, 99))
radicals = st.builds(lambda a, b, c: f"{a}+{b}\\sqrt{{{c}}}", small, positive, st.sampled_from([2, 3, 5, 7, 30]))
multiples_of_pi = st.builds(lambda a, b: f"\\frac{{{a}\\pi}}{{{b}}}", positive, positive)
polynomials = st.builds(lambda a, b, c: f"{a}x^2+{b}xy-{c}", positive, positive, positive)
compositions = st.builds(lambda a, b: f"\\frac{{\\sin({a}x)}}{{{b}+x^2}}", positive, positive)
numbers = st.one_of(integers, fractions, decimals, radicals, multiples_of_pi)
formulas = st.one_of(numbers, polynomials, compositions)
tuples = st.lists(numbers, min_size=2, max_size=4).map(lambda parts: f"({', '.join(parts)})")
lists = st.lists(numbers, min_size=2, max_size=4).map(", ".join)
brackets = st.sampled_from("(["), st.sampled_from(")]")
intervals = st.builds(lambda low, n, left, right: f"{left}{low},{low + n}{right}", small, positive, *brackets)
equations = st.builds(lambda a, b, c: f"y={a}x^2+{b}x+{c}", positive, positive, positive)
answers = st.one_of(formulas, tuples, lists, intervals, equations)


def _equal(gold: str, answer: str) -> bool:
    verdict = grade_answer(answer, gold)
    assert verdict.status in ("correct", "wrong"), verdict
    return verdict.correct


@given(answers)
def test_reflexive_at_every_level(answer: str) -> None:
    verdict = grade_answer(answer, answer)
    assert verdict.strict and verdict.normalized and verdict.correct
    assert extract_boxed(rf"so \boxed{{{answer}}}.") == answer
    assert grade(rf"so \boxed{{{answer}}}.", answer).strict


@given(answers, answers)
def test_symmetric(left: str, right: str) -> None:
    assert _equal(left, right) == _equal(right, left)


DRESSES = [
    lambda text: f"${text}$",
    lambda text: f"  {text}\n",
    lambda text: text.replace(r"\frac", r"\dfrac"),
    lambda text: text.replace(r"\frac", r"\tfrac"),
    lambda text: text.replace("(", r"\left(").replace(")", r"\right)") if text.count("(") == text.count(")") else text,
    lambda text: text.replace("+", " + ").replace(",", ", "),
    lambda text: text.replace("-", "\N{MINUS SIGN}"),
    lambda text: rf"\displaystyle {text}",
    lambda text: rf"\({text}\)",
    lambda text: text + ".",
]


@pytest.mark.parametrize("dress", DRESSES)
@given(gold=answers, answer=answers)
@settings(max_examples=40)
def test_dress_never_changes_a_verdict(dress: object, gold: str, answer: str) -> None:
    dressed = dress(answer)  # type: ignore[operator]
    assert grade_answer(dressed, answer).normalized
    assert _equal(gold, dressed) == _equal(gold, answer)
    assert _equal(dressed, gold) == _equal(answer, gold)


@given(formulas)
def test_adding_one_always_changes_a_verdict(formula: str) -> None:
    assert not _equal(formula, f"{formula}+1")
    assert not _equal(f"1+{formula}", formula)
    assert not _equal(f"y={formula}", f"y={formula}+1")


@given(st.lists(numbers, min_size=2, max_size=4), st.data())
def test_adding_one_to_a_part_changes_a_verdict(parts: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(parts) - 1))
    changed = [f"{part}+1" if at == index else part for at, part in enumerate(parts)]
    assert not _equal(f"({','.join(parts)})", f"({','.join(changed)})")
    rows = [rf"\begin{{pmatrix}}{'&'.join(row)}\end{{pmatrix}}" for row in (parts, changed)]
    assert not _equal(*rows)


@given(intervals)
def test_the_type_of_an_end_matters(interval: str) -> None:
    other = {"(": "[", "[": "("}[interval[0]] + interval[1:]
    assert not _equal(interval, other)


@given(st.builds(Fraction, small, positive), positive)
def test_a_rational_has_many_notations(value: Fraction, scale: int) -> None:
    above, below = value.numerator * scale, value.denominator * scale
    for text in (f"{above}/{below}", f"\\frac{{{above}}}{{{below}}}", f"\\dfrac{{{-above}}}{{{-below}}}"):
        assert _equal(_fraction(value), text) and _equal(text, _fraction(value))
    assert not _equal(_fraction(value), f"{above + 1}/{below}")


@given(st.integers(0, 10**18), st.integers(1, 10**6))
def test_thousands_separators_are_no_lists(number: int, other: int) -> None:
    for separated in (f"{number:,}", f"{number:,}".replace(",", "{,}"), f"{number:,}".replace(",", r"\,")):
        assert _equal(str(number), separated)
        assert not _equal(str(number + other), separated)


@given(st.lists(small, min_size=2, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_lists_have_no_order_and_tuples_have(values: list[int], random: object) -> None:
    shuffled = values[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    listed, other = (", ".join(map(str, each)) for each in (values, shuffled))
    assert _equal(listed, other) and _equal(rf"\{{{listed}\}}", other)
    assert _equal(f"({listed})", f"({other})") == (values == shuffled)
    assert not _equal(listed, ", ".join(map(str, values[1:])))


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gets_a_verdict(answer: str, gold: str) -> None:
    assert grade_answer(answer, gold).status in ("correct", "wrong", "timeout", "unparsed_gold")
    assert grade(answer, gold).status in ("correct", "wrong", "timeout", "unparsed_gold", "no_box")


LATEX = ["\\frac", "{", "}", "(", ")", "^", "_", "\\sqrt", "1", "2", "x", "\\pi", "+", "-", ",", "=", "<", "\\le", "|", " ",
         "\\text{", "\\left", "\\right", "\\cup", "\\pm", "&", "\\\\", "!", "\\log", "\\{", "\\}", "%", "$", "[", "]", ".5"]  # fmt: skip


@given(st.lists(st.sampled_from(LATEX), max_size=25).map("".join), formulas)
@settings(max_examples=600)
def test_any_latex_gets_a_verdict(answer: str, gold: str) -> None:
    assert grade_answer(answer, gold).status in ("correct", "wrong", "timeout")
    assert grade_answer(answer, answer).status in ("correct", "unparsed_gold")
