"""Intervals for one accuracy, paired comparisons of two, and what may be said of a whole sweep.

All shares are in [0, 1]; 100 times a difference is points. The scores of a checkpoint are one number a problem: the share
of its samples that are right, nan where no sample could be judged. With one sample a problem that is 0 or 1. Problems
are the unit of chance: several samples of one problem are one cluster, and whatever is resampled is problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import binom  # type: ignore[import-untyped]
from scipy.stats import t as student_t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

Scores = npt.NDArray[np.float64]  # (problems,), or (checkpoints, problems); nan where nothing was judged

CONFIDENCE = 0.95
# Two checkpoints of one run disagree about right or wrong on roughly this share of the problems.
TYPICAL_DISCORDANT = 0.15
POWER = 0.8  # the customary chance of finding a difference that is there
RESAMPLES = 10_000  # moves the end of an interval by about 0.02 of its width between seeds
SELECTIONS = 500  # a mean over them, not a tail, so fewer do: 0.05 points of noise at 500 problems
EDGE = 0.02  # a share so close to 0 or 1 has no room to spread
SEED = 0  # the same scores give the same figures


@dataclass(frozen=True)
class Paired:
    """B against A over the `n` problems that both have a score for; `low` and `high` bound b - a.

    `fixed` problems are better under B, `broken` ones worse. `discordant` is the mean square of the differences: with one
    sample a problem, the share of problems that exactly one of the two gets right.
    """

    n: int
    a: float
    b: float
    low: float
    high: float
    p: float
    fixed: int
    broken: int
    discordant: float

    @property
    def difference(self) -> float:
        return self.b - self.a


@dataclass(frozen=True)
class OverSeeds:
    """B against A, each trained with one or several seeds, on the same problems.

    `problems` compares the mean scores over seeds and takes these trainings as given. `low`, `high` and `p` ask what new
    trainings would show as well; with one seed on each side nothing is known of that, and they are those of `problems`.
    `se` is the standard error behind them.
    """

    problems: Paired
    low: float
    high: float
    p: float
    se: float

    @property
    def detectable(self) -> float:
        """The smallest true difference that so many problems and seeds find with 80 % power."""
        return (_two_sided_z(CONFIDENCE) + NormalDist().inv_cdf(POWER)) * self.se


# One accuracy


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval (low, high) of a share, inside [0, 1]; (0.0, 1.0) when nothing was counted.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22; z = 1.96, p = k / n:

        (p + z^2 / 2n  ±  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Worked example: 30 right of 100 gives (0.219, 0.396). Unlike p ± half width it keeps its coverage near 0,
    where untrained models sit: 0 of 100 gives (0.0, 0.037), not (0, 0).

    Outputs are taken as independent: several samples of one problem are not, and want `accuracy_interval`.
    Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], got {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    # Rounding leaves about 1e-17 where the formula gives exactly 0 or 1.
    return (0.0 if successes == 0 else float(low)), (1.0 if successes == n else float(high))


def accuracy_interval(scores: Scores, samples: int = 1) -> tuple[float, float]:
    """The 95 % interval (low, high) of the mean score: Wilson's with one sample a problem, else a bootstrap over problems.

    Worked example: 25 problems with 4 of 4 samples right and 75 with none give (0.17, 0.34), as 25 of 100 do; Wilson's
    interval of 100 of 400 would be (0.21, 0.29), as if each sample were a problem of its own.
    """
    judged = scores[~np.isnan(scores)]
    if samples == 1 or not judged.size:
        return wilson(round(float(judged.sum())), judged.size)
    return _bootstrap(judged, (0.0, 1.0))


def half_width(p: float, n: int) -> float:
    """Half the width of the normal 95 % interval, 1.96 sqrt(p (1 - p) / n): for planning, before outputs exist.

    Worked example: at p = 0.3 it is 0.090 on 100 problems, 0.040 on 500 and 0.013 on 5,000.
    Raises ValueError when `n` is not positive or `p` is no share.
    """
    if n <= 0 or not 0 <= p <= 1:
        raise ValueError(f"a share in [0, 1] and a positive n are needed, got p={p}, n={n}")
    return _two_sided_z(CONFIDENCE) * sqrt(p * (1 - p) / n)


def macro_mean(accuracies: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """(mean, low, high) over benchmarks, each counted alike, of their (share, low, high) with 95 % intervals.

    Benchmarks are independent and fixed: the interval is about other problems of these k benchmarks, and no others.
    Zou and Donner (2008), "Construction of confidence limits about effect measures", Statistics in Medicine 27 (MOVER):

        low = mean - sqrt(sum (share - low)^2) / k        high = mean + sqrt(sum (high - share)^2) / k

    With symmetric intervals that is the normal one, mean ± 1.96 sqrt(sum se^2) / k. Unlike it this keeps Wilson's coverage
    near 0 and 1, and the problems as clusters where there are several samples of each, because both are in the intervals.

    Worked example: 50 of 100 (0.404 to 0.596) and 160 of 200 (0.739 to 0.850) give 0.65 (0.593 to 0.704).
    Raises ValueError for no benchmark.
    """
    if not accuracies:
        raise ValueError("a mean over benchmarks needs at least one")
    k, mean = len(accuracies), sum(share for share, _, _ in accuracies) / len(accuracies)
    below = sqrt(sum((share - low) ** 2 for share, low, _ in accuracies)) / k
    above = sqrt(sum((high - share) ** 2 for share, _, high in accuracies)) / k
    return mean, max(0.0, mean - below), min(1.0, mean + above)


# Two checkpoints on the same problems


def paired(a: Scores, b: Scores, samples: int = 1) -> Paired:
    """B against A, problem by problem: the difference with its 95 % interval, and the p-value of "they are equal".

    The interval is a percentile bootstrap over problems (Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    chapter 13) after adding half a problem that moves by one sample up and half a one that moves down, as Agresti and Min
    (2005), "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine 24, do:
    without them two checkpoints that never disagree would get an interval of no width. The p-value is `pairwise_p`'s.

    Worked example: of 100 problems B fixes 9 and breaks 2: difference 0.07, interval 0.00 to 0.14, p 0.065.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    if not a.size:
        return Paired(0, 0.0, 0.0, -1.0, 1.0, 1.0, 0, 0, 0.0)
    moved = b - a
    low, high = _bootstrap(moved, (-1 / samples, 1 / samples))
    return Paired(
        n=a.size,
        a=float(a.mean()),
        b=float(b.mean()),
        low=low,
        high=high,
        p=float(pairwise_p(np.stack([a, b]))[0, 1]),
        fixed=int((moved > 0).sum()),
        broken=int((moved < 0).sum()),
        discordant=float((moved**2).mean()),
    )


def pairwise_p(scores: Scores) -> Scores:
    """The two-sided p-value of "equal" for every two rows of (checkpoints, problems), as (checkpoints, checkpoints).

    One sample a problem: the exact test of McNemar (1947), "Note on the sampling error of the difference between
    correlated proportions or percentages", Psychometrika 12: of the b + c problems that exactly one of the two gets right,
    b follows a binomial with 1/2. p = 2 P(X <= min(b, c)), at most 1. statsmodels' `mcnemar` gives the same, one pair a
    call. Worked example: 9 against 2 give 0.0654.

    Several samples: the paired t-test of the problems' mean scores, which is the comparison with errors clustered by
    problem of Miller (2024), "Adding Error Bars to Evals", arXiv:2411.00640.
    """
    if np.isin(scores[~np.isnan(scores)], (0.0, 1.0)).all():
        # Counts stay exact in float32 up to 2^24, and its product is the fast one.
        only = (scores == 1).astype(np.float32) @ (scores == 0).astype(np.float32).T
        return np.asarray(np.minimum(1.0, 2 * binom.cdf(np.minimum(only, only.T), only + only.T, 0.5)))
    judged = (~np.isnan(scores)).astype(np.float64)
    right = np.nan_to_num(scores)
    n, total, square = judged @ judged.T, right @ judged.T, (right**2) @ judged.T
    mean, variance = (total - total.T) / n.clip(1), square + square.T - 2 * (right @ right.T)
    variance = (variance - n * mean**2).clip(0) / (n - 1).clip(1)
    # Rounding leaves about 1e-16 where two rows are equal or a constant apart, which is p = 1 and p = 0.
    t_value = np.abs(mean) / np.sqrt(variance.clip(1e-12) / n.clip(1))
    return np.asarray(np.minimum(1.0, 2 * student_t.sf(t_value, (n - 1).clip(1))))


def pairwise_discordant(scores: Scores) -> tuple[Scores, Scores]:
    """(problems that both judged, mean square of the differences) for every two rows of (checkpoints, problems).

    With one sample a problem the second is the share of problems that exactly one of the two gets right; with several it is
    what the variance of the difference of two problems' means is at most, so clusters are counted once.
    """
    judged = (~np.isnan(scores)).astype(np.float64)
    right = np.nan_to_num(scores)
    n, square = judged @ judged.T, (right**2) @ judged.T
    return n, np.asarray((square + square.T - 2 * (right @ right.T)).clip(0) / n.clip(1))


# Two recipes, each trained with several seeds


def seed_spread(arms: Sequence[Scores]) -> tuple[float, int] | None:
    """(standard deviation of an arm's accuracy between its seeds, degrees of freedom), pooled over `arms`.

    Each is (seeds, problems). Two seeds an arm say little, all arms together more: the spread is taken to be the same in
    all of them, but for arms that get next to nothing right, or wrong: those cannot spread, and say nothing of the others.
    None where no arm has two seeds to go by.
    """
    accuracies = [np.nanmean(arm, axis=1) for arm in arms if len(arm) > 1]
    accuracies = [one for one in accuracies if EDGE < one.mean() < 1 - EDGE]
    freedom = sum(len(one) - 1 for one in accuracies)
    if not freedom:
        return None
    return sqrt(sum(float(((one - one.mean()) ** 2).sum()) for one in accuracies) / freedom), freedom


def paired_over_seeds(a: Scores, b: Scores, spread: tuple[float, int] | None) -> OverSeeds:
    """B against A, both (seeds, problems) with the same problems; `spread` is what `seed_spread` gave for all arms.

    The mean over seeds is compared problem by problem. To the variance over problems comes that between trainings:

        se^2 = variance(differences) / n + sd^2 (1 / seeds of A + 1 / seeds of B)

    with Student's t and Satterthwaite's (1946, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2) degrees of freedom. Chance that falls on single problems is in both terms, so the interval errs
    to the wide side. Half a problem each way is added as in `paired`. One seed on both sides: `paired`'s own figures.

    Worked example: 200 problems and two seeds each, B fixes 30 and breaks 20 with both seeds, and the seeds of each are 2
    points apart (sd 1.4 points, 2 degrees of freedom): difference 0.05, interval -0.026 to 0.126, p 0.19; over the
    problems alone -0.020 to 0.119, p 0.16.
    """
    samples = max(len(a), len(b))
    found = paired(mean_over_seeds(a), mean_over_seeds(b), samples)
    if not found.n:
        return OverSeeds(found, found.low, found.high, found.p, 1.0)
    mean = found.difference * found.n / (found.n + 1)
    of_problems = ((found.discordant * found.n + samples**-2) / (found.n + 1) - mean**2) / found.n
    if samples == 1 or spread is None:
        return OverSeeds(found, found.low, found.high, found.p, sqrt(of_problems))
    of_seeds = spread[0] ** 2 * (1 / len(a) + 1 / len(b))
    se, squared = sqrt(of_problems + of_seeds), (of_problems + of_seeds) ** 2
    freedom = squared / (of_problems**2 / max(1, found.n - 1) + of_seeds**2 / spread[1])
    reach = float(student_t.ppf(0.5 + CONFIDENCE / 2, freedom)) * se
    p = float(2 * student_t.sf(abs(found.difference) / se, freedom))
    return OverSeeds(found, max(-1.0, found.difference - reach), min(1.0, found.difference + reach), p, se)


def mean_over_seeds(arm: Scores) -> Scores:
    """(problems,) of (seeds, problems): the mean of what was judged, nan where nothing was."""
    judged = (~np.isnan(arm)).sum(axis=0)
    return np.asarray(np.where(judged, np.nansum(arm, axis=0) / judged.clip(1), np.nan))


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


def problems_needed(difference: float, discordant: float, power: float = POWER) -> int | None:
    """How many problems the paired test needs to find a true `difference` with `power`; None for a difference of 0.

    Connor (1987) as above, in full: ((z_0.975 sqrt(discordant) + z_power sqrt(discordant - difference^2)) / difference)^2.
    Worked example: 2 points at 15 % discordant need 2,941 problems, 1 point 11,771.
    """
    if not difference:
        return None
    spread = sqrt(discordant), sqrt(max(0.0, discordant - difference**2))
    return ceil(float(normal_sample_size_one_tail(abs(difference), power, (1 - CONFIDENCE) / 2, *spread)))


# A sweep


def holm(p_values: npt.ArrayLike) -> Scores:
    """The p-values adjusted so that all of them together err in at most 5 % of sweeps when compared with 0.05.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    Worked example: 0.01, 0.04, 0.03 become 0.03, 0.06, 0.06.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    return np.asarray(multipletests(p_values, method="holm")[1]) if p_values.size else p_values


def told_apart(scores: Scores) -> npt.NDArray[np.bool_]:
    """Which two rows of (checkpoints, problems) differ, as (checkpoints, checkpoints): paired tests, Holm over all pairs.

    Over all pairs, although a reader looks at those with the best only: the best was picked on the same problems, so it
    may be any of the rows. Holm over the K - 1 pairs with it declares a winner among 10 equal rows in 9 to 16 % of
    simulated sweeps, over all pairs in 3 to 5 %.
    """
    return corrected_p(pairwise_p(scores)) < 1 - CONFIDENCE


def corrected_p(p_values: Scores) -> Scores:
    """Holm's correction of `pairwise_p` over all pairs; 1 on the diagonal."""
    above = np.triu_indices(len(p_values), k=1)
    corrected = np.ones_like(p_values)
    corrected[above] = holm(p_values[above])
    return np.asarray(np.minimum(corrected, corrected.T))


def groups(order: Sequence[int], apart: npt.NDArray[np.bool_]) -> list[list[int]]:
    """`order` (best first) cut into groups, best group first: the best one left, with all that cannot be told from it.

    Members of one group may be told apart from each other, only not from the first one. Worked example: where 0 and 2
    are apart but 1 is apart from neither, the order 0, 1, 2 gives [[0, 1], [2]].
    """
    found, left = [], list(order)
    while left:
        found.append([row for row in left if row == left[0] or not apart[left[0], row]])
        left = [row for row in left if row not in found[-1]]
    return found


def best_of(scores: Scores) -> float:
    """The share that the best of the K rows of (checkpoints, problems) would get on new problems: less than it shows here.

    Bootstrap bias correction of Tsamardinos, Greasidou and Borboudakis (2018), "Bootstrapping the out-of-sample
    predictions for efficient and accurate cross-validation", Machine Learning 107: draw problems with replacement, pick
    the best row on those drawn, score it on those never drawn; the mean over many draws. What is picked may differ
    between draws: this judges the picking, as it was done here, not one checkpoint.

    Worked example: 10 independent checkpoints that truly get 30 % of 500 problems show a best of about 33.2 %; this
    gives about 30 %.
    """
    judged = ~np.isnan(scores)
    right, judged_weights = np.where(judged, scores, 0.0).astype(np.float32).T, judged.astype(np.float32).T
    draws = np.random.default_rng(SEED).integers(0, scores.shape[1], (SELECTIONS, scores.shape[1]))
    drawn = np.stack([np.bincount(draw, minlength=scores.shape[1]) for draw in draws]).astype(np.float32)
    never = (drawn == 0).astype(np.float32)
    with np.errstate(invalid="ignore"):  # 0 / 0 where a draw left nothing out: nan, and not in the mean
        picked = np.nan_to_num((drawn @ right) / (drawn @ judged_weights)).argmax(axis=1)
        fresh = (never @ right) / (never @ judged_weights)
    kept = fresh[np.arange(SELECTIONS), picked]
    kept = kept[~np.isnan(kept)]
    return float(kept.mean()) if kept.size else float(np.nanmax(np.nanmean(scores, axis=1)))


def _bootstrap(values: Scores, halves: tuple[float, float]) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of `values` and half of each of `halves`, resampled over problems.

    Drawing problems with replacement is drawing how often each distinct value occurs, a multinomial: exact, and as fast
    on 5,000 problems as on 50.
    """
    distinct, where = np.unique(np.append(values, halves), return_inverse=True)
    weights = np.bincount(where, weights=np.append(np.ones(values.size), (0.5, 0.5)))
    counts = np.random.default_rng(SEED).multinomial(values.size + 1, weights / weights.sum(), size=RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(counts @ distinct / (values.size + 1), (tail, 1 - tail))
    # The half problems pull towards the middle; an interval that leaves out its own estimate would only confuse.
    return min(float(low), float(values.mean())), max(float(high), float(values.mean()))


def _two_sided_z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
