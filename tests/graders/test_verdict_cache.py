"""A pair is judged once a process and version; what was not decided is tried again."""

from collections import Counter

import pytest

from graders import batch, cache, grade_answer, grade_answers, pool
from graders.ladder import Step, climb


@pytest.fixture
def climbs(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each (answer, gold) goes up the ladder in this process."""
    counts: Counter[tuple[str, str]] = Counter()

    def counted(answer: str, gold: str) -> Step:
        counts[answer, gold] += 1
        return climb(answer, gold)

    monkeypatch.setattr(batch, "climb", counted)
    return counts


def test_a_pair_is_judged_once(climbs: Counter[tuple[str, str]]) -> None:
    first = grade_answers([("0.5", "1/2"), ("0.5", "1/2"), ("1/2", "0.5")])
    assert grade_answers([("0.5", "1/2")]) == first[:1]
    assert climbs == {("0.5", "1/2"): 1, ("1/2", "0.5"): 1}


def test_another_version_judges_again(climbs: Counter[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    grade_answer("0.5", "1/2")
    monkeypatch.setattr(batch, "GRADER_VERSION", "next")
    grade_answer("0.5", "1/2")
    assert climbs["0.5", "1/2"] == 2


def test_a_limit_is_met_again(climbs: Counter[tuple[str, str]]) -> None:
    assert [grade_answer("9^9^9^9", "9^9^9^8").status for _ in range(2)] == ["timeout"] * 2
    assert climbs["9^9^9^9", "9^9^9^8"] == 2


def test_the_symbolic_rung_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grade_answer(r"3\ln 2", r"\ln 8").rule == "symbolic"
    monkeypatch.setattr(pool.subprocess, "Popen", None)
    monkeypatch.setattr(pool, "_idle", [])
    assert grade_answer(r"3\ln 2", r"\ln 8").rule == "symbolic"


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 10)
    grade_answers([(str(number), "7") for number in range(25)])
    assert 0 < len(cache._verdicts) <= 10
    cache.forget()
    grade_answer("7" + " " * cache.MAX_CHARS, "7")
    assert not cache._verdicts
