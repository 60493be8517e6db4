"""Splitting into parts: what a text is read as, and three-valued comparison."""

import pytest

from graders.compare import compare
from graders.logic import Question
from graders.normalize import normalize
from graders.structure import read


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        ("1, 2", "list", 2), ("1 and 2", "list", 2), ("1, 2, and 3", "list", 3), ("(1,2)", "sequence", 2),
        ("[0,1)", "sequence", 2), (r"\{1,2,3\}", "set", 3), ("{1,2}", "set", 2), (r"\emptyset", "set", 0),
        (r"(0,1)\cup(2,3)", "union", 2), (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "matrix", 4), ("x=5", "relation", 2),
        ("1<x<2", "relation", 3), (r"x\in[0,1]", "sequence", 2), ("1:2", "ratio", 2), ("12_3", "base", 0),
        (r"1\pm\sqrt2", "list", 2), ("(x+1)(x+2)", "formula", 0), ("(x)", "formula", 0), ("f(x,y)", "formula", 0),
        ("5,,", "formula", 0), (r"\mathbb{R}", "sequence", 2), (r"\frac{1}{2}", "formula", 0),
        ("((1,2),(3,4))", "sequence", 2),
    ],
)  # fmt: skip
def test_read(text: str, kind: str, parts: int) -> None:
    value = read(normalize(text))
    assert (value.kind, len(value.parts)) == (kind, parts)


def _undecided(gold: str, answer: str, question: Question) -> bool | None:
    return None


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [("(a,b)", "(c,d)", None), ("(a,b)", "(c,d,e)", False), ("(a,1)", "(c,2)", False), ("(a,1)", "(a,1.0)", True),
     ("a,1", "c,2", None), ("1,2", "2,3", False)],
)  # fmt: skip
def test_an_open_part_leaves_the_whole_open_unless_another_decides(
    gold: str, answer: str, expected: bool | None
) -> None:
    assert compare(gold, answer, _undecided).equal is expected


def test_long_lists_are_bounded() -> None:
    numbers = [str(number) for number in range(300)]
    assert compare(",".join(numbers), ",".join(reversed(numbers)), _undecided).equal is True
    assert compare(",".join(f"x+{n}" for n in numbers), ",".join(f"y+{n}" for n in numbers), _undecided).equal is False
