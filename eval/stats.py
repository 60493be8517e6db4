"""Intervals for one accuracy, and what a paired comparison of two can detect. All shares are in [0, 1]."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
# Two checkpoints of one run disagree about right or wrong on roughly this share of the problems.
TYPICAL_DISCORDANT = 0.15
POWER = 0.8  # the customary chance of finding a difference that is there


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval (low, high) of a share, inside [0, 1]; (0.0, 1.0) when nothing was counted.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22; z = 1.96, p = k / n:

        (p + z^2 / 2n  ±  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Worked example: 30 right of 100 gives (0.219, 0.396). Unlike p ± half width it keeps its coverage near 0,
    where untrained models sit: 0 of 100 gives (0.0, 0.037), not (0, 0).

    Outputs are taken as independent: several samples of one problem are not, and want a bootstrap over problems.
    Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], got {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    # Rounding leaves about 1e-17 where the formula gives exactly 0 or 1.
    return (0.0 if successes == 0 else float(low)), (1.0 if successes == n else float(high))


def half_width(p: float, n: int) -> float:
    """Half the width of the normal 95 % interval, 1.96 sqrt(p (1 - p) / n): for planning, before outputs exist.

    Worked example: at p = 0.3 it is 0.090 on 100 problems, 0.040 on 500 and 0.013 on 5,000.
    Raises ValueError when `n` is not positive or `p` is no share.
    """
    if n <= 0 or not 0 <= p <= 1:
        raise ValueError(f"a share in [0, 1] and a positive n are needed, got p={p}, n={n}")
    return _two_sided_z(CONFIDENCE) * sqrt(p * (1 - p) / n)


def smallest_detectable_difference(n: int, discordant: float = TYPICAL_DISCORDANT, power: float = POWER) -> float:
    """The smallest true difference between two models on the same `n` problems that McNemar's test finds with `power`.

    `discordant` is the share of problems that exactly one of the two gets right. From the sample size of Connor (1987),
    "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43, two-sided at 5 %:

        difference = (z_0.975 + z_power) sqrt(discordant / n)

    It leaves out the term -difference^2 under the second root, so it errs to the large side, by 0.01 points on 500.
    Worked example: 15 % discordant and 80 % power give 0.049 on 500 problems and 0.015 on 5,000.

    A difference can't exceed the discordant share. Below about 50 problems the formula would claim that; there all
    discordant problems are taken to favour one model, discordant = difference: (z_0.975 + z_power)^2 / n, at most 1.
    """
    if n <= 0:
        return 1.0
    z = _two_sided_z(CONFIDENCE) + NormalDist().inv_cdf(power)
    difference = z * sqrt(discordant / n)
    return difference if difference <= discordant else min(1.0, z * z / n)


def _two_sided_z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
