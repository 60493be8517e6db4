r"""What typing alone decides is gone; what changes a problem stays."""

import pytest

from data.text import masked, normalised

SAME = [
    ("What is $2+3$?", "what is 2 + 3"),
    (r"Compute $\dfrac{1}{2} \cdot 1{,}000$.", r"compute \frac12 * 1000"),
    (r"\left( x, y \right)", "(x,y)"),
    (r"Find $\sin 45^\circ$.", "Find $\\sin 45^{\\circ}$"),
    (r"a \le b \neq c", "a ≤ b ≠ c"),
    (r"It costs \$5.50, doesn’t it?", "It costs $5.50 doesn't it"),
    (r"$x^{10}\text{ cm}$", "x^10 cm"),
    ("a two-digit number", "a two digit number"),
    (r"$10\,000\%$", "10 000%"),
    (r"\[\begin{aligned} x &= 1 \\ y &= 2 \end{aligned}\]", "aligned x = 1 y = 2 aligned"),
    ("Tom ’s cat isn 't in", "Tom's cat isn't in"),
    ("3 − 2 × 4", r"$3 - 2 \times 4$"),
    ("Einen\u00a0Weg  STRASSE", "einen weg straße"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_typings_of_one_problem_are_equal(one, other):
    assert normalised(one) == normalised(other) != ""


DIFFERENT = [
    ("x+1", "x-1"),
    ("2.5", "25"),
    ("x^2", "2x"),
    ("{1,2}", "{12}"),
    ("a < b", "a > b"),
    ("a < b", "a <= b"),
    ("(1,2000)", "12000"),
    (r"\frac{12}{5}", r"\frac{1}{25}"),
    ("5!", "5"),
    ("f'(2)", "f(2)"),
    (r"\sin x", r"\cos x"),
    ("50% of 3", "50 of 3"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_changes_a_problem_stays(one, other):
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize("text", ["", " \n", "?!."[:1], "$$", "\\", "\ud800", "\\[\\]"])
def test_nothing_but_punctuation_is_empty(text):
    assert normalised(text) == "" == masked(text)


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Tom has 12 pens and buys seven more.", "tom has 0 pens and buys 0 more"),
        ("1,234.5 and .5 and 2/3", "0 and 0 and 0 / 0"),
        ("Someone else", "someone else"),
    ],
)
def test_numbers_in_digits_and_words_are_masked(text, template):
    assert masked(text) == template


def test_normalising_twice_changes_nothing(shared):
    import gzip
    import json

    with gzip.open(shared / "data" / "benchmarks" / "math-test.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["problem"] for line in lines]
    for text in texts:
        assert normalised(normalised(text)) == normalised(text), text


HOSTILE = [
    "\\",
    "frac1",
    "1,000",
    "a-",
    "aa-",
    "a'",
    "1",
    ". ",
    "\\left",
    "\\bigg",
    "1{,}",
    "ß",
    "\u0301",
    "!",
    "\\" + "a" * 99,
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_ends(piece):
    """A megabyte of what the expressions look at; a quadratic one would take minutes here."""
    assert len(normalised(piece * (1_000_000 // len(piece)))) <= 3_000_000
