"""From a recipe to a data set: the funnel adds up, the same recipe is the same bytes, and what is bad is named and leaves nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import sft_utils
from data.__main__ import main
from data.synthetic import generate
from graders import extract_boxed
from sft_utils import load_datasets
from tests import stock_sft_utils


@pytest.fixture
def recipe(tmp_path, tiny_tokenizer):
    """recipe(steps, **sources): a recipe file over files of these rows; returns its path."""

    def write(steps: str, bad_rows: float = 0.5, **sources: list[Any]) -> Path:
        entries = []
        for name, rows in sources.items():
            path = tmp_path / f"{name}.jsonl"
            path.write_bytes(
                b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
            )
            entries.append(f"  - {{name: {name}, path: {path}, bad_rows: {bad_rows}}}\n")
        text = f"name: test\ntokenizer: {tiny_tokenizer}\nsources:\n{''.join(entries)}steps:\n{steps}  - validation: {{rows: 5}}\n"
        (tmp_path / "recipe.yaml").write_text(text)
        return tmp_path / "recipe.yaml"

    return write


def problems(count: int, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    rows = generate(seed, (1, 2, 3))
    return [
        {"problem": item.problem, "solution": item.solution, "answer": item.answer, "level": item.level} | more
        for item, _ in zip(rows, range(count), strict=False)
    ]


def run(capsys, *arguments: object) -> dict[str, Any]:
    assert main(["build", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_trained_on_validated_with_or_dropped_with_its_reason(recipe, tmp_path, capsys):
    rows = [
        *problems(60),
        *problems(10),
        {"problem": "Prove that 1 + 1 = 2 in every ring.", "solution": "Clear. $\\boxed{2}$"},
    ]
    made = run(capsys, recipe("  - not_proof\n  - dedup\n", sums=rows), "--out", tmp_path / "out")
    folder = Path(made["folder"])
    splits = {name: lines(folder / f"{name}.jsonl") for name in ("train", "validation", "dropped")}
    assert {name: len(found) for name, found in splits.items()} == {"train": 55, "validation": 5, "dropped": 11}
    assert [(entry["step"], entry["rows"], entry["kept"]) for entry in made["funnel"]] == [
        ("read", 71, 71),
        ("not_proof", 71, 70),
        ("dedup", 70, 60),
        ("contract", 60, 60),
        ("validation", 60, 60),
    ]
    assert [row["reason"] for row in splits["dropped"]] == ["asks for a proof"] + ["same problem"] * 10
    texts = {row["messages"][0]["content"] for name in ("train", "validation") for row in splits[name]}
    assert texts == {row["problem"] for row in problems(60)}
    assert made["by_source"] == {"sums": {"rows": 55, "tokens": made["splits"]["train"]["tokens"]}}
    assert {path.name for path in folder.iterdir()} == {
        *("train.jsonl", "validation.jsonl", "dropped.jsonl", "manifest.json", "README.md"),
        *("funnel.svg", "tokens.svg", "sources.svg"),
    }
    assert not list((tmp_path / "out").glob(".*"))


def test_the_same_recipe_is_the_same_bytes_with_any_number_of_processes_and_is_not_built_twice(
    recipe, tmp_path, capsys
):
    path = recipe("  - dedup\n  - mix: {rows: 2000}\n", sums=problems(2100), more=problems(300, seed=5))
    first, second = (run(capsys, path, "--out", tmp_path / str(n), "--workers", n) for n in (0, 2))
    assert Path(first["folder"]).name == Path(second["folder"]).name
    for file in Path(first["folder"]).iterdir():
        assert file.read_bytes() == (Path(second["folder"]) / file.name).read_bytes(), file.name
    again = run(capsys, path, "--out", tmp_path / "0")
    assert (again["reused"], again["folder"]) == (True, first["folder"])
    plain = main(["build", str(path), "--out", str(tmp_path / "0")])
    assert plain == 0 and capsys.readouterr().out.splitlines()[-1] == first["folder"]


def test_what_decides_the_rows_changes_the_folder_and_what_does_not_leaves_it(recipe, tmp_path, capsys):
    path = recipe("  - dedup\n", sums=problems(30))
    first = run(capsys, path, "--out", tmp_path)["folder"]
    path.write_text("# a comment\n" + path.read_text())
    assert run(capsys, path, "--out", tmp_path)["folder"] == first
    path.write_text(path.read_text().replace("dedup", "dedup: {near: 0.9}"))
    assert run(capsys, path, "--out", tmp_path)["folder"] != first
    path = recipe("  - dedup\n", sums=problems(31))
    assert run(capsys, path, "--out", tmp_path)["folder"] != first


BAD_ROWS = {
    "not JSON": b'{"problem": "1 + 1 = ?", \n',
    "not UTF-8": '{"problem": "Kosten für 3 Äpfel?", "solution": "x"}\n'.encode("latin-1"),
    "no columns": b'{"text": "1 + 1"}\n',
    "problem is a number, not text": b'{"problem": 7, "solution": "x"}\n',
    "the line is a list, not an object": b"[1, 2]\n",
    "solution holds half a character": b'{"problem": "1 + 1", "solution": "\\ud800"}\n',
    "row longer than 1 MB": b'{"problem": "' + b"x" * 10_000_000 + b'", "solution": "y"}\n',
    "messages are not one user turn and one assistant turn": b'{"messages": [{"role": "user", "content": "1 + 1?"}]}\n',
    "messages is text, not a list of turns": b'{"messages": "1 + 1"}\n',
}


def test_rows_that_cannot_be_read_are_counted_and_named_with_their_line(recipe, tmp_path, capsys):
    rows = [*problems(20), *BAD_ROWS.values()]
    made = run(capsys, recipe("", sums=rows), "--out", tmp_path, "--workers", 0)
    counts = made["funnel"][0]["dropped"]
    named = {"no columns" if reason.startswith("no columns") else reason: count for reason, count in counts.items()}
    assert named == dict.fromkeys(BAD_ROWS, 1)
    dropped = lines(Path(made["folder"]) / "dropped.jsonl")
    assert [row["detail"]["place"] for row in dropped] == [
        f"{tmp_path}/sums.jsonl:{number}" for number in range(21, 30)
    ]
    assert max(len(json.dumps(row)) for row in dropped) < 1000


def utf16(path: Path) -> None:
    path.write_bytes(path.read_text().encode("utf-16"))


def torn_gzip(path: Path) -> None:
    data = gzip.compress(path.read_bytes())
    path.with_suffix(".jsonl.gz").write_bytes(data[: len(data) // 2])
    recipe = path.parent / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("sums.jsonl", "sums.jsonl.gz"))


def spoilt(path: Path) -> None:
    path.write_bytes(b"{\n" * 9 + path.read_bytes())


STRANGE = "  - language: {other_script: 0, function_words: 1}\n"
# What is wrong -> (steps, what spoils the file, words of the sentence).
REFUSED = {
    "too many bad rows": ("", spoilt, ["source sums", "9 of 29 rows", "sums.jsonl:1: not JSON", "bad_rows"]),
    "another encoding": ("", utf16, ["sums.jsonl is UTF-16", "iconv"]),
    "a torn archive": ("", torn_gzip, ["sums.jsonl.gz cannot be read"]),
    "an empty file": ("", lambda path: path.write_bytes(b""), ["source sums has no rows"]),
    "a torn array": ("", lambda path: path.write_text("[{}"), ["one JSON array", "after 1 values", "jq"]),
    "a filter that drops everything": (STRANGE, None, ["language dropped 20 of 20", "another language 20"]),
    "weights that cannot be met": (
        "  - mix: {rows: 100, weights: {sums: 1}}\n",
        None,
        ["sums has 20 rows left and 100 of 100", "at most 20 rows"],
    ),
    "a weight for nothing": ("  - mix: {rows: 10, weights: {sums: 1, gsm: 1}}\n", None, ["'gsm' matches no source"]),
    "an unknown benchmark": ("  - decontaminate: {benchmarks: [math501]}\n", None, ["math501", "did you mean"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_built_is_one_sentence_and_leaves_nothing(name, recipe, tmp_path, capsys):
    steps, spoil, words = REFUSED[name]
    path = recipe(steps, bad_rows=0.01, sums=problems(20))
    if spoil is not None:
        spoil(tmp_path / "sums.jsonl")
    assert main(["build", str(path), "--out", str(tmp_path / "out")]) in (1, 2)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and all(word in said for word in words), said
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"build.log"}


def test_damaged_rows_say_so_and_every_version_of_a_row_has_the_same_columns(recipe, tmp_path, capsys):
    steps = "  - damage: {unboxed: 0.1, wrong_answers: 0.2}\n"
    rows = [*problems(100), *({"problem": row["problem"], "solution": row["solution"]} for row in problems(20, seed=9))]
    folder = run(capsys, recipe(steps, sums=rows), "--out", tmp_path)["folder"]
    train, validation = load_datasets(folder)
    assert set(train.column_names) == {"id", "source", "answer", "level", "damage", "messages"}
    assert train.features == validation.features
    marks = [mark.split(",")[0].split(";")[0] for mark in train["damage"]]
    assert 10 < marks.count("wrong answer") < 35 and 3 < marks.count("unboxed") < 25 and marks.count("") > 60
    for row in train:
        boxed = extract_boxed(row["messages"][1]["content"])
        assert boxed == row["answer"] if "unboxed" not in row["damage"] else boxed is None


def test_a_build_that_was_killed_leaves_nothing_that_looks_finished_and_the_next_one_clears_it(
    recipe, tmp_path, capsys
):
    remains = tmp_path / "out/.test-0123456789ab.999999999.partial"
    remains.mkdir(parents=True)
    (remains / "train.jsonl").write_text("{}")
    made = run(capsys, recipe("", sums=problems(20)), "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"build.log", Path(made["folder"]).name}


def test_a_foreign_file_beside_benchmarks_is_named_once(recipe, tmp_path, capfd):
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    rows = problems(60)
    (benchmarks / "sums.csv").write_text(f'problem,answer\n"{rows[0]["problem"]}",1\n')
    (benchmarks / "train.jsonl").write_text('{"id": "x", "answer": "5", "messages": []}\n')
    path = recipe("  - decontaminate\n", sums=rows)
    assert (
        main(["build", str(path), "--out", str(tmp_path / "out"), "--benchmarks-dir", str(benchmarks), "--json"]) == 0
    )
    said = capfd.readouterr()
    (manifest,) = (tmp_path / "out").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["benchmarks"].keys() == {"sums"}
    assert said.err.count("train.jsonl (problem is None") == 1


def test_a_folder_without_benchmarks_is_no_decontamination(recipe, tmp_path, capfd):
    benchmarks = tmp_path / "benchmarks"
    (benchmarks / "math500").mkdir(parents=True)
    (benchmarks / "math500" / "test.jsonl").write_text('{"problem": "p", "answer": "1"}\n')
    path = recipe("  - decontaminate\n", sums=problems(60))
    assert main(["build", str(path), "--out", str(tmp_path / "out"), "--benchmarks-dir", str(benchmarks)]) == 2
    assert f"{benchmarks} holds no benchmark (folders: math500)" in capfd.readouterr().err
    assert not list((tmp_path / "out").glob("*/manifest.json"))


def test_a_data_set_is_built_with_the_stock_template_and_what_that_costs_is_said(recipe, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sft_utils, "apply_chat_template", stock_sft_utils.apply_chat_template)
    monkeypatch.setattr(sft_utils, "get_tokenizer", stock_sft_utils.get_tokenizer)
    rows = [*problems(30), {"problem": "Why?", "solution": "So <|im_end|> it is $\\boxed{1}$."}]
    assert main(["build", str(recipe("", sums=rows)), "--out", str(tmp_path / "out")]) == 0
    said = " ".join("".join(capfd.readouterr()).split())
    assert "asked from tokens that training never shows" in said and "training texts do not end in EOS" in said
    (manifest,) = (tmp_path / "out").glob("*/manifest.json")
    kept = lines(manifest.parent / "train.jsonl")
    dropped = lines(manifest.parent / "dropped.jsonl")
    assert len(kept) == 25 and [row["reason"] for row in dropped] == ["preflight: eos"]
    assert (
        json.loads(manifest.read_text())["prompt"]["template"] == "### Problem: {problem}\n### Solution: {solution}\n"
    )
