"""What reports say in words, with the figures that once made a sentence wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import _moved
from eval.compare import more_problems, verdict_on
from eval.noise import Noise
from eval.report.ablation import ArmRow
from eval.report.ablation import verdict as arm_verdict
from eval.report.items import Columns
from eval.report.plots import NARROW, WIDE, accuracy_curve
from eval.report.ranking import Group, base_words, best_row, make_group, standing_sentences, undecided_sentence
from eval.report.views import breakdowns
from eval.scores import LEVELS, Graded
from eval.stats import OverSeeds, Paired, accuracy_interval, smallest_detectable_difference
from eval.words import at_most, bounds, p_words, signed, size, tenths, why_not
from tests.eval.report_folder import make_summary


@pytest.mark.parametrize(
    ("share", "cell", "sentence"),
    [
        (0.0, "0.0", "0 points"),
        (0.0004, "0.0", "less than 0.1 points"),
        (-0.0004, "0.0", "less than 0.1 points"),
        (0.0006, "+0.1", "0.1 points"),
        (-0.158, "−15.8", "15.8 points"),
        (1e-17, "0.0", "0 points"),
    ],
)
def test_a_difference_has_a_sign_only_where_it_shows(share: float, cell: str, sentence: str) -> None:
    assert (signed(share), size(share)) == (cell, sentence)
    assert "-" not in signed(share) + tenths(100 * share) + bounds(share, share)


@pytest.mark.parametrize(
    ("p", "corrected", "said"),
    [
        (0.03, 0.09, "p = 0.030, 0.090 after Holm's correction over 3 pairs"),
        (0.03, 0.03, "p = 0.030"),
        (0.0001, 0.0003, "p < 0.001"),
        (0.0002, 0.02, "p < 0.001, 0.020 after Holm's correction over 3 pairs"),
        (0.0496, 0.0504, "p = 0.0496, 0.0504 after Holm's correction over 3 pairs"),
    ],
)
def test_a_p_value_comes_with_its_correction(p: float, corrected: float, said: str) -> None:
    assert p_words(p, corrected, "3 pairs") == said


@pytest.mark.parametrize(
    ("p", "corrected", "low", "high", "said"),
    [
        (0.03, 0.09, 0.003, 0.1, "leaves out 0, but is of this pair alone and not corrected"),
        (0.06, 0.06, 0.001, 0.1, "leaves out 0, but is approximate"),
        (0.04, 0.04, -0.001, 0.1, "holds 0, but is approximate"),
        (0.03, 0.03, 0.003, 0.1, ""),
        (0.30, 0.90, -0.05, 0.1, ""),
    ],
)
def test_an_interval_that_disagrees_with_the_verdict_is_explained(
    p: float, corrected: float, low: float, high: float, said: str
) -> None:
    found = why_not(p, corrected, low, high)
    assert (said in found) if said else not found


def pair(**changes: float) -> Paired:
    figures = {"n": 1000, "a": 0.5, "b": 0.5, "low": -0.01, "high": 0.01, "p": 0.5, "fixed": 9, "broken": 9}
    return Paired(**{**figures, "discordant": 0.1, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pair(b=0.5003), "cannot be told apart: B is ahead by less than 0.1 points, 95 % interval −1.0 to 1.0; "),
        (pair(a=0.5003), "cannot be told apart: A is ahead by less than 0.1 points, 95 % interval −1.0 to 1.0; "),
        (pair(b=0.5 + 1e-16), "cannot be told apart: equally many of 1,000 problems right."),
        (pair(b=0.55, low=0.002, high=0.1, p=0.06), "95 % interval 0.2 to 10.0 (p = 0.060; the interval leaves out 0,"),
        (pair(b=0.55, low=0.01, high=0.1, p=0.01), "B is better by 5.0 points, 95 % interval 1.0 to 10.0."),
    ],
)
def test_the_verdict_on_a_pair(found: Paired, said: str) -> None:
    assert said in verdict_on(dict.fromkeys(LEVELS, found))
    assert "0.0 points" not in verdict_on(dict.fromkeys(LEVELS, found))


def test_no_difference_needs_no_problems() -> None:
    assert more_problems(pair(b=0.5 + 1e-16)) is None


def arm(difference: float, low: float, high: float, p: float, corrected: float) -> ArmRow:
    over = OverSeeds(pair(b=0.5 + difference), low, high, p, 0.02)
    return ArmRow("new", (), {}, (0.0, 1.0), over, corrected)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            arm(0.05, 0.003, 0.097, 0.03, 0.09),
            "new cannot be told from old: +5.0 points, 95 % interval +0.3 to +9.7, p = 0.030, 0.090 after Holm's correction "
            "over 3 arms; the interval leaves out 0, but is of this pair alone and not corrected; so many",
        ),
        (arm(-0.0003, -0.02, 0.02, 0.9, 0.9), "old: less than 0.1 points lower, 95 % interval −2.0 to +2.0, p = 0.900; "),
        (arm(0.0, -0.02, 0.02, 1.0, 1.0), "old: equal, 95 % interval −2.0 to +2.0, p = 1.000; "),
        (arm(-0.1, -0.15, -0.05, 0.001, 0.003), "worse than old by 10.0 points, 95 % interval 5.0 to 15.0, p = 0.001, 0.003"),
    ],
)  # fmt: skip
def test_the_verdict_on_an_arm(row: ArmRow, said: str) -> None:
    assert said in arm_verdict(row, "old", 3)
    assert "-" not in arm_verdict(row, "old", 3)


def group_of(scores: Mapping[int | None, np.ndarray], samples: int = 1, **changes: object) -> Group:
    """Checkpoints (None: the base model) with these scores a problem; what is nan is undecided and counts as wrong."""
    summaries, graded = [], {}
    for step, mine in scores.items():
        outputs = mine.size * samples
        right = round(float(np.nansum(mine)) * samples)
        summary = make_summary(step, right, n=outputs, samples=samples, **changes)
        summaries.append(summary)
        ids = tuple(f"p{place}" for place in range(mine.size))
        graded[summary["key"]] = Graded("ab", samples, ids, dict.fromkeys(LEVELS, mine), {})
    return make_group(summaries, graded)


def right(*places: range, n: int = 200) -> np.ndarray:
    scores = np.zeros(n)
    for one in places:
        scores[list(one)] = 1.0
    return scores


def said(group: Group) -> str:
    return " ".join(standing_sentences(group))


def test_what_only_holm_keeps_together_is_said_with_both_p_values() -> None:
    # 14 against 4 of 200: p = 0.031 alone, and 0.092 as the smallest of three.
    group = group_of({1: right(range(100)), 2: right(range(4, 114)), 3: right(range(104))})
    assert "cannot be told apart from" in said(group)
    told = "Without Holm's correction over 3 pairs step 2 would be told apart from step 1 (p = 0.031, corrected 0.093)."
    assert told in said(group)


@pytest.mark.parametrize(
    ("base", "best", "words", "sentence"),
    [
        (range(120), range(80), "20.0 points below base (told apart)",
         "No checkpoint is above base: the best, step 2, is 20.0 points below it (told apart, p < 0.001)."),
        (range(81), range(80), "0.5 points below base (cannot be told apart)",
         "No checkpoint is above base: the best, step 2, is 0.5 points below it (cannot be told apart, p = 1.000)."),
        (range(80), range(80), "equal to base", "Against base, step 2 gets the same share right (cannot be told apart, p = 1.000)."),
        (range(40), range(80), "+20.0 points over base (told apart)",
         "Against base, step 2 is 20.0 points higher (told apart, p < 0.001)."),
    ],
)  # fmt: skip
def test_the_best_is_held_against_the_base(base: range, best: range, words: str, sentence: str) -> None:
    group = group_of({None: right(base), 1: right(range(10)), 2: right(best)})
    assert base_words(group) == words and sentence in said(group)


def test_the_base_without_verdicts_is_compared_by_its_share() -> None:
    group = make_group([make_summary(None, 60), make_summary(15, 54), make_summary(30, 48)])
    assert base_words(group) == "5.0 points below base"
    assert "No checkpoint is above base: the best, step 15, is 5.0 points below it." in said(group)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("undecided", [0, 20])
def test_new_problems_are_never_expected_to_give_more_than_is_shown(seed: int, undecided: int) -> None:
    random = np.random.default_rng(seed)
    scores = {step: (random.random(150) < 0.76).astype(float) for step in range(1, 5)}
    scores[5] = (random.random(150) < 0.9).astype(float)
    for mine in scores.values():
        mine[random.choice(150, undecided, replace=False)] = np.nan
    group = group_of(scores)
    shown = round(100 * best_row(group).summary["equivalent"], 1)
    found = re.search(r"flatters it by (?:about ([\d.]+)|less than 0\.1) points: expect ([\d.]+)%", said(group))
    assert found
    assert float(found[2]) <= shown
    assert float(found[1] or 0) == pytest.approx(shown - float(found[2]), abs=0.051)


def test_what_can_be_detected_is_of_all_pairs_and_not_of_the_best_two() -> None:
    # The best two disagree on 2 of 200 problems; with the third they disagree on 60.
    group = group_of({1: right(range(100)), 2: right(range(102)), 3: right(range(50), range(190, 200))})
    least, most = (smallest_detectable_difference(200, share) for share in (0.01, 62 / 200))
    assert f"a difference of {100 * least:.1f} to {100 * most:.1f} points or more, by pair" in said(group)
    assert "1.0% to 31.0% of problems discordant" in said(group) and "before Holm's correction over 3 pairs" in said(
        group
    )


def test_samples_of_a_problem_are_counted_once() -> None:
    alone = said(group_of({1: np.full(12, 0.5)}, samples=4))
    assert "12 problems with 4 samples each can show a difference of 65.4 points or more" in alone
    assert "samples of a problem counted as one" in alone and "48" not in alone
    random = np.random.default_rng(0)
    two = {step: random.integers(0, 5, 12) / 4 for step in (1, 2)}
    discordant = float(((two[1] - two[2]) ** 2).mean())
    points = 100 * smallest_detectable_difference(12, discordant)
    assert f"12 problems with 4 samples each can show a difference of {points:.1f} points" in said(
        group_of(two, samples=4)
    )


def test_intervals_by_subject_are_over_problems() -> None:
    scores = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    problems = [{"subject": "ab"[place % 2], "level": None, "source": None} for place in range(6)]
    positions = [place for place in range(6) for _ in range(4)]
    statuses = ["correct" if scores[place] else "wrong" for place in positions]
    rest = [[""] * 24, [""] * 24, statuses, [""] * 24, [0] * 24, [None] * 24, [1] * 24]
    (first, second) = breakdowns(Columns(4, positions, *rest), problems)["subject"]  # type: ignore[arg-type]
    assert (first.low, first.high) == accuracy_interval(scores[::2], 4)
    assert (second.low, second.high) == accuracy_interval(scores[1::2], 4) and first.judged == 12


@pytest.mark.parametrize(("points", "shown"), [(0.008, "0.1"), (2.5, "2.5"), (2.51, "2.6"), (100.0, "100.0")])
def test_a_bound_is_rounded_up(points: float, shown: str) -> None:
    assert at_most(points) == shown


def test_one_undecided_output_of_many_is_not_worth_nothing() -> None:
    (row,) = make_group(
        [make_summary(15, 6000, n=12_032, statuses={"correct": 6000, "wrong": 6031, "timeout": 1})]
    ).rows
    assert undecided_sentence(row).endswith("its accuracy may be up to 0.1 points higher.")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.25, 0.25, "25.0 -> 25.0 % (unchanged)"),
        (0.25, 0.2502, "25.0 -> 25.0 % (up by less than 0.1 points)"),
        (0.25, 0.2498, "25.0 -> 25.0 % (down by less than 0.1 points)"),
        (0.25, 0.2, "25.0 -> 20.0 % (−5.0 points)"),
        (0.25, 0.3, "25.0 -> 30.0 % (+5.0 points)"),
    ],
)
def test_what_grading_again_changed(before: float, after: float, said: str) -> None:
    assert _moved(before, after) == said


def test_decodings_that_agree_span_nothing() -> None:
    assert str(Noise(2, 100, 2, 0.2, 0.2)).endswith("2 decodings, which all give 20.0 %")
    assert str(Noise(2, 100, 2, 0.2, 0.25)).endswith("2 decodings, which give 20.0 to 25.0 %")


@pytest.mark.parametrize(
    "steps", [[15, 30, 45, 60], [7], [1, 2], [3, 1000], list(range(1, 201)), [100, 1000, 10_000, 1_234_567]]
)
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_ticks_stand_at_steps_that_were_evaluated(steps: list[int], size: tuple[int, int]) -> None:
    svg = accuracy_curve(make_group([make_summary(step, 20) for step in (None, *steps)]), size)
    ticks = [int(text) for text in re.findall(r'class="xtick_\d+".*?>([^<>]+)</text>', svg, re.DOTALL)]
    assert ticks == sorted(set(ticks)) and set(ticks) <= set(steps) and ticks[-1] == steps[-1]
    assert len(ticks) <= 10 and (len(steps) > 4 or len(ticks) == len(steps) or steps[-1] >= 1000 or len(steps) == 1)


def test_sentences_in_files_for_machines_leave_the_numbers_alone() -> None:
    found = pair(b=0.45, low=-0.09, high=-0.01, p=0.01)
    assert json.loads(json.dumps(vars(found)))["low"] == -0.09


def test_no_page_or_module_writes_a_signed_figure_by_itself() -> None:
    """A format of its own would bring the hyphen back; `words` has the minus sign."""
    root = Path(__file__).resolve().parents[2]
    rooms = ("eval", "data", "training", "bench")
    files = [path for room in rooms for path in (root / room).rglob("*") if path.suffix in (".py", ".j2")]
    found = [path.name for path in files if re.search(r":\+[.,\d]*f|%\+", path.read_text(encoding="utf-8"))]
    assert found == []
