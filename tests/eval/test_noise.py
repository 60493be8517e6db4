"""Repeated decodings of one checkpoint: what flips, and how the repeats are folded into what they repeat."""

import numpy as np

from eval.noise import Noise, fold_repeats, noise_floor
from eval.scores import Graded


def graded(*scores):
    return Graded("sha", 1, tuple(f"p{i}" for i in range(len(scores))), {"equivalent": np.array(scores)}, {})


def test_a_problem_flips_when_any_decoding_differs():
    floor = noise_floor([graded(1, 0, 1, 0), graded(1, 1, 1, 0), graded(0, 0, 1, 0)])
    assert floor == Noise(decodings=3, problems=4, flipped=2, low=0.25, high=0.75)
    assert str(floor) == "2 of 4 problems flip between 3 decodings, which give 25.0 to 75.0 %"


def test_equal_decodings_have_no_noise_even_where_nothing_was_judged():
    assert noise_floor([graded(1, np.nan, 0), graded(1, np.nan, 0)]) == Noise(2, 3, 0, 0.5, 0.5)


def test_repeats_belong_to_what_they_follow():
    rows = [{"key": "a", "repeat": 0}, {"key": "b", "repeat": 0}, {"key": "c", "repeat": 1}]
    kept, floors = fold_repeats(rows, {"a": graded(1), "b": graded(1, 0), "c": graded(0, 0)})
    assert [row["key"] for row in kept] == ["a", "b"]
    assert floors == {"b": Noise(2, 2, 1, 0.0, 0.5)}
