"""Several samples a problem: pass@k, and what a majority vote over the samples answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from statistics import fmean

from graders import Verdict, grade_answers


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that at least one of `k` samples is right, when `correct` of `n` drawn samples are: unbiased.

    1 - C(n - c, k) / C(n, k), Chen et al. (2021), "Evaluating Large Language Models Trained on Code", arXiv:2107.03374,
    equation 1. Worked example: 2 right of 8 give 0.25 for k = 1 and 0.786 for k = 4. Raises ValueError unless k <= n.
    """
    if not 0 < k <= n:
        raise ValueError(f"k is {k}; it must be from 1 to the {n} samples drawn")
    return 1 - comb(n - correct, k) / comb(n, k)


def sampled_shares(verdicts: Mapping[str, Sequence[Verdict]]) -> dict[str, object]:
    """Over problems (id -> its samples' verdicts): "pass_at_k" for k = 1, 2, 4, … and K, and "maj_at_k" for K samples.

    pass@1 is mean@K, the share of right samples. A vote that is tied between a right and m wrong answers counts 1 / (m + 1).
    Samples without a box abstain; one that could not be judged is an answer of its own, and not right.
    """
    samples = len(next(iter(verdicts.values())))
    right = [sum(verdict.correct for verdict in row) for row in verdicts.values()]
    ks = sorted({*(1 << power for power in range(samples.bit_length())), samples})
    return {
        "pass_at_k": {str(k): fmean(pass_at_k(samples, count, k) for count in right) for k in ks},
        "maj_at_k": fmean(majority_votes(list(verdicts.values()))),
    }


def majority_votes(problems: Sequence[Sequence[Verdict]]) -> list[float]:
    """For each problem the share of the vote's winners that is right: 1, 0, or between them where the vote is tied."""
    wrong = [sorted({v.extracted for v in row if v.extracted is not None and not v.correct}) for row in problems]
    # All right answers equal the reference, hence each other; which wrong ones are equal has to be asked.
    pairs = [pair for texts in wrong for pair in combinations(texts, 2)]
    equal = {pair for pair, verdict in zip(pairs, grade_answers(pairs), strict=True) if verdict.correct}
    return [_vote(row, texts, equal) for row, texts in zip(problems, wrong, strict=True)]


def _vote(row: Sequence[Verdict], wrong: list[str], equal: set[tuple[str, str]]) -> float:
    leader = {text: text for text in wrong}
    for first, second in combinations(wrong, 2):
        if (first, second) in equal:
            leader[second] = leader[first]
    votes: dict[str, int] = {}
    for verdict in row:
        if verdict.extracted is not None and not verdict.correct:
            votes[leader[verdict.extracted]] = votes.get(leader[verdict.extracted], 0) + 1
    right, most = sum(verdict.correct for verdict in row), max(votes.values(), default=0)
    if right != most:
        return float(right > most)
    return 1 / (1 + sum(count == most for count in votes.values())) if right else 0.0
