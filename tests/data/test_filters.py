"""Each filter on rows that it must keep and rows that it must drop, and why; hostile rows cost seconds at most."""

from __future__ import annotations

import time

import pytest

from data.filters import FILTERS

ASY = '[asy] draw((0,0)--(1,1)); label("A. B. C. D.", (0,0)); [/asy]'
WORKING = "Adding the two numbers gives the total. "


def row(
    problem: str = "What is the sum of 2 and 3?", solution: str = f"{WORKING}$\\boxed{{5}}$.", **more: str
) -> dict[str, str]:
    empty = dict.fromkeys(("id", "source", "answer", "subject", "level", "difficulty"), "")
    return empty | {"problem": problem, "solution": solution} | more


# filter, parameters, row -> the reason, None to keep
CASES = [
    ("has_box", {}, row(), None),
    ("has_box", {}, row(solution="It is 5."), "no box"),
    ("has_box", {}, row(solution="\\boxed{3} and \\boxed{5"), "last box never closes, has no braces, or is empty"),
    ("has_box", {}, row(solution="\\boxed 5$"), "last box never closes, has no braces, or is empty"),
    ("not_proof", {}, row(), None),
    ("not_proof", {}, row("Prove that $n^2 + n$ is even."), "asks for a proof"),
    ("not_proof", {}, row("Let $n$ be odd. Show that $8$ divides $n^2 - 1$."), "asks for a proof"),
    ("not_proof", {}, row("Prove that it is even, and find its last digit."), None),
    ("not_proof", {}, row("A TV show has 3 hosts. How many pairs are there?"), None),
    ("not_proof", {}, row(solution="Hence \\boxed{\\text{Q.E.D.}}"), "proof in the box"),
    ("not_proof", {}, row(solution="The area is $\\boxed{114\\text{ square units}}$."), None),
    ("one_answer", {}, row(), None),
    ("one_answer", {}, row("Which is it? (A) 1 (B) 2 (C) 3"), "multiple choice"),
    ("one_answer", {}, row("Which? $\\textbf{(A)}\\ 1 \\qquad\\textbf{(B)}\\ 2 \\qquad\\textbf{(C)}\\ 3$"), "multiple choice"),
    ("one_answer", {}, row("Which is it?\nA. 1\nB. 2\nC. 3\nD. 4"), "multiple choice"),
    ("one_answer", {"multiple_choice": True}, row("Which is it? (A) 1 (B) 2 (C) 3"), None),
    ("one_answer", {}, row(f"Find $x$. {ASY}"), None),
    ("one_answer", {}, row("Given $P(A)$, $P(B)$ and $P(C)$, find $P(A \\cup B)$."), None),
    ("one_answer", {}, row("In triangle $ABC$, $A$ and $B$ are known. Find $C$."), None),
    ("one_answer", {}, row(solution="The roots are $\\boxed{2, 3}$."), "several answers"),
    ("one_answer", {}, row(solution="They are $\\boxed{2\\text{ and }3}$."), "several answers"),
    ("one_answer", {"several": True}, row(solution="The roots are $\\boxed{2, 3}$."), None),
    ("one_answer", {}, row(solution="The point is $\\boxed{(2, 3)}$."), None),
    ("one_answer", {}, row(solution="The set is $\\boxed{\\{2, 3\\}}$."), None),
    ("one_answer", {}, row(solution="They are $\\boxed{1,\\!234}$, or \\boxed{1,234}."), None),
    ("one_answer", {}, row(solution="\\boxed{\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}}"), None),
    ("one_answer", {}, row("Let $x = 3$.\n1. Find $x + 1$.\n2. Find $x + 2$."), "several questions"),
    ("one_answer", {}, row("Find the least $n$ such that\n(1) $n$ is even\n(2) $n > 8$."), None),
    ("language", {}, row("Wanda weighs 30 pounds more than Yola does. How much does Yola weigh if Wanda weighs 80 pounds today?"), None),
    ("language", {}, row("Ein Bauer hat zwölf Kühe und kauft noch drei dazu. Wie viele Kühe besitzt der Bauer danach insgesamt?",
                         "Er hatte zwölf und kaufte drei, also besitzt er fünfzehn: \\boxed{15}"), "another language"),
    ("language", {}, row("Sea $n$ un número entero positivo tal que la suma de sus cifras es igual a siete. Calcule el valor de $n$ cuando "
                         "tiene dos cifras y la primera es el doble más uno.", "Se tiene que \\boxed{52}"), "another language"),
    ("language", {}, row("已知函数 $f(x)=x^2$，求 $f(3)$。", "\\boxed{9}"), "another script"),
    ("language", {}, row("Find $\\alpha + \\beta$ for Méliès and Françoise.", "α + β = π, so \\boxed{\\pi}"), None),
    ("not_empty", {}, row(" \n"), "empty or tiny problem"),
    ("not_empty", {}, row("Evaluate $2^{10}$."), None),
    ("not_empty", {}, row(solution="$\\boxed{5}$"), "solution without a way to the answer"),
    ("no_links", {}, row("See https://example.org/a.png and add."), "link or image"),
    ("no_links", {}, row("![](figure)"), "link or image"),
    ("no_links", {}, row(ASY), None),
    ("no_links", {"drawings": False}, row(ASY), "drawing as code"),
    ("no_boilerplate", {}, row(solution=f"{WORKING}\\boxed{{5}}. I hope this helps!"), "boilerplate: assistant's phrases"),
    ("no_boilerplate", {}, row(solution=f"{WORKING}\\boxed{{5}}.\n~MRENTHUSIASM"), "boilerplate: forum signature"),
    ("no_boilerplate", {}, row(solution="To be sure, we measure. Our solution by substitution gives \\boxed{5}."), None),
    ("no_boilerplate", {}, row(solution="```python\nprint(2 + 3)\n```\n\\boxed{5}"), "boilerplate: code"),
    ("no_boilerplate", {"code": True}, row(solution="```python\nprint(2 + 3)\n```\n\\boxed{5}"), None),
    ("no_boilerplate", {}, row("Translate the segment by 2 units."), None),
    ("no_repeats", {}, row(solution=WORKING * 3), None),
    ("no_repeats", {}, row(solution="So we add both sides of it. " * 4), "repeats a sentence"),
    ("no_repeats", {}, row(solution="wait " * 300), "repeats itself"),
    ("no_runaway", {}, row(), None),
    ("no_runaway", {}, row(solution="\\boxed{5}\n### Problem: What is 1 + 1?"), "begins another problem"),
    ("no_runaway", {}, row(solution="\\boxed{5} " + "and further on " * 40), "goes on after its box"),
    ("no_runaway", {"characters_after_box": 1000}, row(solution="\\boxed{5} " + "and further on " * 40), None),
    ("no_runaway", {}, row(solution="\\boxed{5} \\boxedx " + "and further on " * 40), "goes on after its box"),
    ("no_runaway", {}, row(solution="\\boxed{5} " + "and further on " * 40 + "\\boxed{5}"), None),
    ("no_runaway", {}, row(solution="\\boxed{5}\n\n \n  Problem 2: What is 1 + 1?"), "begins another problem"),
    ("style", {"keep": "short"}, row(solution="word " * 151), "solution is long"),
    ("style", {"keep": "long"}, row(solution="word " * 151), None),
    ("style", {"keep": "long"}, row(), "solution is short"),
    ("only", {"source": ["numinamath/*"]}, row(source="numinamath/math"), None),
    ("only", {"source": ["numinamath/*"], "level": ["Level 5"]}, row(source="numinamath/math", level="Level 1"), "level not selected"),
    ("without", {"source": ["*/cn_k12"]}, row(source="numinamath/cn_k12"), "source excluded"),
    ("without", {"source": ["*/cn_k12"]}, row(source="numinamath/math"), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "example", "reason"), CASES)
def test_a_filter_keeps_a_row_or_says_why_not(name, parameters, example, reason):
    assert FILTERS[name](example, **parameters) == reason


def test_every_filter_has_a_row_that_it_drops():
    assert {name for name, _, _, reason in CASES if reason} == set(FILTERS)


HOSTILE = [
    "\\boxed{" * 60_000,
    "(A" * 250_000,
    "[asy]" * 100_000,
    "$" * 500_000,
    "prove " * 90_000,
    "\n1." * 150_000,
    "~" * 500_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:8])
def test_a_hostile_row_costs_little(text):
    began = time.process_time()
    for name, keep in FILTERS.items():
        keep(row(text, text))
        assert time.process_time() - began < 20, name


def test_time_is_linear(million):
    for name, keep in FILTERS.items():
        began = time.process_time()
        keep(row(million + "x", million + "x"))
        assert time.process_time() - began < 3, name
