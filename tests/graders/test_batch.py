"""One verdict a pair, in input order, with levels that nest."""

import json
from dataclasses import asdict

import pytest

from graders import NOT_JUDGED, Verdict, grade, grade_answer, grade_answers, grade_many
from graders.verdict import Status

OUTPUTS = [
    (r"so \boxed{\frac{1}{2}}", "0.5", "correct"),
    (r"so \boxed{3}", "4", "wrong"),
    ("no box", "4", "no_box"),
    (r"\boxed{4", "4", "no_box"),
    (r"\boxed{4}", "", "unparsed_gold"),
    ("no box", " $ $ ", "unparsed_gold"),
    (r"\boxed{9^9^9^9}", r"9^9^9^8", "timeout"),
    (r"\boxed{\ln 8}", r"3\ln 2", "correct"),
]


@pytest.mark.parametrize(("output", "gold", "status"), OUTPUTS)
def test_grade(output: str, gold: str, status: str) -> None:
    assert grade(output, gold).status == status


R = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("answer", "gold", "extracted", "status"),
    [
        ("\ud800", "5", R, "wrong"),
        ("\ud800", "\udfff", R, "correct"),
        ("5\ud83d", "5", f"5{R}", "wrong"),
        ("\ud83d\ude00", "5", R * 2, "wrong"),  # a pair as Python never makes one itself
        ("5\0", "5", "5\0", "wrong"),
        ("\x1b\x85\x7f", "5", "\x1b\x85\x7f", "wrong"),
        (r"3\ln 2", r"\ln 8\ud800", r"3\ln 2", "wrong"),
        ("\ud800" * 9_000, "5", R * 9_000, "wrong"),
    ],
)
def test_text_that_is_not_unicode(answer: str, gold: str, extracted: str, status: str) -> None:
    verdicts = [grade_answer(answer, gold), *grade_many([(f"\ud800\\boxed{{{answer}}}", gold)])]
    for verdict in verdicts:
        assert (verdict.extracted, verdict.status) == (extracted, status)
        assert json.dumps(asdict(verdict), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", [r"\ud800", "x\ud800", "\0", "\x1b", "\U0010ffff", R])
def test_any_text_gets_a_verdict_of_a_worker(name: str) -> None:
    """In both sides of a pair that the cheap rungs leave open."""
    answer, gold = rf"3\ln 2 + {name}", rf"\ln 8 + {name} + 1"
    (verdict,) = grade_answers([(answer, gold)], workers=1)
    assert verdict.status == "wrong"
    assert json.dumps(asdict(verdict), ensure_ascii=False).encode()


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_many_is_one_by_one(workers: int | None) -> None:
    pairs = [(output, gold) for output, gold, _ in OUTPUTS] * 3
    assert [v.status for v in grade_many(pairs, workers)] == [status for _, _, status in OUTPUTS] * 3


def test_nothing_in_nothing_out() -> None:
    assert grade_many([]) == []


def test_progress_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    grade_many([(output, gold) for output, gold, _ in OUTPUTS] * 2, progress=lambda *step: seen.append(step))
    assert seen[-1] == (2 * len(OUTPUTS), 2 * len(OUTPUTS))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_defect_costs_one_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(answer: str, gold: str) -> None:
        raise KeyError("x")

    monkeypatch.setattr("graders.batch.climb", broken)
    (verdict,) = grade_answers([("1", "2")])
    assert (verdict.status, verdict.correct) == ("error", False)
    assert "KeyError" in verdict.rule


@pytest.mark.parametrize(
    ("status", "judged"),
    [
        *(("correct", True), ("wrong", True), ("no_box", True)),
        *(("timeout", False), ("unparsed_gold", False), ("error", False)),
    ],
)
def test_what_was_judged(status: Status, judged: bool) -> None:
    right = status == "correct"
    assert Verdict(status, right, False, False, "5", "rule", 0.0).judged == judged
    assert (status in NOT_JUDGED) != judged


def test_levels_nest() -> None:
    with pytest.raises(ValueError, match="nest"):
        Verdict("correct", True, True, False, "5", "exact", 0.0)
    with pytest.raises(ValueError, match="nest"):
        Verdict("timeout", True, False, False, "5", "exact", 0.0)
