"""Copies are found however they are typed; problems that differ in what decides the answer are never merged."""

import random

import numpy as np
import pytest

from data.dedup import HASHES, group, kept, rank, signatures
from data.text import normalised

TOM = "Tom has 12 apples and gives 5 of them to his sister Ann. How many apples does Tom have left in the basket at the end?"
SUM = "Find the largest integer $n$ for which the sum of the first $n$ positive integers is less than $500$ and $n$ is odd."


def groups(*texts, threshold=0.8):
    return group(signatures(texts), [normalised(text) for text in texts], threshold).tolist()


SAME = [
    (TOM, TOM.upper()),
    (TOM, TOM.replace("12 apples", "$12$ apples").replace(". How", ".\n\nHow")),
    (TOM, TOM.replace("basket", "bag")),
    (TOM, f"{TOM} Please explain."),
    (SUM, SUM.replace("integer $n$", "integer $n,$").replace("Find", "Determine")),
    ("", "..."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_copy_is_in_the_group_of_the_first(one, other):
    assert groups("Another problem.", one, other, threshold=0.7) == [0, 1, 1]


DIFFERENT = [
    (TOM, TOM.replace("12", "13")),
    (TOM, TOM.replace("5 of", "seven of")),
    (TOM, TOM.replace("12", "5").replace("gives 5", "gives 5 and 5")),
    (SUM, SUM.replace("largest", "smallest")),
    (SUM, SUM.replace("odd", "even")),
    (SUM, SUM.replace("sum", "product")),
    (TOM, TOM.replace("How many apples does Tom have left", "How many more apples does Tom have than Ann")),
    ("Compute $3x + 2$ at $x = 4$.", "Compute $3x - 2$ at $x = 4$."),
    ("Find $\\sin 60^\\circ$.", "Find $\\cos 60^\\circ$."),
    ("What is 2 + 3?", "What is 3 + 4?"),
    (
        "If $x - y = 6$ and $x + y = 12$, what is the value of $x$?",
        "If $x - y = 6$ and $x + y = 12$, what is the value of $y$?",
    ),
    (
        "In how many ways can one arrange the letters of the word RADII?",
        "In how many ways can one arrange the letters of the word TOOT?",
    ),
    (
        "Let $f(x)$ be odd. Is \\(f(f(f(x)))\\) even or odd or neither?",
        "Let $f(x)$ be odd. Is \\(f(f(x))\\) even or odd or neither?",
    ),
    ("I choose two socks of the same color out of 10 socks.", "I choose two socks of different color out of 10 socks."),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_number_sign_or_deciding_word_is_another_problem(one, other):
    assert groups(one, other, threshold=0.5) == [0, 1]


def test_chunks_and_order_do_not_matter():
    texts = [f"{TOM} {number}" for number in range(50)] + ["", "x"]
    whole = signatures(texts)
    assert whole.shape == (52, HASHES + 1) and whole.dtype == np.uint32
    parts = np.vstack([signatures(texts[start : start + 7]) for start in range(0, 52, 7)])
    assert (whole == parts).all()
    assert (signatures(texts[::-1])[::-1] == whole).all()
    assert signatures([]).shape == (0, HASHES + 1) and group(signatures([]), []).tolist() == []


def test_bands_find_what_comparing_all_pairs_finds():
    """Random copies with changed words, against the quadratic comparison of the same estimates."""
    rng = random.Random(0)
    words = [one + other for one in "bcdfghjklmnpqrstvwxz" for other in "abcdefghijklmnopqrst"]
    texts = [" ".join(rng.choices(words, k=40)) for _ in range(150)]
    for text in texts[:100]:
        copy = text.split()
        copy[rng.randrange(40)] = rng.choice(words)
        texts.append(" ".join(copy))
    hashes = signatures(texts)
    found = group(hashes, texts, 0.8)
    estimated = (hashes[:, None, :-1] == hashes[None, :, :-1]).mean(axis=2)
    pairs = {(i, j) for i in range(250) for j in range(i + 1, 250) if estimated[i, j] >= 0.8}
    assert len(pairs) > 50
    merged = {(i, j) for i in range(250) for j in range(i + 1, 250) if found[i] == found[j]}
    assert merged <= pairs and len(merged) >= 0.95 * len(pairs)


def test_a_chain_of_changes_is_not_one_group():
    """Each is alike to the one before; the last has nothing of the first."""
    words = [one + other for one in "bcdfgh" for other in "abcdefghij"]
    chain = [" ".join(f"x{word}" if k < step else word for k, word in enumerate(words)) for step in range(0, 61, 2)]
    found = groups(*chain)
    assert found[1] == 0 and found[-1] != 0
    members = [np.flatnonzero(np.array(found) == number) for number in set(found)]
    assert max(map(len, members)) < 8


def test_a_bucket_of_thirty_thousand_equal_rows_costs_no_quadratic_time():
    hashes = np.repeat(signatures([TOM]), 30_000, axis=0)
    assert (group(hashes, range(30_000)) == 0).all()


@pytest.mark.parametrize("hostile", ["\ud800 half a character", "word " * 400_000, "1" * 2_000_000, "a" * 2_000_000])
def test_hostile_texts_have_a_signature(hostile):
    assert groups(hostile, TOM, hostile) == [0, 1, 0]


BEST_FIRST = [
    "Five and two is seven: $\\boxed{7}$ as was to be shown, and checked.",
    "So $\\boxed{7}$.",
    "Long. " * 1000 + "$\\boxed{7}$",
    "Long. " * 1001 + "$\\boxed{7}$",
    "Five and two is seven: $\\boxed{7.0}$ as was to be shown, and checked.",
    "Five and two is seven, as was to be shown, and checked: the answer is 7.",
    "The box never closes: $\\boxed{7$",
]


def test_the_rule_for_whom_to_keep():
    shuffled = BEST_FIRST[:]
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=lambda solution: rank(solution, "7")) == BEST_FIRST
    assert kept(np.array([0, 0, 2, 0, 2]), [(1,), (0,), (5,), (0,), (4,)]).tolist() == [False, True, False, False, True]
