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
    "choices with texts": ({"question": "p", "choices": [{"text": "3"}, {"text": "4"}], "answer": "B"}, (None, "p\nA) 3 B) 4", "B")),
    "choices with labels": (
        {"question": "p", "choices": [{"label": "B", "text": "3"}, {"label": "C", "text": "4"}], "answer": "B"},
        (None, "p\nB) 3 C) 4", "B"),
    ),
    "ARC": ({"question": "p", "choices": {"text": ["3", "4"], "label": ["A", "B"]}, "answerKey": "A"}, (None, "p\nA) 3 B) 4", "A")),
    "ARC with figures": (
        {"question": "p", "choices": {"text": ["7", "8"], "label": ["1", "2"]}, "answerKey": "1"}, (None, "p\n1) 7 2) 8", "1")
    ),
    "choices by letter": ({"question": "p", "options": {"A": "3", "B": 4}, "answer": "A"}, (None, "p\nA) 3 B) 4", "A")),
    "MathQA": (
        {"Problem": "p", "options": "a ) 38 , b ) 27.6", "correct": "b"}, (None, "p\na ) 38 , b ) 27.6", "b")
    ),
    "a column a choice": ({"question": "p", "A": 3, "B": "4", "C": "", "answer": "B"}, (None, "p\nA) 3 B) 4", "B")),
    "a column an option": ({"question": "p", "Option A": "3", "Option B": "4", "answer": "B"}, (None, "p\nA) 3 B) 4", "B")),
    "numbered choices": ({"question": "p", "choice1": "3", "choice2": "4", "answer": 0}, (None, "p\nA) 3 B) 4", "A")),
    "columns a and b of an equation": ({"question": "p", "a": 3, "b": 4, "answer": 7}, (None, "p", "7")),
    "choices as pandas prints them": ({"question": "p", "choices": "['3' '4']", "answer": "1"}, (None, "p\nA) 3 B) 4", "B")),
    "choices as Python prints them": ({"question": "p", "choices": "['3', \"4'\"]", "answer": "A"}, (None, "p\nA) 3 B) 4'", "A")),
    "numbers as numpy prints them": ({"question": "p", "choices": "[3 4]", "answer": "A"}, (None, "p\nA) 3 B) 4", "A")),
    "ARC as pandas prints it": (
        {"question": "p", "choices": "{'text': array(['3', '4'], dtype=object), 'label': array(['A', 'B'])}", "answer": "A"},
        (None, "p\nA) 3 B) 4", "A"),
    ),
    "a flag in a table": ({"question": "p", "choices": "True", "answer": "A"}, (None, "p", "A")),
    "a count of choices": ({"question": "p", "choices": "4", "answer": "A"}, (None, "p", "A")),
    "a missing value for choices": ({"question": "p", "options": "None", "answer": "5"}, (None, "p", "5")),
    "no choices": ({"question": "p", "choices": [], "answer": "4"}, (None, "p", "4")),
    "a text for a value": ({"question": "p", "choices": ["1", "2"], "answer": "1"}, (None, "p\nA) 1 B) 2", "1")),
    "choices that are numbers": ({"question": "p", "choices": [3, 4], "answer": "A"}, (None, "p\nA) 3 B) 4", "A")),
    "a flag for choices": ({"question": "p", "choices": True, "answer": "A"}, (None, "p", "A")),
    "choices that the problem lists": ({"question": "p (A) 3 (B) 4", "choices": ["3", "4"], "answer": "B"}, (None, "p (A) 3 (B) 4", "B")),
    "choices that the problem has without letters": (
        {"question": "6 - 3 or 4", "choices": ["3", "4"], "answer": "B"}, (None, "6 - 3 or 4\nA) 3 B) 4", "B")
    ),
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


def with_names(names: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([["p"]] * len(names), names), sink)
    return sink.getvalue().to_pybytes()


def row_of(**columns: Any) -> bytes:
    return json.dumps([{"problem": "p", "answer": "A", **columns}]).encode()


BAD: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "CSV with a cell too many": ("own.csv", b"problem,answer\np,5\nq,1,2\n", ("own.csv:3", "more or fewer cells")),
    "CSV with a cell too few": ("own.csv", b"problem,answer\np\n", ("own.csv:2", "more or fewer cells")),
    "CSV that ends in a quote": ("own.csv", b'problem,answer\np,"5', ("own.csv", "cannot be read")),
    "Parquet cut off": ("own.parquet", as_parquet(ROWS)[:-9], ("own.parquet", "cannot be read", "Parquet")),
    "UTF-16": ("own.csv", "problem,answer\np,5\n".encode("utf-16"), ("own.csv", "UTF-16", "iconv")),
    "an array cut off": ("own.json", json.dumps(ROWS).encode()[:-3], ("own.json:1", "is not JSON")),
    "half a character in an array": ("own.json", rb'[{"problem": "\ud800", "answer": "1"}]', ("row 1", "surrogates")),
    "a row that is no object": ("own.json", b'[{"problem": "p", "answer": "1"}, 5]', ("row 2", "'5'", "not an object")),
    "several lists": (
        "own.json",
        json.dumps({"algebra": ROWS, "geometry": ROWS}).encode(),
        ("own.json", "'algebra' (2), 'geometry' (2)", "file"),
    ),
    "train and test": (
        "own.json",
        json.dumps({"train": ROWS, "test": ROWS[:1]}).encode(),
        ("'train' (2), 'test' (1)",),
    ),
    "columns by subject": ("own.json", json.dumps({"a": COLUMNS, "b": COLUMNS}).encode(), ("'a' (2), 'b' (2)",)),
    "a column twice": ("own.csv", b"problem,answer,answer\np,1,2\n", ("own.csv", "'answer' comes twice")),
    "a column twice in Parquet": (
        "own.parquet",
        with_names(["problem", "answer", "answer"]),
        ("'answer' comes twice",),
    ),
    "a key twice in a line": (
        "own.jsonl",
        b'{"problem": "p", "answer": "1", "answer": "2"}',
        ("own.jsonl", "'answer' comes twice"),
    ),
    "a key twice in an array": (
        "own.json",
        b'[\n{"problem": "p", "answer": "1", "answer": "2"}]',
        ("'answer' comes twice",),
    ),
    "a cell too few below sep=": ("own.csv", b"sep=;\r\nproblem;answer\r\np\r\n", ("own.csv:3", "more or fewer cells")),
    "choices in lists": (
        "own.json",
        row_of(choices=[["3"], ["4"]]),
        ("row 1: choices is [['3'], ['4']]", "list of texts"),
    ),
    "choices cut off": ("own.json", row_of(options="['3' '4]"), ("row 1: options is", "cannot be read as choices")),
    "a null choice": ("own.json", row_of(options=["3", None, "4"]), ("row 1: options is",)),
    "choices with labels to spare": ("own.json", row_of(choices={"text": ["3"], "label": ["A", "B"]}), ("choices is",)),
    "choices by words": ("own.json", row_of(choices={"easy": "3", "hard": "4"}), ("choices is {'easy'",)),
    "a column of lists for a choice": ("own.json", row_of(A=["3"], B="4"), ("row 1: a is ['3']",)),
    "letters and positions": (
        "own.jsonl",
        b'{"problem":"p","choices":["x","y"],"answer":"B"}\n{"problem":"q","choices":["x","y"],"answer":1}',
        ("own.jsonl:2", "'1' is a position", "own.jsonl:1 it is a letter"),
    ),
    "a chat of several turns": (
        "own.json",
        row_of(problem=[{"role": role, "content": "p"} for role in ("user", "assistant", "user")]),
        ("row 1: problem is a chat with 2 user turns",),
    ),
    "a null row of an array": ("own.json", b'[{"problem": "p", "answer": "1"}, null]', ("row 2", "not an object")),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=BAD)
def test_a_damaged_file_is_one_sentence(name: str, content: bytes, said: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        load("own", tmp_path)
    assert refusal.value.exit_code == 2 and "\n" not in str(refusal.value)
    assert all(words in str(refusal.value) for words in said), str(refusal.value)


def positions(*rows: tuple[list[Any], Any]) -> str:
    return "\n".join(json.dumps({"question": f"p{n}", "choices": c, "answer": a}) for n, (c, a) in enumerate(rows))


ORDER = ["3", "1", "2", "0"]
# One column means one thing in the whole file: positions of choices, or values.
FILES_OF_CHOICES: dict[str, tuple[str, list[str]]] = {
    "a position that is a choice, too": (positions((ORDER, 1)), ["B"]),
    "positions from 0": (positions((ORDER, 1), (["x", "y"], 0)), ["B", "A"]),
    "positions from 1": (positions((ORDER, 4), (["x", "y"], 1)), ["D", "A"]),
    "values": (positions((ORDER, 3), (["7", "8"], 7)), ["3", "7"]),
    "values as far as 4 of 4": (positions(([1, 2, 3, 4], 4), ([1, 2, 3, 4], 1)), ["4", "1"]),
    "whole floats": (positions((ORDER, 1.0), (["x", "y"], 0.0)), ["B", "A"]),
    "positions beside nothing": (positions((ORDER, 1), (["x", "y"], None), (["x", "y"], "")), ["B", "", ""]),
    "positions beside a row without choices": (positions((ORDER, 1), ([], 1)), ["B", "1"]),
    "texts that are values": (positions((ORDER, "1"), (["1", "2"], "2")), ["1", "2"]),
}


@pytest.mark.parametrize(("content", "answers"), FILES_OF_CHOICES.values(), ids=FILES_OF_CHOICES)
def test_answers_are_positions_in_a_whole_file_or_not_at_all(content: str, answers: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(content)
    benchmark = load("own", tmp_path)
    assert [problem.answer for problem in benchmark.problems] == answers
    said = [reading.answer for reading in benchmark.readings if "the position of a choice" in reading.how]
    assert said == [answer for answer in answers if answer.isalpha()]


HEADERS: dict[str, str] = {
    "commas in a quoted name": 'id;problem;answer;"remark, with, many, commas"\na;p;5;x\n',
    "commas in a name": "id;problem;answer;remark, with, many, commas\na;p;5;x\n",
    "a line end in a name": 'id;problem;answer;"remark\nwith, a, line"\na;p;5;x\n',
    "semicolons in a quoted name": 'id,problem,answer,"a;b;c;d;e"\na,p,5,x\n',
    "Excel's first line": "sep=;\r\nid;problem;answer\r\na;p;5\r\n",
    "Excel's first line with another sign": 'sep=|\nid|problem|answer\na|p|5\n',
    "tabs": "id\tproblem\tanswer\na\tp\t5\n",
}  # fmt: skip


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_what_parts_the_cells_is_read_out_of_the_header(content: str, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(content, newline="")
    assert [(one.id, one.problem, one.answer) for one in load("own", tmp_path).problems] == [("a", "p", "5")]


# Answers in a table with semicolons -> as they are read; "" is not judged.
DECIMAL_COMMAS: dict[tuple[str, ...], list[str]] = {
    ("3,5", "1.234,5", "1,234", "-0,5", "12,5 %"): ["3.5", "1234.5", "1.234", "-0.5", "12.5 %"],
    ("3,5", "1.234", "7", "(3,5)", "6, 7"): ["3.5", "1.234", "7", "(3,5)", "6, 7"],
    ("0,125", "5"): ["0.125", "5"],
    ("1,234", "5"): ["", "5"],
    ("3,5", "1,2,3"): ["", "1,2,3"],
}


@pytest.mark.parametrize(("stated", "read"), DECIMAL_COMMAS.items(), ids=map(str, DECIMAL_COMMAS))
def test_a_decimal_comma_is_read_where_semicolons_part_the_cells(
    stated: tuple[str, ...], read: list[str], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    rows = "".join(f"p{n};{answer}\n" for n, answer in enumerate(stated))
    (tmp_path / "own.csv").write_text("problem;answer\n" + rows)
    assert [problem.answer for problem in load("own", tmp_path).problems] == read
    done = cli("benchmarks", "--check", "--benchmarks-dir", tmp_path)
    assert done.code == ("" in read)
    said = "its comma may part decimals, thousands or a list" if "" in read else "a number with a decimal comma"
    assert said in done.out and repr(stated[0]) in done.out


def test_a_comma_stays_where_commas_part_the_cells(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text('problem,answer\np,"3,5"\n')
    assert [problem.answer for problem in load("own", tmp_path).problems] == ["3,5"]


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
    for options in ((), ("--check",)):
        done = cli("benchmarks", *options, "--benchmarks-dir", mixed)
        assert done.code == 2 and "sums" in done.out and "damaged" in done.out and "bad.jsonl:3" in done.out


# What lies in a folder without a benchmark -> how it is named.
WITHOUT: dict[str, tuple[tuple[str, ...], str]] = {
    "subfolders": (("math500/test.jsonl", "gsm8k/test.jsonl"), "folders: gsm8k, math500"),
    "other files": (("README.md", "a/test.jsonl"), "folders: a; files: README.md"),
    "many": (tuple(f"f{n}/test.jsonl" for n in range(9)), "f4 and 4 more"),
    "nothing": ((), "it is empty"),
}


@pytest.mark.parametrize(("paths", "held"), WITHOUT.values(), ids=WITHOUT)
def test_a_folder_without_a_benchmark_is_refused_by_what_it_holds(
    paths: tuple[str, ...], held: str, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(LINES)
    for options in ((), ("--check",)):
        done = cli("benchmarks", *options, "--benchmarks-dir", tmp_path)
        assert done.code == 2 and f"{tmp_path} holds no benchmark (" in done.err and held in done.err


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
