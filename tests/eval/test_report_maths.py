"""Formulas in texts: what is one, what it becomes, and that nothing a model writes costs time or leaves its element."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from eval.report.maths import MOST_FORMULAS, TAGS, formula_tree, pieces, to_markup


def joined(parts: list[Any]) -> str:
    return "".join(part if isinstance(part, str) else "".join(part[:-1]) for part in parts)


def sources(text: str) -> list[str]:
    return ["".join(part[:-1]) for part in pieces(text) if isinstance(part, list)]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("Let $x$ be 2.", ["$x$"]),
        (r"so \(a+b\) and \[c\] and $$d$$", [r"\(a+b\)", r"\[c\]", "$$d$$"]),
        ("It costs $5 and then $6.", []),
        ("from $5-$10 to $20", []),
        (r"\$5 and $y$, \$6", ["$y$"]),
        ("$ x $ is spaced", []),
        ("a $b$5", []),
        (r"\[ unclosed", []),
        (r"$\frac{1$", []),  # malformed: its source stays
        ("$a\n\nb$", []),
        ("$" + "x" * 2000 + "$", []),
        (r"\(a \(b\) c", [r"\(b\)"]),
        (r"so \boxed{\frac{1}{2}} and \boxed{3", [r"\boxed{\frac{1}{2}}"]),
        (r"\boxed{\{1\}} or \boxed{\left\{x\right.}", [r"\boxed{\{1\}}", r"\boxed{\left\{x\right.}"]),
        (r"$x$ \boxed{5} $y$ \boxed{6}", ["$x$", r"\boxed{5}", "$y$", r"\boxed{6}"]),
        (r"$\boxed{5}$ or \boxed{\text{costs \$5}} $y$", [r"$\boxed{5}$", r"\boxed{\text{costs \$5}}", "$y$"]),
        (r"\boxed{" + "a" * 1000 + r"$x$}", ["$x$"]),  # too long to draw: what it holds is drawn
    ],
)
def test_what_is_a_formula(text: str, formulas: list[str]) -> None:
    assert sources(text) == formulas
    assert joined(pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "box", "expected"),
    [
        (r"so \boxed{5}.", r"\boxed{5}", ["so ", ["", r"\boxed{5}", "", True], "."]),
        (r"so $\boxed{5}$.", r"\boxed{5}", ["so ", ["$", r"\boxed{5}", "$", True], "."]),
        (r"$x$ so \boxed{5} as $y$", r"\boxed{5}", [["$x$", True], " so ", ["", r"\boxed{5}", "", True], " as ", ["$y$", True]]),
        (r"\[ y = \boxed{5} \] end", r"\boxed{5}", [[r"\[ y = ", r"\boxed{5}", r" \]", True], " end"]),
        (r"\boxed{\frac{1}", r"\boxed{\frac{1}", [["", r"\boxed{\frac{1}", "", False]]),
    ],
)  # fmt: skip
def test_the_graded_box_is_a_piece_of_its_own(text: str, box: str, expected: list[Any]) -> None:
    start = text.index(box)
    found = pieces(text, (start, start + len(box)))
    assert [p if isinstance(p, str) else [*p[:-1], bool(p[-1])] for p in found] == expected
    assert joined(found) == text
    plain = pieces(text, (start, start + len(box)), formulas=False)
    assert joined(plain) == text and [p[1] for p in plain if isinstance(p, list)] == [box]


def test_a_box_that_a_formula_cuts_loses_no_text() -> None:
    text = r"$a \boxed{1$ + b} $c$"
    start = text.index(r"\boxed")
    assert joined(pieces(text, (start, start + 13))) == text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x", '<math display="inline"><mi>x</mi></math>'),
        (r"\frac{1}{2}", '<math display="inline"><mfrac><mn>1</mn><mn>2</mn></mfrac></math>'),
        (r"a<b", '<math display="inline"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>'),
        (r"\boxed{3}", '<math display="inline"><mrow class="boxed"><mn>3</mn></mrow></math>'),
    ],
)
def test_markup(source: str, expected: str) -> None:
    assert str(to_markup(f"${source}$")) == expected


HOSTILE = {
    "braces": "{" * 900, "superscripts": "^" * 900, "deep": "x" + "^{x" * 90 + "}" * 90, "fractions": r"\frac" * 180,
    "roots": r"\sqrt" * 190, "matrices": r"\begin{matrix}" * 60, "columns": "&" * 900, "left": r"\left(" * 160,
    "macros": r"\newcommand{\a}{xx}\newcommand{\b}{\a\a}\b", "itself": r"\def\a{\a\a}\a", "control": "\x00\x01\x1b",
    "texts": r"\text{" * 140, "link": r"\href{javascript:alert(1)}{x}", "colour": r"\color{red;background:url(x)}{x}",
    "primes": "'" * 900, "script": "<script>alert(1)</script>", "middle": r"\middle|" * 120, "surrogate": "\ud800",
    "space": r"\hspace{1e9em}x", "array": r"\begin{array}{" + "c" * 900 + r"}a\end{array}", "many": "1+" * 499 + "1",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_formulas_end_soon_and_stay_inside(name: str) -> None:
    began = time.perf_counter()
    tree = formula_tree(HOSTILE[name])
    assert time.perf_counter() - began < 0.5
    text = json.dumps(tree)
    assert len(text) < 60_000 and "javascript" not in text and "url(" not in text
    markup = str(to_markup(f"\\[{HOSTILE[name]}\\]"))
    assert set(re.findall(r"<(\w+)", markup)) <= TAGS and " href" not in markup


@pytest.mark.parametrize(
    "text",
    [
        "$x$" * 5_000,
        "$" * 20_000,
        r"\(" * 10_000,
        r"\[" * 10_000,
        "$a " * 7_000,
        r"\boxed{" * 9_000,
        r"\boxed{a{b}" * 5_000,
    ],
)
def test_a_long_text_of_delimiters_ends_soon(text: str) -> None:
    began = time.perf_counter()
    found = pieces(text)
    assert time.perf_counter() - began < 3
    assert joined(found) == text and len(sources(text)) <= MOST_FORMULAS


def test_time_is_linear(million: str) -> None:
    began = time.process_time()
    assert joined(pieces(million)) == million
    assert time.process_time() - began < 5  # of which 80 formulas at 10 ms each
