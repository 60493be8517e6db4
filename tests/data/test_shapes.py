"""Every shape in which data sets write a problem and its solution, one row each, and what is refused by name."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from rich.console import Console

from data.__main__ import main
from data.audit import audit
from data.audit_report import findings
from data.examine import Instruments
from data.recipe import read_recipe
from data.rows import Drop
from data.sources import Source, batches, read
from eval.records import UserError

S = "So it is $\\boxed{5}$."
SYSTEM = "You are a helpful assistant."


def rows_of(path: Path | str, **settings: Any) -> list[Any]:
    source = Source("set", path=str(path), **settings)
    return [row for batch in batches(source) for row in read(batch, source)]


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def said(role: str, value: Any) -> dict[str, Any]:
    return {"from": role, "value": value}


def part(text: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


CHAT = [turn("user", "P"), turn("assistant", S)]
# A row -> (problem, solution, stated answer). The answer of all that state none is read out of the box.
SHAPES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "Alpaca": ({"instruction": "P", "input": "", "output": S}, ("P", S, "5")),
    "Alpaca with an input": ({"instruction": "Add.", "input": "1 and 2", "output": S}, ("Add.\n1 and 2", S, "5")),
    "Alpaca without an input": ({"instruction": "P", "output": S, "source": "x"}, ("P", S, "5")),
    "Alpaca with null": ({"instruction": "P", "input": None, "output": S}, ("P", S, "5")),
    "instruction and response": ({"instruction": "P", "response": S}, ("P", S, "5")),
    "prompt and completion": ({"prompt": "P", "completion": S}, ("P", S, "5")),
    "prompt and response": ({"prompt": "P", "response": S, "answer": 5}, ("P", S, "5")),
    "TRL's turns": ({"prompt": CHAT[:1], "completion": CHAT[1:]}, ("P", S, "5")),
    "a prompt of turns": ({"prompt": [turn("system", SYSTEM), *CHAT[:1]], "response": S}, ("P", S, "5")),
    "query and response": ({"query": "P", "response": S}, ("P", S, "5")),
    "question and solution": ({"question": "P", "solution": S}, ("P", S, "5")),
    "LIMO": ({"question": "P", "solution": S, "answer": "5"}, ("P", S, "5")),
    "LIMO with a number": ({"question": "P", "solution": S, "answer": 5}, ("P", S, "5")),
    "a number with digits": ({"question": "P", "solution": S, "answer": 0.5}, ("P", S, "0.5")),
    "question and response": ({"question": "P", "response": S}, ("P", S, "5")),
    "question and answer": ({"question": "P", "answer": S}, ("P", S, "5")),
    "question and #### answer": ({"question": "P", "answer": "W\n#### 1,072"}, ("P", "W\n#### 1,072", "1072")),
    "a list behind ####": ({"question": "P", "answer": "W\n#### (1,2)"}, ("P", "W\n#### (1,2)", "(1,2)")),
    "a set behind ####": ({"question": "P", "answer": "W\n#### \\{1,2,3\\}"}, ("P", "W\n#### \\{1,2,3\\}", "\\{1,2,3\\}")),
    "two numbers behind ####": ({"question": "P", "answer": "W\n#### 3, 4"}, ("P", "W\n#### 3, 4", "3, 4")),
    "money behind ####": ({"question": "P", "answer": "W\n#### $1,234.50"}, ("P", "W\n#### $1,234.50", "1234.50")),
    "headings": ({"question": "P", "answer": f"#### Step 1\nAdd.\n#### Step 2\n{S}"}, ("P", f"#### Step 1\nAdd.\n#### Step 2\n{S}", "5")),
    "a heading alone": ({"question": "P", "answer": "#### Step 1\nIt is 5."}, ("P", "#### Step 1\nIt is 5.", "")),
    "MetaMath": ({"query": "P", "response": "W\nThe answer is: 1,234"}, ("P", "W\nThe answer is: 1,234", "1234")),
    "MetaMath with a box": (
        {"query": "P", "response": "W\nThe answer is: $\\boxed{6}$. Done."},
        ("P", "W\nThe answer is: $\\boxed{6}$. Done.", "6"),
    ),
    "MetaMath that goes on": (
        {"query": "P", "response": f"The answer is: 4?\nNo. {S}"}, ("P", f"The answer is: 4?\nNo. {S}", "5")
    ),
    "question and number": ({"question": "P", "answer": 7}, ("P", "7", "7")),
    "problem and solution": ({"problem": "P", "solution": S, "answer": "5"}, ("P", S, "5")),
    "generated_solution": ({"problem": "P", "generated_solution": S, "expected_answer": "5"}, ("P", S, "5")),
    "input and output": ({"input": "P", "output": S}, ("P", S, "5")),
    "capitals": ({"Problem": "P", "Solution": S, "Answer": "5"}, ("P", S, "5")),
    "capitals and spaces": ({"QUESTION": "P", "Generated Solution": S}, ("P", S, "5")),
    "ShareGPT": ({"conversations": [said("human", "P"), said("gpt", S)]}, ("P", S, "5")),
    "ShareGPT with a system": (
        {"conversations": [said("system", SYSTEM), said("human", "P"), said("gpt", S)]}, ("P", S, "5")
    ),
    "ShareGPT as chat": ({"conversations": CHAT, "answer": "5"}, ("P", S, "5")),
    "conversation": ({"conversation": [said("user", "P"), said("assistant", S)]}, ("P", S, "5")),
    "messages": ({"messages": CHAT, "answer": 5}, ("P", S, "5")),
    "messages with a system": ({"messages": [turn("system", SYSTEM), *CHAT]}, ("P", S, "5")),
    "messages with a developer": ({"messages": [turn("developer", SYSTEM), *CHAT]}, ("P", S, "5")),
    "parts": ({"messages": [turn("user", part("P")), turn("assistant", part(S))]}, ("P", S, "5")),
    "several parts": ({"messages": [turn("user", part("P") + part("Q")), turn("assistant", part(S))]}, ("P\nQ", S, "5")),
    "more keys in a turn": ({"messages": [turn("user", "P", name=None), turn("assistant", S, x=1)]}, ("P", S, "5")),
    "Roles in capitals": ({"messages": [turn("User", "P"), turn("Assistant", S)]}, ("P", S, "5")),
    "a column of lists": ({"messages": {"role": ["user", "assistant"], "content": ["P", S]}}, ("P", S, "5")),
    "JSON in a text": ({"messages": json.dumps(CHAT)}, ("P", S, "5")),
    "ShareGPT in a text": ({"conversations": json.dumps([said("human", "P"), said("gpt", S)])}, ("P", S, "5")),
    "messages and a bare answer": ({"question": "P", "answer": "5", "messages": CHAT}, ("P", S, "5")),
    "messages and a prompt": ({"prompt": "P", "messages": CHAT}, ("P", S, "5")),
    "rationale": ({"question": "P", "rationale": "2 + 3 is 5.", "answer": "5"}, ("P", "2 + 3 is 5.", "5")),
    "cot": ({"question": "P", "cot": S, "answer": "$5$"}, ("P", S, "5")),
    "reasoning_content": ({"question": "P", "reasoning_content": "2 + 3", "answer": "The answer is 5."}, ("P", "2 + 3", "5")),
    "reasoning and a number": ({"question": "P", "reasoning": "2 + 3", "answer": 5}, ("P", "2 + 3", "5")),
    "a problem with reasoning": ({"problem": "P", "reasoning": "2 + 3", "answer": "(1,2)"}, ("P", "2 + 3", "(1,2)")),
    "steps of reasoning": ({"question": "P", "reasoning": ["2 + 3", "is 5"], "answer": "5"}, ("P", "2 + 3\nis 5", "5")),
    "reasoning and a bare box": ({"prompt": "P", "reasoning": "2 + 3", "response": "$\\boxed{5}$"}, ("P", "2 + 3", "5")),
    "reasoning of a turn": (
        {"messages": [CHAT[0], turn("assistant", "5", reasoning_content="2 + 3 = 5")]}, ("P", "2 + 3 = 5", "5")
    ),
    "reasoning beside a response": ({"prompt": "P", "reasoning": "Hm.", "response": S}, ("P", S, "5")),
    "reasoning beside a solution": ({"problem": "P", "cot": "Hm.", "solution": S, "answer": "5"}, ("P", S, "5")),
    "reasoning of a full turn": (
        {"messages": [CHAT[0], turn("assistant", S, reasoning_content="Hm.")], "answer": "5"}, ("P", S, "5")
    ),
    "a list of one solution": ({"problem": "P", "solution": [S], "answer": ["5"]}, ("P", S, "5")),
    "null answer": ({"problem": "P", "solution": S, "answer": None}, ("P", S, "5")),
    "a pair whose column is null": ({"problem": "P", "solution": None, "response": S}, ("P", S, "5")),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read(name, tmp_path):
    raw, expected = SHAPES[name]
    (tmp_path / "a.jsonl").write_text(json.dumps(raw) + "\n")
    (row,) = rows_of(tmp_path / "a.jsonl")
    assert not isinstance(row, Drop), row
    assert (row["problem"], row["solution"], row["answer"]) == expected


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read_from_parquet(name, tmp_path):
    """As Arrow holds it, with its types, beside a column of nulls."""
    raw, expected = SHAPES[name]
    pq.write_table(pa.Table.from_pylist([raw | {"other": None}]), tmp_path / "a.parquet")
    (row,) = rows_of(tmp_path / "a.parquet")
    assert (row["problem"], row["solution"], row["answer"]) == expected


def test_reasoning_that_is_left_out_is_counted_and_said(tmp_path, tiny_tokenizer, capsys):
    told = [
        {"prompt": f"What is {n} + {n}?", "reasoning": "Hm.", "response": f"It is $\\boxed{{{2 * n}}}$."}
        for n in range(8)
    ]
    chat = [turn("user", "What is 9 - 1?"), turn("assistant", "It is $\\boxed{8}$.", reasoning_content="Hm.")]
    worked = {"question": "What is 9 - 2?", "reasoning": "It is $\\boxed{7}$.", "answer": "7"}
    rows = [*told, {"messages": chat}, worked]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures = audit(str(tmp_path / "a.jsonl"), Instruments(), Console(quiet=True))
    assert figures["reasoning_left_out"] == {"reasoning": 8, "reasoning_content": 1} and figures["rows"] == 10
    said = [one.sentence for one in findings(figures) if one.name == "reasoning_left_out"]
    assert said[1].startswith("reasoning_content left out in 1 of 10 rows")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: t\ntokenizer: {tiny_tokenizer}\nsources: [{{name: a, path: {tmp_path / 'a.jsonl'}}}]\n"
        "steps: [has_box, validation: {rows: 2}]\n"
    )
    assert main(["build", str(recipe), "--out", str(tmp_path / "out"), "--workers", "0", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["funnel"][0]["left_out"] == {"reasoning": 8, "reasoning_content": 1}
    assert all("left_out" not in entry for entry in made["funnel"][1:])
    assert "reasoning left out in 8 rows" in (Path(made["folder"]) / "README.md").read_text()
    assert "left_out" not in (Path(made["folder"]) / "train.jsonl").read_text()


TWO = [*CHAT, turn("user", "And now?"), turn("assistant", S)]
# A row that is refused -> its reason, which is counted.
REFUSED: dict[str, tuple[Any, str]] = {
    "two questions": ({"messages": TWO}, "messages contain more than one question"),
    "two ShareGPT questions": (
        {"conversations": [said("human", "P"), said("gpt", S)] * 2}, "conversations contain more than one question"
    ),
    "a history": ({"instruction": "P", "output": S, "history": [["Q", "R"]]}, "instruction has a history: more than one question"),
    "no assistant": ({"messages": CHAT[:1]}, "messages are not one user turn and one assistant turn"),
    "no turns": ({"messages": []}, "messages are not one user turn and one assistant turn"),
    "two assistants": ({"messages": [*CHAT, CHAT[1]]}, "messages are not one user turn and one assistant turn"),
    "a tool": ({"messages": [CHAT[0], turn("tool", "5"), CHAT[1]]}, "messages have a turn of neither user, assistant nor system"),
    "an image": (
        {"messages": [turn("user", [{"type": "image_url", "image_url": "x"}]), CHAT[1]]}, "content has a part that is no text"
    ),
    "no content": ({"messages": [turn("user", None), CHAT[1]]}, "no content"),
    "turns of text": ({"messages": ["P", S]}, "messages is a list, not a list of turns"),
    "several solutions": ({"problem": "P", "solution": [S, S]}, "solution is a list of several texts, not one"),
    "chosen and rejected": ({"prompt": "P", "chosen": S, "rejected": "x"}, "no solution, but a pair of chosen and rejected answers"),
    "a bare answer": ({"problem": "P", "answer": "5"}, "no columns problem+solution"),
    "a solution that is null": ({"problem": "P", "solution": None}, "no columns problem+solution"),
    "other columns": ({"text": "P"}, "no columns problem+solution"),
    "an object": ({"problem": {"en": "P"}, "solution": S}, "problem is an object, not text"),
    "a text": (json.dumps({"problem": "P", "solution": S}), "the line is text, not an object"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_problem_with_its_solution_is_refused_by_name(name, tmp_path):
    raw, reason = REFUSED[name]
    (tmp_path / "a.jsonl").write_text(json.dumps(raw) + "\n")
    (drop,) = rows_of(tmp_path / "a.jsonl")
    assert isinstance(drop, Drop) and drop.reason.startswith(reason), drop


def test_a_key_that_comes_twice_is_refused_at_any_depth(tmp_path):
    lines = ['{"problem": "P", "problem": "Q", "solution": "S"}', '{"messages": [{"role": "user", "role": "x"}]}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert [row.reason for row in rows_of(tmp_path / "a.jsonl")] == ["a key comes twice"] * 2


# Files of the same three rows -> their bytes, by name.

ROWS = [
    {"problem": f"What is {n} + {n}?", "solution": f"It is\n$\\boxed{{{2 * n}}}$, “so”.", "answer": str(2 * n)}
    for n in (1, 2, 3)
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
TABLE = "problem,solution,answer\n" + "".join(
    f'"{row["problem"]}","{row["solution"]}",{row["answer"]}\n' for row in ROWS
)
FILES = {
    "lines.jsonl": LINES.encode(),
    "CAPITALS.JSONL": LINES.encode(),
    "marked.jsonl": b"\xef\xbb\xbf" + LINES.encode(),
    "lines.jsonl.gz": gzip.compress(LINES.encode()),
    "Lines.JSONL.GZ": gzip.compress(LINES.encode()),
    "array.json": json.dumps(ROWS).encode(),
    "array.jsonl": json.dumps(ROWS, ensure_ascii=False).encode(),
    "indented.json": b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=2).encode() + b"\n\n",
    "array.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "one after another.json": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    "lines.json": LINES.encode(),
    "lines.ndjson": LINES.encode(),
    "object.json": json.dumps({"version": "1", "data": ROWS}).encode(),
    "object.jsonl": json.dumps({"data": ROWS}).encode() + b"\n",
    "indented object.json": json.dumps({"train": ROWS, "by": [{"name": "x"}]}, indent=2).encode(),
    "viewer.json": json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]}).encode(),
    "columns.json": json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]}).encode(),
    "pandas.json": json.dumps({key: {str(n): row[key] for n, row in enumerate(ROWS)} for key in ROWS[0]}).encode(),
    "pretty.jsonl": "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    "pretty object.jsonl": json.dumps({"data": ROWS}, indent=2).encode(),
    "semicolons.csv": TABLE.replace('","', '";"').replace('",', '";').replace("m,s", "m;s").replace("n,a", "n;a").encode(),
    "tabs.csv": TABLE.replace('","', '"\t"').replace('",', '"\t').replace("m,s", "m\ts").replace("n,a", "n\ta").encode(),
    "table.csv": TABLE.encode(),
    "marked.csv": b"\xef\xbb\xbf" + TABLE.encode(),
    "table.csv.gz": gzip.compress(TABLE.encode()),
    "table.tsv": TABLE.replace('","', '"\t"').replace('",', '"\t').replace("problem,solution,answer", "problem\tsolution\tanswer").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_form_of_file_gives_the_same_rows(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    found = [{key: row[key] for key in ROWS[0]} for row in rows_of(tmp_path / name)]
    assert found == ROWS


def test_what_datasets_writes_gives_the_same_rows(tmp_path):
    rows = Dataset.from_list(ROWS)
    rows.to_parquet(tmp_path / "a.parquet")
    rows.to_csv(tmp_path / "a.csv")
    rows.to_json(tmp_path / "a.jsonl")
    rows.save_to_disk(tmp_path / "saved")
    chats = Dataset.from_list(
        [{"conversations": [said("human", row["problem"]), said("gpt", row["solution"])]} for row in ROWS]
    )
    chats.to_parquet(tmp_path / "chats.parquet")
    for name in ("a.parquet", "a.csv", "a.jsonl", "saved", "chats.parquet"):
        assert [(row["problem"], row["answer"]) for row in rows_of(tmp_path / name)] == [
            (row["problem"], row["answer"]) for row in ROWS
        ], name


def test_a_large_array_is_read_in_pieces(tmp_path):
    """Values that cross the pieces in which the file is read, one longer than a row may be, and what comes behind it."""
    rows = [{"problem": f"{n}" + "x" * 3000, "solution": "y"} for n in range(1000)]
    rows[500]["solution"] = "y" * 3_000_000
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    found = rows_of(tmp_path / "a.json")
    assert [type(row) is Drop for row in found] == [n == 500 for n in range(1000)]
    assert found[500].reason == "row longer than 1 MB" and found[999]["problem"] == rows[999]["problem"]


def test_one_row_alone_in_a_file_is_that_row(tmp_path):
    """Objects whose values are lists, and are a row all the same."""
    chat = {"messages": CHAT, "answer": ["5"]}
    for raw in (chat, {"prompt": CHAT[:1], "completion": CHAT[1:]}, {"problem": "P", "solution": [S]}):
        for name, indent in (("a.json", None), ("a.json", 2), ("a.jsonl", None), ("a.jsonl", 2)):
            (tmp_path / name).write_text(json.dumps(raw, indent=indent) + "\n")
            assert [(row["problem"], row["solution"]) for row in rows_of(tmp_path / name)] == [("P", S)]


def test_a_first_line_that_is_torn_loses_no_other(tmp_path):
    for torn in ('{"problem": "P", "solu', '{"problem": "P",', "{,"):
        (tmp_path / "a.jsonl").write_text(f"{torn}\n{LINES}")
        found = rows_of(tmp_path / "a.jsonl")
        assert [isinstance(row, Drop) for row in found] == [True, False, False, False], torn


SPOILT = {
    "splits.json": (json.dumps({"train": ROWS, "test": ROWS}).encode(), ["several lists of rows, 'train', 'test'", "jq"]),
    "torn.json": (b'[{"problem": "P", "solution": "S"}, {"pro', ["torn.json is one JSON array", "after 1 values", "jq"]),
    "open.json": (b'[{"problem": "P", "solution": "S"}', ["open.json is one JSON array", "after 1 values"]),
    "no comma.json": (b'[{"problem": "P"} {"problem": "Q"}]', ["no comma.json is one JSON array", "after 1 values"]),
    "behind.json": (b"[{}] {}", ["behind.json is one JSON array", "after 1 values"]),
    "latin.json": ('[{"problem": "Äpfel?"}]'.encode("latin-1"), ["latin.json is not UTF-8"]),
    "latin.csv": ("problem,solution\nÄpfel?,5\n".encode("latin-1"), ["latin.csv is no readable CSV in UTF-8"]),
    "twice.csv": (b"problem,problem\na,b\n", ["twice.csv has the column 'problem' twice"]),
    "open.csv": (b'problem,solution\n"a,b\n', ["open.csv is no readable CSV"]),
    "wide.jsonl": ('{"problem": 1}'.encode("utf-16"), ["wide.jsonl is UTF-16", "iconv"]),
    "a.jsonl.zst": (b"\x28\xb5\x2f\xfd", ["a.jsonl.zst is packed", "zstd -d a.jsonl.zst"]),
    "a.jsonl.bz2": (bz2.compress(b"{}"), ["a.jsonl.bz2 is packed", "bunzip2"]),
    "a.zip": (b"PK", ["a.zip is packed", "unzip"]),
    "a.xlsx": (b"PK", ["a.xlsx is no .jsonl"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_that_cannot_be_read_is_one_sentence(name, tmp_path):
    content, words = SPOILT[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        rows_of(tmp_path / name)
    assert all(word in str(refused.value) for word in words) and "\n" not in str(refused.value), refused.value


def test_a_row_of_a_table_with_another_number_of_cells_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("problem,solution\nP,S\nP,S,T\nP\n\nP,S\n")
    found = rows_of(tmp_path / "a.csv")
    assert [isinstance(row, Drop) for row in found] == [False, True, True, False]
    assert found[1].detail["place"].endswith("a.csv:2")
    assert found[1].reason.startswith("the row has another number of cells than the header")


def test_files_of_several_shapes_are_read_row_by_row(tmp_path):
    lines = [json.dumps(raw) for raw, _ in SHAPES.values()]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{", '{"text": "x"}']))
    found = rows_of(tmp_path / "a.jsonl")
    assert [row.reason.split("+")[0] for row in found if isinstance(row, Drop)] == ["not JSON", "no columns problem"]
    assert len(found) == len(SHAPES) + 2 and found[-1].detail["columns"] == ["text"]


# Columns that are named


def audited(*arguments: str, capsys: Any) -> tuple[int, dict[str, Any], str]:
    code = main(["audit", *arguments, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out or "{}"), printed.err.splitlines()[-1] if printed.err else ""


@pytest.fixture
def quiet_audit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("data.audit._from_hub", lambda console: ())
    return tmp_path


@pytest.mark.parametrize(
    ("raw", "columns"),
    [
        ({"Q": "P", "A": S, "gold": "5"}, "problem=Q,solution=A,answer=gold"),
        ({"prompt": "P", "chosen": S, "rejected": "x"}, "solution=chosen"),
        ({"prompt": "P", "chosen": CHAT, "rejected": CHAT}, "messages=chosen"),
        ({"dialog": [said("human", "P"), said("gpt", S)]}, "conversations=dialog"),
        ({"problem": "other", "solution": "other", "Q": "P", "A": S}, "problem=Q, solution=A"),
        ({"My Question": "P", "worked out": S}, "problem=my question,solution=Worked Out"),
    ],
)
def test_an_audit_reads_the_columns_that_are_named(raw, columns, quiet_audit, capsys):
    (quiet_audit / "a.jsonl").write_text(json.dumps(raw) + "\n")
    code, figures, _ = audited("a.jsonl", "--columns", columns, capsys=capsys)
    assert (code, figures["rows"], figures["no_box"]) == (0, 1, 0)
    assert figures["answers"]["compared"] == ("answer" in columns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([], ["a.jsonl has no row that can be read", "'promblem', 'worked', 'gold'", "did you mean --columns problem=promblem"]),
        (["problem=promblm"], ["no column 'promblm' for problem", "did you mean 'promblem'?"]),
        (["problem=promblem,answer=nothing"], ["no column 'nothing' for answer", "'promblem', 'worked', 'gold'"]),
        (["problm=promblem"], ["columns names 'problm'", "did you mean 'problem'?"]),
        (["promblem"], ["--columns promblem: write problem=COLUMN"]),
    ],
)  # fmt: skip
def test_columns_that_are_not_there_are_named_with_those_that_are(columns, words, quiet_audit, capsys):
    (quiet_audit / "a.jsonl").write_text(json.dumps({"promblem": "P", "worked": S, "gold": "5"}) + "\n")
    code, _, said = audited("a.jsonl", *(f"--columns={one}" for one in columns), capsys=capsys)
    assert code in (1, 2) and said.startswith("error: ") and all(word in said for word in words), said


# A file of which no row can be read -> its content, what is said of it, what is not.
NOTHING_READ: dict[str, tuple[str, list[str], str]] = {
    "empty.jsonl": ("", ["empty.jsonl has no row that can be read, it is empty; write it again"], "README"),
    "list.json": ("[]", ["list.json has no row that can be read, it is empty"], "README"),
    "text.jsonl": ("Hello.\nYou.\n", ["not JSON (2)", "write one JSON object a line"], "README"),
    "half.jsonl": (json.dumps({"problem": "P", "text": "T"}), ["--columns problem=…,solution=…"], "did you mean"),
    "near.jsonl": (json.dumps({"problem": "P", "soluton": "T"}), ["did you mean --columns solution=soluton?"], "problem=problem"),
    "cells.csv": ("problem,solution\nP,S,T\n", ["another number of cells", "quote the cells"], "a list"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING_READ)
def test_what_is_wrong_with_a_file_without_rows_is_said_with_the_fix(name, quiet_audit, capsys):
    content, words, absent = NOTHING_READ[name]
    (quiet_audit / name).write_text(content)
    code, _, said = audited(name, capsys=capsys)
    assert code == 1 and all(word in said for word in words) and absent not in said, said


def test_a_copy_of_a_source_has_columns_of_its_own(tmp_path, tiny_tokenizer, capsys):
    (tmp_path / "a.csv").write_text('Q,A\nWhat is 2 + 3?,"5, so $\\boxed{5}$."\n' * 1 + "What is 2 + 2?,$\\boxed{4}$\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: t\ntokenizer: {tiny_tokenizer}\nsources: [{{name: numbers, hub: org/numbers, revision: {'a' * 40}}}]\n"
        "steps: [validation: {rows: 1}]\n"
    )
    command = ["build", str(recipe), "--out", str(tmp_path / "out"), "--workers", "0", "--json"]
    command += ["--source", f"numbers={tmp_path / 'a.csv'}"]
    assert main([*command, "--columns", "numbers:problem=Q,solution=A"]) == 0
    assert json.loads(capsys.readouterr().out)["rows_read"] == {"numbers": 2}
    for columns, words in {
        "number:problem=Q": "no such source; did you mean 'numbers'?",
        "problem=Q": "write NAME:problem=COLUMN",
        "numbers:problm=Q": "did you mean 'problem'?",
        "numbers:problem=": "write problem=COLUMN",
    }.items():
        assert main([*command, "--columns", columns]) == 2
        assert words in capsys.readouterr().err


def test_a_recipe_names_the_columns_that_are_there(tmp_path, tiny_tokenizer, capsys):
    (tmp_path / "a.jsonl").write_text((json.dumps({"Q": "What is 2 + 3?", "work": S}) + "\n") * 3)
    recipe = tmp_path / "recipe.yaml"
    text = f"name: t\ntokenizer: {tiny_tokenizer}\nsources: [{{name: a, path: {tmp_path / 'a.jsonl'}}}]\nsteps: [validation: {{rows: 1}}]\n"
    recipe.write_text(text)
    command = ["build", str(recipe), "--out", str(tmp_path / "out"), "--workers", "0"]
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "a.jsonl:1: no columns" in said and "'Q', 'work'" in said and "`columns`" in said
    recipe.write_text(text.replace("jsonl}", "jsonl, columns: {problem: Q, solution: wrk}}"))
    assert main(command) == 2
    assert "no column 'wrk' for solution, but 'Q', 'work'; did you mean 'work'?" in capsys.readouterr().err
    recipe.write_text(text.replace("jsonl}", "jsonl, columns: {problem: Q, solution: work}}"))
    assert read_recipe(recipe).sources[0].columns == {"problem": "Q", "solution": "work"}
    assert main(command) == 0


# Real rows, in the shapes of other data sets


def reshaped(line: dict[str, Any]) -> list[dict[str, Any]]:
    problem, solution = (turn["content"] for turn in line["messages"])
    return [
        {"instruction": problem, "input": "", "output": solution},
        {"conversations": [said("system", SYSTEM), said("human", problem), said("gpt", solution)]},
        {"prompt": problem, "completion": solution},
        {"question": problem, "solution": solution, "answer": line["answer"]},
        {"messages": [turn("user", part(problem)), turn("assistant", part(solution))], "answer": line["answer"]},
    ]


@pytest.mark.parametrize("shape", range(5))
@pytest.mark.parametrize("name", ["math_train", "gsm8k_train_boxed", "cs336_r1_traces"])
def test_real_rows_are_read_in_every_shape(name, shape, shared, tmp_path):
    with gzip.open(shared / f"data/sft/{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(300), strict=False)]
    shapes = [reshaped(row)[shape] for row in rows]
    (tmp_path / "a.json").write_text(json.dumps(shapes, ensure_ascii=False), encoding="utf-8")
    Dataset.from_list(shapes).to_parquet(tmp_path / "a.parquet")
    for path in (tmp_path / "a.json", tmp_path / "a.parquet"):
        found = rows_of(path)
        assert [(row["problem"], row["solution"]) for row in found] == [
            tuple(turn["content"] for turn in row["messages"]) for row in rows
        ]
    figures = audit(str(tmp_path / "a.json"), Instruments(), Console(quiet=True))
    assert figures["rows"] == 300 and not figures["unreadable"]
