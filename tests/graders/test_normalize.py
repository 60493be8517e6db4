"""String rules: the examples in the table are the tests, and formatting never changes a text twice."""

import pytest

from graders.normalize import RULES, normalize, same_format

EXAMPLES = [(rule, before, after) for rule in RULES for before, after in rule.examples]


@pytest.mark.parametrize(("rule", "before", "after"), EXAMPLES, ids=[f"{r.name}:{b}" for r, b, _ in EXAMPLES])
def test_examples_hold(rule: object, before: str, after: str) -> None:
    assert rule.apply(before) == after  # type: ignore[attr-defined]


def test_every_rule_has_a_reason_and_two_examples() -> None:
    assert [rule.name for rule in RULES if len(rule.examples) < 2 or not rule.reason] == []
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"15\mbox{ cm}^2", r"15\unit{cm^2}"),
        (r"19, 46, \text{ and } 82", "19,46,and 82"),
        (r"11,\! 111,\! 100", "11111100"),
        (r"\$16,\!386.20", r"16386.20\unit{dollar}"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
        ("17", "17"),
    ],
)
def test_all_rules_in_order(text: str, expected: str) -> None:
    assert normalize(text) == expected


# Euler's number is told from a power of ten by spaces, which the normal form no longer has.
STABLE = [before for rule, before, _ in EXAMPLES if rule.name != "e-notation"]


@pytest.mark.parametrize("text", STABLE)
def test_normal_form_is_stable(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        (r"5\text{ cm}", "5", True),
        (r"5\text{ cm}", r"5\text{ m}", False),
        (r"5\text{ units}", r"5\text{ m}", True),
        ("5", "6", False),
        (r"\text{ cm}", r"\text{ m}", False),
    ],
)
def test_same_format(gold: str, answer: str, expected: bool) -> None:
    assert same_format(normalize(gold), normalize(answer)) is expected
