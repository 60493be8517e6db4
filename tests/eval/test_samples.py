"""pass@k and maj@k against enumeration and by hand."""

from itertools import combinations

import pytest

from eval.samples import majority_votes, pass_at_k, sampled_shares
from graders import grade


def rows(gold, *answers):
    """Verdicts on boxed answers; None is an output without a box."""
    return [grade("no box" if answer is None else f"\\boxed{{{answer}}}", gold) for answer in answers]


@pytest.mark.parametrize("n", [1, 4, 7])
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_sample(n):
    for correct in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([True] * correct + [False] * (n - correct), k))
            assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize("k", [0, 5])
def test_k_is_at_most_the_samples_drawn(k):
    with pytest.raises(ValueError, match="it must be from 1 to the 4 samples drawn"):
        pass_at_k(4, 1, k)


@pytest.mark.parametrize(
    ("gold", "answers", "share"),
    [
        ("1/2", ["0.5", r"\frac12", "3"], 1),  # right answers vote together, however they are written
        ("5", ["0.5", r"\frac12", "5"], 0),  # wrong ones too
        ("5", ["5", "6"], 1 / 2),
        ("5", ["5", "6", "7"], 1 / 3),
        ("5", ["5", "6", "6.0", "5.0"], 1 / 2),
        ("5", ["5", None, None], 1),  # no box is no vote
        ("5", [None, None], 0),
        ("5", ["6", "7"], 0),
    ],
)
def test_the_majority_is_counted_over_equal_answers(gold, answers, share):
    assert majority_votes([rows(gold, *answers)]) == [pytest.approx(share)]


def test_shares_over_problems():
    shares = sampled_shares({"p": rows("5", "5", "5", "6"), "q": rows("5", "6", "7", "8")})
    assert shares == {"pass_at_k": {"1": pytest.approx(1 / 3), "2": 0.5, "3": 0.5}, "maj_at_k": 0.5}
