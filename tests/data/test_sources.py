"""The same rows from every kind of file, the adapters, and a hub that is played on loopback."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from data.rows import Drop
from data.sources import Source, batches, identity, read

ROOT = Path(__file__).parents[2]
ROWS = [
    {"source": "cn_k12", "problem": f"What is {n} + 1?", "solution": f"It is $\\boxed{{{n + 1}}}$.", "level": n}
    for n in range(2500)
]


def rows_of(**settings: Any) -> list[Any]:
    source = Source("set", **settings)
    return [row for batch in batches(source) for row in read(batch, source)]


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def test_every_kind_of_file_gives_the_same_rows_in_the_same_order(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + as_lines(ROWS).replace(b"\n", b"\r\n\n"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(ROWS)))
    as_parquet(tmp_path / "a.parquet")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/1.jsonl").write_bytes(as_lines(ROWS[:1000]))
    pq.write_table(pa.Table.from_pylist(ROWS[1000:]), tmp_path / "parts/2.parquet")
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:5])}).save_to_disk(
        tmp_path / "splits"
    )
    places = ("a.jsonl", "a.jsonl.gz", "a.parquet", "parts", "saved", "splits")
    found = {place: rows_of(path=str(tmp_path / place)) for place in places}
    expected = found["a.jsonl"]
    assert len(expected) == len(ROWS) and not any(isinstance(row, Drop) for row in expected)
    assert expected[7]["source"] == "set/cn_k12" and expected[7]["answer"] == "8" and expected[7]["level"] == "7"
    assert all(rows == expected for rows in found.values())
    assert len(rows_of(path=str(tmp_path / "splits"), split="test")) == 5


# A row of a family of data sets -> what the adapter makes of it.
FAMILIES = [
    (
        {"id": 3, "messages": [{"role": "user", "content": "P"}, {"role": "assistant", "content": "S"}], "answer": "4"},
        {"id": "3", "problem": "P", "solution": "S", "answer": "4", "source": "set"},
    ),
    (
        {"problem": "P", "solution": "It is \\fbox{5}", "source": "olympiads", "messages": []},
        {"solution": "It is \\fbox{5}", "answer": "5", "source": "set/olympiads"},
    ),
    (
        {"problem": "P", "solution": "so $\\boxed 5$", "type": "Algebra", "level": "Level 2"},
        {"answer": "5", "subject": "Algebra", "level": "Level 2", "source": "set"},
    ),
    (
        {"question": "P", "answer": "48/2=<<48/2=24>>24\n#### 1,072"},
        {"problem": "P", "solution": "48/2=<<48/2=24>>24\n#### 1,072", "answer": "1072"},
    ),
    (
        {"query": "P", "response": "So.\n#### 7\nThe answer is: 7", "type": "MATH_Rephrased", "original_question": "O"},
        {"problem": "P", "answer": "7", "source": "set/MATH_Rephrased"},
    ),
    (
        {"problem": "P", "generated_solution": "S", "expected_answer": 0.5, "problem_source": "augmented_math"},
        {"solution": "S", "answer": "0.5", "source": "set/augmented_math"},
    ),
    (
        {"question": "P", "generated_solution": "S", "expected_answer": "3", "dataset": "gsm8k"},
        {"problem": "P", "answer": "3"},
    ),
]


@pytest.mark.parametrize(("raw", "expected"), FAMILIES)
def test_an_adapter_reads_a_family_of_data_sets(raw, expected, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines([raw]))
    (row,) = rows_of(path=str(tmp_path / "a.jsonl"))
    assert {key: row[key] for key in expected} == expected


def test_columns_of_another_name_are_mapped(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines([{"Q": "P", "A": "S \\boxed{1}", "origin": "web", "hard": 7.5}]))
    columns = {"problem": "Q", "solution": "A", "source": "origin", "difficulty": "hard"}
    (row,) = rows_of(path=str(tmp_path / "a.jsonl"), columns=columns)
    assert (row["problem"], row["answer"], row["source"], row["difficulty"]) == ("P", "1", "set/web", "7.5")


def test_odd_rows_of_a_parquet_file_are_named_by_their_number(tmp_path):
    rows = [
        ROWS[0],
        {"problem": "x" * 10_000_000, "solution": "y"},
        {"problem": None, "solution": "y"},
        {"problem": "a\0b", "solution": "y"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    _, *odd = rows_of(path=str(tmp_path / "a.parquet"))
    assert [drop.detail["place"].rpartition(":")[2] for drop in odd] == ["1", "2", "3"]
    assert [drop.reason.split("+")[0] for drop in odd] == [
        "row longer than 1 MB",
        "no columns problem",
        "problem holds a null character",
    ]
    assert all(len(drop.detail["begins"]) < 200 for drop in odd)


def test_a_source_is_identified_by_what_is_in_its_files(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(as_lines(ROWS[:3]))
    first = identity(Source("set", path=str(tmp_path / "a.jsonl")))
    assert first["files"] == {"a.jsonl": hashlib.sha256(as_lines(ROWS[:3])).hexdigest()}
    (tmp_path / "a.jsonl").write_bytes(as_lines(ROWS[:4]))
    assert identity(Source("set", path=str(tmp_path / "a.jsonl"))) != first


def test_the_files_of_shared_are_read_without_a_bad_row(shared):
    counts = {}
    for path in sorted((shared / "data/sft").glob("*.jsonl.gz")):
        rows = rows_of(path=str(path))
        assert not [row for row in rows if isinstance(row, Drop)], path
        counts[path.name.split(".")[0]] = len(rows)
    assert sum(counts.values()) == 29_475 and counts["math_train"] == 7500


# The hub


REVISION = "9d8d210c9f6a36c8f3cd84045668c9b7800ef517"


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's API that loading a data set asks for: one repository with one Parquet file at one commit."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.split("?")[0]
        commit, prefix = (
            {"sha": REVISION, "id": "org/numbers", "private": False, "disabled": False},
            "/api/datasets/org/numbers",
        )
        listed = [{"rfilename": name} for name in self.files]
        if path in (prefix, f"{prefix}/revision/{REVISION}"):
            self.answer_json(commit | {"siblings": listed, "tags": [], "downloads": 0, "likes": 0, "gated": False})
        elif path.startswith(f"{prefix}/tree/{REVISION}"):
            folder = path.removeprefix(f"{prefix}/tree/{REVISION}").strip("/")
            self.answer_json(self.listing(folder, "recursive=true" in self.path.lower()))
        elif path.startswith(f"/datasets/org/numbers/resolve/{REVISION}/"):
            name = path.removeprefix(f"/datasets/org/numbers/resolve/{REVISION}/")
            self.answer_file(name) if name in self.files else self.missing("EntryNotFound")
        else:
            self.missing("RevisionNotFound" if "/revision/" in path else "RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(self.path)
        if self.path.startswith(f"/api/datasets/org/numbers/paths-info/{REVISION}"):
            self.answer_json([self.entry(name) for name in self.files if name in asked])
        else:
            self.missing("RepoNotFound")

    def listing(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        inside = [name for name in self.files if name.startswith(f"{folder}/" if folder else "")]
        depth = folder.count("/") + 2 if folder else 1
        folders = {"/".join(name.split("/")[:depth]) for name in inside if name.count("/") >= depth}
        found = [self.entry(name) for name in inside if recursive or name.count("/") < depth]
        return found + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)]

    def entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def answer_json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer_file(self, name: str) -> None:
        data = self.files[name]
        etag = hashlib.sha1(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, last = asked.removeprefix("bytes=").split("-")
            end = min(int(last or len(data) - 1), len(data) - 1)
            part = data[int(first) : end + 1]
            self.answer(206, part, headers | {"Content-Range": f"bytes {first}-{end}/{len(data)}"})
        else:
            self.answer(200, data, headers)

    def missing(self, code: str) -> None:
        self.answer(404, b"", {"X-Error-Code": code, "X-Error-Message": "not here"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path) -> Iterator[tuple[str, list[str]]]:
    """(address of a hub with org/numbers, the paths that it was asked for)."""
    as_parquet(tmp_path / "train.parquet")
    asked: list[str] = []
    files = {
        "README.md": b"# numbers\n",
        "data/train-00000-of-00001.parquet": (tmp_path / "train.parquet").read_bytes(),
    }
    handler = type("NumbersHub", (Hub,), {"files": files, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def build(
    endpoint: str, tmp_path: Path, tokenizer: Path, name: str = "org/numbers"
) -> subprocess.CompletedProcess[str]:
    """`python -m data build` of a recipe with a source of the hub, in a process of its own: the endpoint is read at import."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: hub\ntokenizer: {tokenizer}\nsources:\n  - {{name: numbers, hub: org/numbers, revision: {REVISION}}}\n"
        "steps:\n  - has_box\n  - mix: {rows: 300}\n  - validation: {rows: 10}\n"
    )
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    surroundings |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "no_proxy": "127.0.0.1"}
    command = [
        sys.executable,
        "-m",
        "data",
        "build",
        str(recipe),
        "--out",
        str(tmp_path / "out"),
        "--json",
        "--workers",
        "0",
    ]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=300)


def test_a_data_set_is_loaded_by_hub_id_at_its_revision(hub, tmp_path, tiny_tokenizer):
    endpoint, asked = hub
    done = build(endpoint, tmp_path, tiny_tokenizer)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["rows_read"], made["splits"]["train"]["rows"]) == ({"numbers": 2500}, 290)
    assert made["by_source"].keys() == {"numbers/cn_k12"}
    manifest = json.loads((Path(made["folder"]) / "manifest.json").read_text())
    assert manifest["sources"]["numbers"]["revision"] == REVISION
    assert any(f"resolve/{REVISION}/data/train-00000-of-00001.parquet" in path for path in asked)


def test_a_hub_that_does_not_answer_is_one_sentence_and_nothing_is_left(tmp_path, tiny_tokenizer):
    done = build("http://127.0.0.1:9", tmp_path, tiny_tokenizer)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: ") and "could not be had from the hub" in said and "--source numbers=PATH" in said, (
        said
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"build.log"}
