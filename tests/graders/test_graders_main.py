"""The command line: files in input order, atomic, and one sentence for what a user can get wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graders.__main__ import main

LINES = [
    {"id": 1, "gold": "0.5", "output": r"so \boxed{\frac12}"},
    {"id": "b", "gold": "7", "answer": "8"},
    {"id": None, "gold": "7", "output": "seven"},
    {"id": 4, "gold": r"\ln 8", "answer": r"3\ln 2"},
    {"id": 5, "gold": "a\u2028b", "answer": "a\u2028b"},
]
FIELDS = ["id", "status", "correct", "strict", "normalized", "extracted", "rule", "cpu_ms"]


def _write(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_grade_writes_a_line_each_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = _write(tmp_path / "in.jsonl", [*LINES]), tmp_path / "out.jsonl"
    assert main(["grade", str(source), "--out", str(target), "--workers", "1"]) == 0
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n") if line]
    assert [row["id"] for row in rows] == [1, "b", None, 4, 5]
    assert [row["status"] for row in rows] == ["correct", "wrong", "no_box", "correct", "correct"]
    assert all(list(row) == FIELDS for row in rows)
    assert "equivalent 3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source, target] or len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json\n", ["line 1", "not json", "is not JSON"]),
        ('{"id": 1, "gold": "5", "answer": "5"}\n{"id": 2}\n', ["line 2", '"gold" is missing']),
        ('{"id": 1, "gold": "5"}\n', ["line 1", "output", "answer"]),
        ('{"id": 1, "gold": 5, "answer": "5"}\n', ["line 1", '"gold" is 5', "quotes"]),
        ("[1]\n", ["line 1", "is not an object"]),
    ],
)
def test_bad_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: list[str]) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(text, encoding="utf-8")
    assert main(["grade", str(source), "--out", str(target)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and str(source) in message
    assert [word for word in said if word not in message] == []
    assert not target.exists()


def test_missing_file_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "does not exist" in capsys.readouterr().err
    source = _write(tmp_path / "in.jsonl", [*LINES])
    assert main(["grade", str(source), "--out", str(tmp_path / "no" / "out.jsonl")]) == 2
    assert "create it" in capsys.readouterr().err
    assert main(["grade", str(source), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_explain_shows_every_rung(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", r"\frac12", "50\\%"]) == 0
    shown = capsys.readouterr().out
    assert [rung for rung in ("exact", "normalized", "numeric", "structure", "verdict") if rung not in shown] == []
    assert "percent" in shown


@pytest.mark.parametrize(
    ("gold", "answer", "line"),
    [("(x+1)^2", "x^2+2x+1", "algebra    (x+1)^2 | x^2+2x+1: equal"),
     ("x", "y", "algebra    x | y: differs"), ("$5$", "5", "exact      equal"),
     (r"\ln 8", r"3\ln 2", "symbolic   equal"), ("9^9^9", "9^9^8", "refused    "),
     ("A. or B", "A", "structure  differs"), (r"\boxed{7}", "7", "exact      equal"),
     ("7" * 9_000, "8", "verdict    wrong")],
)  # fmt: skip
def test_explain_goes_on_to_the_last_rung(
    capsys: pytest.CaptureFixture[str], gold: str, answer: str, line: str
) -> None:
    assert main(["explain", gold, answer]) == 0
    assert line in capsys.readouterr().out


def test_as_a_module(tmp_path: Path) -> None:
    source, target = _write(tmp_path / "in.jsonl", [*LINES]), tmp_path / "out.jsonl"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "graders", "grade", str(source), "--out", str(target)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(target.read_text(encoding="utf-8").strip().split("\n")) == len(LINES)
