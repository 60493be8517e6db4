"""Intervals against published values and against the formulas written out."""

from __future__ import annotations

from math import sqrt

import pytest

from eval.stats import half_width, smallest_detectable_difference, wilson

Z = 1.959964


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
