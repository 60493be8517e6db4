"""Intervals and tests against published values, against the libraries' own, and against simulated sweeps."""

from __future__ import annotations

from functools import cache
from math import isnan, nan, sqrt

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_rel  # type: ignore[import-untyped]
from statsmodels.stats.contingency_tables import mcnemar

from eval import stats
from eval.stats import (
    Scores,
    accuracy_interval,
    best_of,
    groups,
    half_width,
    holm,
    mean_over_seeds,
    paired,
    paired_over_seeds,
    pairwise_p,
    problems_needed,
    seed_spread,
    smallest_detectable_difference,
    told_apart,
    wilson,
)

Z = 1.959964
COVERAGE = (0.94, 0.965)  # what a 95 % interval must keep in simulation


def two(fixed: int, broken: int, both: int = 0, neither: int = 0) -> tuple[Scores, Scores]:
    """Scores of A and B: so many problems that only B gets right, only A, both, neither."""
    a = np.repeat([0.0, 1.0, 1.0, 0.0], [fixed, broken, both, neither])
    return a, np.repeat([1.0, 0.0, 1.0, 0.0], [fixed, broken, both, neither])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high", "source"),
    [
        (0, 0, 0.0, 1.0, "nothing counted: nothing known"),
        (0, 10, 0.0, 0.2775, "Brown, Cai & DasGupta (2001): upper limit z^2 / (n + z^2)"),
        (10, 10, 0.7225, 1.0, "mirror image of the row above"),
        (0, 100, 0.0, 0.0370, "z^2 / (n + z^2)"),
        (30, 100, 0.2189, 0.3958, "formula by hand"),
        (81, 263, 0.2553, 0.3662, "Newcombe (1998), table I, method 3"),
        (15, 148, 0.0624, 0.1605, "Newcombe (1998), table I, method 3"),
        (1, 29, 0.0061, 0.1718, "Newcombe (1998), table I, method 3"),
    ],
)
def test_wilson_gives_known_values(successes: int, n: int, low: float, high: float, source: str) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-5), source


@pytest.mark.parametrize("n", [1, 7, 120, 5000])
def test_wilson_is_the_formula_and_is_symmetric(n: int) -> None:
    for successes in {0, 1, n // 3, n}:
        p = successes / n
        centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        spread = Z * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
        low, high = wilson(successes, n)
        assert (low, high) == pytest.approx((centre - spread, centre + spread), abs=1e-6)
        assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))
        assert 0.0 <= low <= p <= high <= 1.0


def test_wilson_narrows_with_less_confidence() -> None:
    low, high = wilson(50, 100, confidence=0.8)
    assert (low, high) == pytest.approx((0.4364, 0.5636), abs=6e-5)


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10), (1, 0)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} of {n}"):
        wilson(successes, n)


@pytest.mark.parametrize(("n", "points"), [(100, 9.0), (500, 4.0), (5000, 1.3)])
def test_half_width_at_30_percent(n: int, points: float) -> None:
    assert round(100 * half_width(0.3, n), 1) == points


@pytest.mark.parametrize(("p", "n"), [(0.3, 0), (-0.1, 10), (1.1, 10)])
def test_half_width_refuses_what_is_no_share(p: float, n: int) -> None:
    with pytest.raises(ValueError):
        half_width(p, n)


@pytest.mark.parametrize(("n", "points"), [(500, 4.9), (5000, 1.5)])
def test_smallest_difference_at_15_percent_discordant_and_80_percent_power(n: int, points: float) -> None:
    assert round(100 * smallest_detectable_difference(n, discordant=0.15, power=0.8), 1) == points


def test_smallest_difference_is_large_sided_against_the_exact_sample_size() -> None:
    discordant, z_level, z_power = 0.15, Z, 0.841621
    difference = smallest_detectable_difference(500, discordant)
    needed = (z_level * sqrt(discordant) + z_power * sqrt(discordant - difference**2)) ** 2 / difference**2
    assert 490 < needed <= 500


def test_smallest_difference_shrinks_with_n_and_stays_possible() -> None:
    differences = [smallest_detectable_difference(n) for n in range(0, 200)]
    assert differences == sorted(differences, reverse=True)
    assert differences[0] == differences[1] == 1.0
    assert all(difference <= 0.15 for difference in differences[53:])


@pytest.mark.parametrize(
    ("difference", "discordant", "needed"),
    [(0.02, 0.15, 2941), (0.01, 0.15, 11771), (-0.02, 0.15, 2941), (0.1, 0.1, 77), (0.0, 0.15, None)],
)
def test_problems_needed_is_the_formula_of_connor(difference: float, discordant: float, needed: int | None) -> None:
    assert problems_needed(difference, discordant) == needed
    if needed:
        spread = Z * sqrt(discordant) + 0.841621 * sqrt(discordant - difference**2)
        assert needed == pytest.approx((spread / difference) ** 2, abs=1.01)


@pytest.mark.parametrize(
    ("counts", "low", "high", "p"),
    [
        ((9, 2, 38, 51), 0.0, 0.14, 0.0654),
        ((12, 2, 38, 48), 0.03, 0.17, 0.0129),
        ((2, 12, 38, 48), -0.17, -0.03, 0.0129),
        ((0, 0, 40, 60), -0.02, 0.02, 1.0),  # never disagree: still an interval with a width
        ((5, 0, 0, 0), 0.33, 1.0, 0.0625),
        ((0, 0, 0, 0), -1.0, 1.0, 1.0),
    ],
)
def test_paired_gives_known_values(counts: tuple[int, int, int, int], low: float, high: float, p: float) -> None:
    a, b = two(*counts)
    found = paired(a, b)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, p), abs=0.011)
    assert (found.n, found.fixed, found.broken) == (sum(counts), counts[0], counts[1])
    assert found.low <= found.difference <= found.high
    assert found == paired(a, b), "the same scores give the same figures"


def test_what_one_side_did_not_judge_is_left_out_of_the_pair() -> None:
    a, b = np.array([1.0, nan, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, nan, 0.0, 1.0])
    found = paired(a, b)
    assert (found.n, found.a, found.b, found.fixed, found.broken) == (3, 2 / 3, 2 / 3, 1, 1)


@pytest.mark.parametrize(("fixed", "broken"), [(0, 0), (1, 0), (5, 0), (9, 2), (2, 9), (30, 30), (140, 100)])
def test_the_p_value_is_the_exact_mcnemar_of_statsmodels(fixed: int, broken: int) -> None:
    found = pairwise_p(np.stack(two(fixed, broken, 20, 30)))
    expected = mcnemar([[20, broken], [fixed, 30]], exact=True).pvalue
    assert found == pytest.approx(np.array([[1, expected], [expected, 1]]))


@pytest.mark.parametrize("missing", [False, True])
def test_with_several_samples_the_p_value_is_the_paired_t_test_of_scipy(missing: bool) -> None:
    scores = np.random.default_rng(3).binomial(4, [[0.3], [0.35], [0.5]], (3, 80)) / 4
    if missing:
        scores[1, 7] = nan
    found = pairwise_p(scores)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        expected = ttest_rel(scores[first], scores[second], nan_policy="omit").pvalue
        assert found[first, second] == pytest.approx(expected) == found[second, first]
    assert found.diagonal() == pytest.approx(1)


def test_the_bootstrap_is_that_of_scipy_but_for_the_half_problems() -> None:
    a, b = two(60, 40, 200, 200)
    expected = bootstrap((b - a,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    found = paired(a, b)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.0025)


def test_samples_of_one_problem_are_one_cluster() -> None:
    scores = np.repeat([1.0, 0.0], [25, 75])  # four samples a problem that always agree
    assert accuracy_interval(scores, samples=4) == pytest.approx(wilson(25, 100), abs=0.012)
    assert accuracy_interval(scores) == wilson(25, 100)
    low, high = wilson(100, 400)
    found = accuracy_interval(scores, samples=4)
    assert found[1] - found[0] > 1.8 * (high - low)


@pytest.mark.parametrize(
    ("given", "adjusted"), [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.2], [0.2]), ([], []), ([0.6, 0.7], [1, 1])]
)
def test_holm(given: list[float], adjusted: list[float]) -> None:
    assert list(holm(given)) == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("order", "pairs", "expected"),
    [
        ([0, 1, 2], [(0, 2)], [[0, 1], [2]]),
        ([2, 1, 0], [(0, 2)], [[2, 1], [0]]),
        ([0, 1, 2, 3], [(0, 2), (0, 3), (2, 3)], [[0, 1], [2], [3]]),
        ([0, 1, 2, 3], [(0, 1), (0, 3)], [[0, 2], [1, 3]]),  # a group need not be a run of neighbours
        ([0, 1], [], [[0, 1]]),
        ([], [], []),
    ],
)
def test_groups_hold_what_cannot_be_told_from_their_best(
    order: list[int], pairs: list[tuple[int, int]], expected: list[list[int]]
) -> None:
    apart = np.zeros((4, 4), dtype=np.bool_)
    for first, second in pairs:
        apart[first, second] = apart[second, first] = True
    assert groups(order, apart) == expected


# Simulated sweeps


@pytest.mark.parametrize("n", [100, 500, 2000])
def test_wilson_covers_95_percent(n: int) -> None:
    truth = np.random.default_rng(n).uniform(0.02, 0.98, 20_000)
    right = np.random.default_rng(n + 1).binomial(n, truth)
    bounds = np.array([wilson(k, n) for k in range(n + 1)])[right]
    covered = ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).mean()
    assert COVERAGE[0] <= covered <= COVERAGE[1], covered


@pytest.mark.parametrize(
    ("n", "discordant", "difference"), [(100, 0.15, 0.0), (100, 0.2, 0.06), (200, 0.1, 0.03), (500, 0.05, 0.01)]
)
def test_the_paired_interval_covers_95_percent(n: int, discordant: float, difference: float) -> None:
    @cache
    def interval(fixed: int, broken: int) -> tuple[float, float]:
        found = paired(*two(fixed, broken, neither=n - fixed - broken))
        return found.low, found.high

    up, down = (discordant + difference) / 2, (discordant - difference) / 2
    drawn = np.random.default_rng(n).multinomial(n, [up, down, 1 - up - down], size=6000)
    covered = np.mean([low <= difference <= high for low, high in (interval(*row[:2]) for row in drawn.tolist())])
    assert COVERAGE[0] <= covered <= COVERAGE[1], covered


def sweep(rng: np.random.Generator, rows: int, problems: int, samples: int, spread: float) -> Scores:
    """Scores of `rows` equal checkpoints. A problem's difficulty is theirs in common; `spread` 0 makes all alike."""
    difficulty = rng.beta(0.4 / spread, 0.6 / spread, problems) if spread else np.full(problems, 0.4)
    return rng.binomial(samples, difficulty, (rows, problems)) / samples


def test_the_interval_over_clusters_covers_95_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RESAMPLES", 1000)
    rng = np.random.default_rng(4)
    pairs = [sweep(rng, 2, 200, samples=4, spread=1.0) for _ in range(800)]
    covered = np.mean([found.low <= 0 <= found.high for a, b in pairs for found in [paired(a, b, samples=4)]])
    assert COVERAGE[0] <= covered <= COVERAGE[1], covered
    covered = np.mean([low <= 0.4 <= high for a, _ in pairs for low, high in [accuracy_interval(a, samples=4)]])
    assert COVERAGE[0] <= covered <= COVERAGE[1], covered


@pytest.mark.parametrize(("samples", "spread"), [(1, 0.0), (1, 1.0), (4, 1.0)])
def test_ten_equal_checkpoints_have_a_false_winner_in_at_most_5_percent_of_sweeps(
    samples: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # statsmodels' Holm collects garbage, 0.1 s a call in a process as full as this one.
    monkeypatch.setattr("gc.collect", lambda: 0)
    rng, pairs = np.random.default_rng(5), np.triu_indices(10, k=1)
    tests = [pairwise_p(sweep(rng, 10, 300, samples, spread)) for _ in range(1500)]
    assert np.mean([holm(p[pairs]).min() < 0.05 for p in tests]) <= 0.05, "the best of them against any"
    assert np.mean([holm(p[0, 1:]).min() < 0.05 for p in tests]) <= 0.05, "each against one named before"


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(6)
    scores = (rng.random((3, 800)) < [[0.3], [0.31], [0.5]]).astype(np.float64)
    apart, p = told_apart(scores), pairwise_p(scores)
    assert groups([2, 1, 0], apart) == [[2], [1, 0]]
    assert list(apart[np.triu_indices(3, k=1)]) == list(holm(p[np.triu_indices(3, k=1)]) < 0.05)
    assert (apart == apart.T).all()


def test_the_best_of_ten_equal_checkpoints_is_brought_back_to_what_they_are() -> None:
    rng = np.random.default_rng(7)
    sweeps = [(rng.random((10, 500)) < 0.3).astype(np.float64) for _ in range(40)]
    assert np.mean([scores.mean(axis=1).max() for scores in sweeps]) == pytest.approx(0.331, abs=0.003)
    assert np.mean([best_of(scores) for scores in sweeps]) == pytest.approx(0.3, abs=0.004)


def test_the_best_of_is_untouched_where_nothing_was_picked() -> None:
    clear = np.stack(two(400, 0, 50, 50))
    assert best_of(clear) == pytest.approx(0.9, abs=0.005)
    assert best_of(clear[:1]) == pytest.approx(0.1, abs=0.005)
    assert best_of(np.array([[1.0], [0.0]])) == 1.0  # a draw of one problem leaves none to score on
    some = clear.copy()
    some[1, ::7] = nan
    assert not isnan(best_of(some))


# Recipes over seeds


def test_the_worked_example_of_two_seeds_each() -> None:
    a, b = (np.stack([scores, scores]) for scores in two(fixed=30, broken=20, both=60, neither=90))
    a[1, 150:154] = b[1, 150:154] = 1.0
    spread = seed_spread([a, b])
    assert spread == (pytest.approx(sqrt(2) / 100), 2)
    found = paired_over_seeds(a, b, spread)
    assert (found.problems.difference, found.low, found.high) == pytest.approx((0.05, -0.0255, 0.1255), abs=1e-3)
    assert found.p == pytest.approx(0.191, abs=1e-3) and found.problems.p == pytest.approx(0.158, abs=1e-3)
    assert found.low < found.problems.low and found.high > found.problems.high
    assert found.detectable == pytest.approx(2.8 * found.se, rel=1e-3)


def test_one_seed_gives_the_exact_paired_test() -> None:
    a, b = two(9, 2, 50, 39)
    found = paired_over_seeds(a[None], b[None], None)
    assert found.problems == paired(a, b)
    assert (found.low, found.high, found.p) == (found.problems.low, found.problems.high, found.problems.p)
    assert seed_spread([a[None], b[None]]) is None


def test_an_arm_without_a_right_answer_says_nothing_about_the_spread() -> None:
    spread = np.zeros((2, 100))
    spread[0, :30] = spread[1, :40] = 1.0
    nothing, all_right = np.zeros((2, 100)), np.ones((2, 100))
    assert seed_spread([spread, nothing, all_right]) == (pytest.approx(sqrt(2) / 20), 1)
    assert seed_spread([nothing, all_right]) is None


def test_what_nobody_judged_is_left_out_of_the_mean() -> None:
    arm = np.array([[1.0, nan, nan], [0.0, 1.0, nan]])
    assert list(mean_over_seeds(arm))[:2] == [0.5, 1.0] and isnan(mean_over_seeds(arm)[2])
    nothing = np.full((1, 3), nan)
    assert paired_over_seeds(arm, nothing, None).p == 1.0
    equal = paired_over_seeds(np.zeros((2, 50)), np.zeros((2, 50)), (0.0, 2))
    assert equal.p == 1.0 and equal.low < 0 < equal.high


def test_equal_recipes_differ_by_their_seeds_and_only_counting_that_keeps_the_promise() -> None:
    """Four equal recipes with two seeds each; accuracies of seeds 4 points apart, as small models' are."""
    rng, alone, with_seeds = np.random.default_rng(8), [], []
    for _ in range(250):
        hardness = rng.normal(-0.5, 2, 300)
        chances = hardness + rng.normal(0, 0.25, (4, 2, 1)) + rng.normal(0, 1, (4, 2, 300))
        arms = list((rng.random(chances.shape) < 1 / (1 + np.exp(-chances))).astype(np.float64))
        found = paired_over_seeds(arms[0], arms[1], seed_spread(arms))
        alone.append(found.problems.p < 0.05)
        with_seeds.append(found.p < 0.05)
    assert np.mean(alone) > 0.15, "two trainings are told apart where two recipes are not"
    assert np.mean(with_seeds) <= 0.06
