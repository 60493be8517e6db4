"""Benchmarks as people have them: formats, names of columns, types of values, and files that are something else."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.benchmarks import left_out, load, names
from eval.records import UserError

ROWS = [{"id": "a", "problem": "1 + 1?", "answer": "2"}, {"id": "b", "problem": "2 * 3?\nTell.", "answer": "6, 7"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CELLS = 'id,problem,answer\na,1 + 1?,2\nb,"2 * 3?\nTell.","6, 7"\n'


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


COLUMNS = {key: [row[key] for row in ROWS] for key in ROWS[0]}
PANDAS = {key: {str(place): value for place, value in enumerate(column)} for key, column in COLUMNS.items()}
FORMATS: dict[str, tuple[str, bytes]] = {
    "lines": ("sums.jsonl", LINES.encode()),
    "lines of Windows, with a BOM": ("sums.JSONL", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
    "lines by another name": ("sums.ndjson", LINES.encode()),
    "lines in a .json": ("sums.json", LINES.encode()),
    "an array": ("sums.json", json.dumps(ROWS).encode()),
    "an array in a .jsonl": ("sums.jsonl", json.dumps(ROWS, indent=2).encode()),
    "objects over several lines": ("sums.jsonl", "\n".join(json.dumps(row, indent=2) for row in ROWS).encode()),
    "an object with data": ("sums.json", json.dumps({"version": 1, "tags": ["x"], "data": ROWS}).encode()),
    "an object with a list of another name": ("sums.json", json.dumps({"authors": [{}], "sums": ROWS}).encode()),
    "rows of the hub's server": ("sums.json", json.dumps({"rows": [{"row_idx": 0, "row": r} for r in ROWS]}).encode()),
    "columns": ("sums.json", json.dumps(COLUMNS).encode()),
    "columns as pandas writes them": ("sums.json", json.dumps(PANDAS).encode()),
    "objects by id": ("sums.json", json.dumps({row["id"]: {**row, "id": row["id"]} for row in ROWS}).encode()),
    "CSV": ("sums.csv", CELLS.encode()),
    "CSV of Windows, with a BOM": ("sums.CSV", b"\xef\xbb\xbf" + CELLS.replace("7\"\n", "7\"\r\n").encode()),
    "CSV with semicolons": ("sums.csv", b'id;problem;answer\na;1 + 1?;2\nb;"2 * 3?\nTell.";6, 7\n'),
    "CSV with blank rows": ("sums.csv", (CELLS + ",,\n").encode()),
    "TSV": ("sums.tsv", b'id\tproblem\tanswer\na\t1 + 1?\t2\nb\t"2 * 3?\nTell."\t6, 7\n'),
    "Parquet": ("sums.parquet", as_parquet(ROWS)),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("name", "content"), FORMATS.values(), ids=FORMATS)
def test_every_format_is_the_same_benchmark(name: str, content: bytes, packed: bool, tmp_path: Path) -> None:
    (tmp_path / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    benchmark = load("sums", tmp_path)
    assert [(one.id, one.problem, one.answer) for one in benchmark.problems] == [tuple(row.values()) for row in ROWS]
    as_stated = "".join(json.dumps([row["id"], row["problem"], row["answer"]]) + "\n" for row in ROWS)
    assert benchmark.sha256 == hashlib.sha256(as_stated.encode()).hexdigest()
    assert names(tmp_path) == ["sums"] and left_out(tmp_path) == ""


# A row as it is published -> (id, problem, answer); an id None is made from the text.
SHAPES: dict[str, tuple[dict[str, Any], tuple[str | None, str, str]]] = {
    "MATH-500": ({"unique_id": "test/1.json", "problem": "p", "solution": "s", "answer": "5"}, ("test/1.json", "p", "5")),
    "MATH": ({"problem": "p", "level": "Level 1", "type": "Algebra", "solution": r"so \boxed{5}."}, (None, "p", "5")),
    "GSM8K": ({"question": "p", "answer": "2+3=5\n#### 5"}, (None, "p", "5")),
    "AIME": ({"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 204}, ("2024-I-1", "p", "204")),
    "OlympiadBench": ({"id": 1606, "question": "p", "final_answer": ["2"], "context": None}, ("1606", "p", "2")),
    "OlympiadBench, several": ({"id": 1, "question": "p", "final_answer": ["$1$", "$2$"]}, ("1", "p", "$1$, $2$")),
    "OlympiadBench, a setting": ({"context": "A car.", "question": "p", "final_answer": ["2"]}, (None, "A car.\np", "2")),
    "SVAMP": ({"ID": "c-1", "Body": "Ann has 3.", "Question": "And?", "Answer": 3.0}, ("c-1", "Ann has 3.\nAnd?", "3")),
    "GSM-hard": ({"input": "p", "code": "x", "target": -9867630.0}, (None, "p", "-9867630")),
    "MMLU": ({"question": "p", "choices": ["3", "4"], "answer": 1}, (None, "p\nA) 3 B) 4", "B")),
    "AQuA": ({"question": "p", "options": ["A)21", "B)22"], "correct": "B"}, (None, "p\nA)21 B)22", "B")),
    "choices that are no texts": ({"question": "p", "choices": [{"text": "3"}], "answer": "B"}, (None, "p", "B")),
    "choices that are numbers": ({"question": "p", "choices": [3, 4], "answer": "A"}, (None, "p\nA) 3 B) 4", "A")),
    "a flag for choices": ({"question": "p", "choices": True, "answer": "A"}, (None, "p", "A")),
    "choices that the problem lists": ({"question": "p 3 or 4", "choices": ["3", "4"], "answer": "B"}, (None, "p 3 or 4", "B")),
    "a chat": (
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}],
         "reward_model": {"ground_truth": "34", "style": "rule"}}, (None, "p", "34"),
    ),
    "prompt and gold": ({"prompt": "p", "gold": "5"}, (None, "p", "5")),
    "prompt and target": ({"prompt": "p", "target": "5"}, (None, "p", "5")),
    "ground truth": ({"query": "p", "Ground Truth": "5"}, (None, "p", "5")),
    "expected answer": ({"problem": "p", "expected_answer": "5"}, (None, "p", "5")),
    "two spellings of a column": ({"Answer": "6", "answer": "5", "problem": "p"}, (None, "p", "5")),
    "a number for an id": ({"id": 7, "problem": "p", "answer": "5"}, ("7", "p", "5")),
    "zero for an id": ({"id": 0, "problem": "p", "answer": "5"}, ("0", "p", "5")),
    "null for an id": ({"id": None, "idx": 3, "problem": "p", "answer": "5"}, ("3", "p", "5")),
    "an integer": ({"problem": "p", "answer": 5}, (None, "p", "5")),
    "zero": ({"problem": "p", "answer": 0}, (None, "p", "0")),
    "a whole float": ({"problem": "p", "answer": 5.0}, (None, "p", "5")),
    "a float": ({"problem": "p", "answer": 0.25}, (None, "p", "0.25")),
    "a large float": ({"problem": "p", "answer": 4.5e33}, (None, "p", "4.5e+33")),
    "true": ({"problem": "p", "answer": True}, (None, "p", "True")),
    "a list of one": ({"problem": "p", "answer": [5]}, (None, "p", "5")),
    "a list of several": ({"problem": "p", "answer": ["1", None, 2]}, (None, "p", "1, 2")),
    "a list of tuples": ({"problem": "p", "answer": ["(1,2)", "(3,4)"]}, (None, "p", "(1,2), (3,4)")),
    "several ways to write one answer": ({"problem": "p", "answer": [r"\frac{1}{2}", "0.5"]}, (None, "p", r"\frac{1}{2}")),
    "a list in a list": ({"problem": "p", "answer": [["5"]]}, (None, "p", "5")),
}  # fmt: skip


@pytest.mark.parametrize("write", ["lines", "parquet"])
@pytest.mark.parametrize(("row", "expected"), SHAPES.values(), ids=SHAPES)
def test_rows_are_read_as_they_are_published(
    write: str, row: dict[str, Any], expected: tuple[str | None, str, str], tmp_path: Path
) -> None:
    if write == "parquet":
        try:
            (tmp_path / "own.parquet").write_bytes(as_parquet([row]))
        except pa.ArrowException:
            pytest.skip("a Parquet column has one type")
    else:
        (tmp_path / "own.jsonl").write_text(json.dumps(row))
    (problem,) = load("own", tmp_path).problems
    made = hashlib.sha256(problem.problem.encode()).hexdigest()[:12]
    assert (problem.id, problem.problem, problem.answer) == (expected[0] or made, *expected[1:])


def test_a_decimal_of_parquet_is_a_number(tmp_path: Path) -> None:
    rows = [{"problem": "p", "answer": Decimal("5.00")}, {"problem": "q", "answer": Decimal("0.50")}]
    (tmp_path / "own.parquet").write_bytes(as_parquet(rows))
    assert [problem.answer for problem in load("own", tmp_path).problems] == ["5", "0.5"]


@pytest.mark.parametrize(
    ("cells", "answers"),
    [
        (("5.0", "7.0"), ["5", "7"]),  # a column of floats
        (("5.0", "2.5"), ["5", "2.5"]),
        (("5.0", "7"), ["5.0", "7"]),  # a column of texts
        (("5.0", "x"), ["5.0", "x"]),
    ],
)
def test_a_float_of_csv_stands_for_a_whole_number(cells: tuple[str, str], answers: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(f"problem,answer\np,{cells[0]}\nq,{cells[1]}\n")
    assert [problem.answer for problem in load("own", tmp_path).problems] == answers


def test_rows_without_ids_keep_theirs_when_the_file_is_sorted_anew(tmp_path: Path) -> None:
    rows = [{"problem": "p", "answer": "1"}, {"problem": "q", "answer": "2"}, {"problem": "p", "answer": "1"}]
    ids = []
    for order in (rows, rows[::-1]):
        (tmp_path / "own.json").write_text(json.dumps(order))
        ids.append({problem.id for problem in load("own", tmp_path).problems})
    assert ids[0] == ids[1] and len(ids[0]) == 3


BAD: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "CSV with a cell too many": ("own.csv", b"problem,answer\np,5\nq,1,2\n", ("own.csv:3", "more or fewer cells")),
    "CSV with a cell too few": ("own.csv", b"problem,answer\np\n", ("own.csv:2", "more or fewer cells")),
    "CSV that ends in a quote": ("own.csv", b'problem,answer\np,"5', ("own.csv", "cannot be read")),
    "Parquet cut off": ("own.parquet", as_parquet(ROWS)[:-9], ("own.parquet", "cannot be read", "Parquet")),
    "UTF-16": ("own.csv", "problem,answer\np,5\n".encode("utf-16"), ("own.csv", "UTF-16", "iconv")),
    "an array cut off": ("own.json", json.dumps(ROWS).encode()[:-3], ("own.json:1", "is not JSON")),
    "half a character in an array": ("own.json", rb'[{"problem": "\ud800", "answer": "1"}]', ("row 1", "surrogates")),
    "a row that is no object": ("own.json", b'[{"problem": "p", "answer": "1"}, 5]', ("row 2", "'5'", "not an object")),
    "a null row of an array": ("own.json", b'[{"problem": "p", "answer": "1"}, null]', ("row 2", "not an object")),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=BAD)
def test_a_damaged_file_is_one_sentence(name: str, content: bytes, said: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        load("own", tmp_path)
    assert refusal.value.exit_code == 2 and "\n" not in str(refusal.value)
    assert all(words in str(refusal.value) for words in said), str(refusal.value)


# Files that lie beside benchmarks and are none.
FOREIGN: dict[str, bytes] = {
    "train.jsonl": b'{"id": "x", "source": "s", "answer": "5", "messages": []}\n',
    "dropped.jsonl": b'{"step": "s", "reason": "r", "detail": {}, "row": {"problem": "p", "answer": "5"}}\n',
    "manifest.json": b'{"name": "n", "funnel": [{"step": "s", "rows": 5}], "by_source": {"a": {"rows": 1}}}',
    "README.md": b"# Data",
    "notes.jsonl": b"hello\n",
    "page.json": b"<!DOCTYPE html>",
    "numbers.json": b"[1, 2]",
    "scores.csv": b"step,accuracy\n5,0.5\n",
    "ragged.csv": b"results of May\nstep,accuracy\n5,0.5\n",
    "header.csv": b"step,accuracy\n",
    "weights.parquet": as_parquet([{"x": 1}]),
    "other.parquet": b"no Parquet",
    "outputs.jsonl.gz": gzip.compress(b'{"gold": "5", "output": "so"}\n'),
    "solutions.txt": b"5",
}


@pytest.mark.parametrize(("name", "content"), FOREIGN.items(), ids=FOREIGN)
def test_a_foreign_file_is_named_and_left_out(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sums.jsonl").write_text(LINES)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / name).write_bytes(content)
    assert names(tmp_path) == ["sums"]
    assert left_out(tmp_path).count(name) == 1 and "sums" not in left_out(tmp_path)
    if (asked := name.split(".")[0]) not in ("README", "solutions"):
        with pytest.raises(UserError):
            load(asked, tmp_path)


def test_the_file_that_another_hides_is_named(tmp_path: Path) -> None:
    (tmp_path / "sums.csv").write_text(CELLS)
    (tmp_path / "sums.jsonl").write_text(LINES)
    assert left_out(tmp_path).endswith("sums.csv (sums.jsonl is read under this name)")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with the benchmark sums and every foreign file."""
    for name, content in {**FOREIGN, "sums.jsonl": LINES.encode()}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_the_command_lists_the_rest_and_ends_well(mixed: Path, cli: Callable[..., Any]) -> None:
    done = cli("benchmarks", "--check", "--benchmarks-dir", mixed)
    assert done.code == 0 and "sums" in done.out and done.err == ""
    assert all(done.out.count(name) == 1 for name in FOREIGN)
    asked = cli("benchmarks", "train", "--benchmarks-dir", mixed)
    assert asked.code == 2 and "train.jsonl:1: problem is None" in asked.err


def test_a_damaged_benchmark_hides_no_other_and_ends_with_2(mixed: Path, cli: Callable[..., Any]) -> None:
    (mixed / "bad.jsonl").write_text(LINES + "{cut")
    done = cli("benchmarks", "--benchmarks-dir", mixed)
    assert done.code == 2 and "sums" in done.out and "bad.jsonl:3" in done.out


def test_answers_that_cannot_be_read_are_red_at_check(tmp_path: Path, cli: Callable[..., Any]) -> None:
    rows = [
        {"problem": "p\x1b[31m", "answer": "2+3=5\n#### 5"},
        {"id": "x\x1b[31m", "problem": "q", "answer": "a \\boxed{5"},
    ]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    done = cli("benchmarks", "--check", "--benchmarks-dir", tmp_path)
    assert done.code == 1
    assert "what follows #### in 1 of 2 problems" in done.out and "its box never closes" in done.out
    assert "\x1b[31m" not in done.out


def test_duplicated_problems_are_said(tmp_path: Path, cli: Callable[..., Any]) -> None:
    rows = [
        {"id": n, "problem": text, "answer": answer} for n, (text, answer) in enumerate(["p1", "p1", "q1", "q2", "r3"])
    ]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    done = cli("benchmarks", "--check", "--benchmarks-dir", tmp_path)
    assert done.code == 0
    assert "duplicated problems: 2, 1 of them with different answers, such as '0' and '1'" in done.out
