"""The panel: four columns, disagreements worst first, and a second opinion that cannot hang the command."""

import json
import time
from pathlib import Path

import pytest

from graders import grade_answers, second_opinion
from graders.__main__ import main
from graders.panel import KINDS, disagreements, listing, table

PAIRS: list[tuple[str | None, str]] = [
    ("5", "5"), ("0.5", "1/2"), ("0.5", "1/2"), (r"\dfrac12", r"\frac12"), ("2516", "2516_8"), ("2516", "2516_8"),
    (r"50\%", "50.0"), (r"x=1,\,y=2", "3"), (None, "7"), (r"9^9^9^9", r"9^9^9^8"), ("4", "5"),
]  # fmt: skip
SECOND: dict[tuple[str | None, str], bool | None] = {
    ("5", "5"): True, ("0.5", "1/2"): True, (r"\dfrac12", r"\frac12"): True, ("2516", "2516_8"): True,
    (r"50\%", "50.0"): False, (r"x=1,\,y=2", "3"): None, (r"9^9^9^9", r"9^9^9^8"): None, ("4", "5"): False,
}  # fmt: skip


def test_disagreements_come_worst_first_and_once() -> None:
    rows = disagreements(PAIRS, grade_answers(PAIRS), SECOND)
    assert [(row.kind, row.count, row.gold) for row in rows] == [
        ("accepted here, refused by Math-Verify", 1, "50.0"),
        ("refused here, accepted by Math-Verify", 2, "2516_8"),
        ("not judged", 1, "9^9^9^8"),
        ("equivalent only", 2, "1/2"),
        ("normalized only", 1, r"\frac12"),
    ]
    assert [row.kind for row in rows] == list(KINDS)


def test_without_a_second_opinion_the_band_is_left() -> None:
    rows = disagreements(PAIRS, grade_answers(PAIRS), {})
    assert [row.kind for row in rows] == ["not judged", "equivalent only", "equivalent only", "normalized only"]


def test_columns_are_counted_over_all_outputs() -> None:
    lines = table(PAIRS, grade_answers(PAIRS), SECOND, asked=True)
    assert [line.split()[:2] for line in lines[:4]] == [
        ["strict", "1"], ["normalized", "2"], ["equivalent", "5"], ["Math-Verify", "6"],
    ]  # fmt: skip
    assert lines[4] == "Math-Verify did not decide 2"
    assert len(table(PAIRS, grade_answers(PAIRS), {}, asked=False)) == 3


def test_a_listing_names_the_command_and_what_it_leaves_out() -> None:
    rows = disagreements(PAIRS, grade_answers(PAIRS), {})
    text = "\n".join(listing(rows, 1))
    assert r"python -m graders label '9^9^9^8' '9^9^9^9' equal|different" in text
    assert "and 1 more (--show 2)" in text
    assert listing([], 5) == []


def test_no_command_for_characters_that_a_terminal_does_not_show() -> None:
    pairs: list[tuple[str | None, str]] = [("9^9^9^9\x1b", "9^9^9^8"), ("5", "\0")]
    rows = disagreements(pairs, grade_answers(pairs), dict.fromkeys(pairs, True))
    assert rows and "label" not in "\n".join(listing(rows, 5))


def _file(folder: Path) -> Path:
    path = folder / "in.jsonl"
    rows = [{"id": k, "gold": gold, "answer": answer} for k, (answer, gold) in enumerate(PAIRS) if answer is not None]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.skipif(bool(second_opinion.missing_packages()), reason="math_verify or pebble is absent")
def test_command_with_math_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["panel", str(_file(tmp_path)), "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert "Math-Verify" in shown and "refused here, accepted by Math-Verify: 1 pairs, 2 outputs" in shown


def test_command_without_math_verify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_opinion, "PACKAGES", ("a_package_that_is_not_there",))
    assert main(["panel", str(_file(tmp_path))]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1 and "a_package_that_is_not_there" in shown.err and "pip install" in shown.err
    assert "equivalent" in shown.out and "Math-Verify" not in shown.out.split("not judged")[0]


@pytest.mark.skipif(bool(second_opinion.missing_packages()), reason="math_verify or pebble is absent")
def test_a_second_opinion_is_killed_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "TIMEOUT_S", 6.0)
    tower = "5^{5^{5^{5^{5}}}}"
    started = time.perf_counter()
    pairs = [("7", "7"), (tower, "1"), (tower, "5"), ("7", "8")]
    assert second_opinion.second_opinions(pairs, 2)[::3] == [True, False]
    assert time.perf_counter() - started < 60


def test_no_pairs_are_no_question() -> None:
    if not second_opinion.missing_packages():
        assert second_opinion.second_opinions([], 2) == []
