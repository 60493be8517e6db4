"""A decision becomes a line of the case tables, once."""

import json
from pathlib import Path

import pytest

from graders.__main__ import main

TABLES = Path(__file__).parent / "cases"


def test_a_decision_is_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "mine.jsonl"
    said = ["label", "--table", str(table), "--family", "base"]
    assert main([*said, "2516_8", "2516", "different"]) == 0
    assert main([*said, "--one-way", r"\frac12", "50\\%", "equal"]) == 0
    assert [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()] == [
        {"family": "base", "gold": "2516_8", "answer": "2516", "equal": False},
        {"family": "base", "gold": r"\frac12", "answer": "50\\%", "equal": True, "one_way": True},
    ]
    assert capsys.readouterr().out.count("the grader agrees") == 2


def test_a_decision_against_the_grader_says_that_tests_will_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", "--table", str(tmp_path / "t.jsonl"), "5", "6", "equal"]) == 0
    assert "the grader says wrong (numeric), so the tests fail" in capsys.readouterr().out


def test_a_pair_is_decided_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.jsonl"
    assert main(["label", "--table", str(table), "5", "6", "different"]) == 0
    assert main(["label", "--table", str(tmp_path / "other.jsonl"), "5", "6", "equal"]) == 2
    assert f"{table}, line 1" in capsys.readouterr().err
    assert not (tmp_path / "other.jsonl").exists()


@pytest.mark.parametrize("line", ["no", "[" * 100_000, "5", '{"gold": "5"}', "\ufeff{}"])
def test_a_damaged_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text(f"\n{line}\n", encoding="utf-8")
    assert main(["label", "--table", str(table), "5", "6", "different"]) == 2
    message = capsys.readouterr().err
    assert f"{table}, line 2 is not a case" in message and message.count("\n") == 1
    assert table.read_text(encoding="utf-8") == f"\n{line}\n"


def test_a_table_without_a_last_line_end(tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text('{"gold": "1", "answer": "2"}')
    assert main(["label", "--table", str(table), "5", "6", "different"]) == 0
    golds = [json.loads(line)["gold"] for line in table.read_text().splitlines()]
    assert golds == ["1", "5"]


def test_the_default_table_is_among_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["label", "5", "6", "different"]) == 2
    assert "run from the project's root" in capsys.readouterr().err
    (tmp_path / "tests" / "graders" / "cases").mkdir(parents=True)
    assert main(["label", "5", "6", "different"]) == 0
    assert (tmp_path / "tests" / "graders" / "cases" / "labelled.jsonl").exists()


def test_no_pair_of_the_tables_is_decided_twice() -> None:
    lines = [json.loads(line) for table in TABLES.glob("*.jsonl") for line in table.read_text().splitlines()]
    pairs = [(line["gold"], line["answer"]) for line in lines]
    assert [pair for pair in pairs if pairs.count(pair) > 1] == []
