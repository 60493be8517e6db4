"""What other tools read back: the tables, Parquet in DuckDB, TensorBoard's events, Inspect's logs; and the local server."""

from __future__ import annotations

import csv
import http.client
import json
import re
import threading
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.records import UserError
from eval.report import load_evaluations, make_sections
from eval.report.conditions import Section
from eval.report.exports import SCHEMA, write_csv, write_parquet, write_summary
from eval.report.inspect_log import write_logs
from eval.report.scalars import write_scalars
from eval.report.serve import has_desktop, make_server
from tests.eval.report_folder import (
    GRADER,
    LIMITED,
    SYNTHETIC,
    edit_line,
    make_summary,
    write_evaluation,
    write_reports,
)

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = 120 * len(SYNTHETIC) + 50 * len(LIMITED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an answer that a spreadsheet would compute, and half of a surrogate pair, which UTF-8 can't hold."""
    reports = write_reports(tmp_path_factory.mktemp("exports") / "reports")
    key = next(e.folder for e in load_evaluations(reports) if e.summary["step"] == 60 and e.summary["n"] == 120)
    edit_line(key / f"verdicts.{GRADER}.jsonl", 100, extracted="=1+1")
    edit_line(key / "predictions.jsonl", 101, text="\ud800 \\boxed{304}")
    return reports


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluations say checkpoints/demo, and here a run of that name may be real."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def sections(folder: Path) -> list[Section]:
    return make_sections(load_evaluations(folder))


def test_summary_json_has_every_row_under_its_conditions(sections: list[Section], tmp_path: Path) -> None:
    (path,) = write_summary(sections, tmp_path)
    found = json.loads(path.read_text())
    assert [(one["title"], len(one["rows"])) for one in found] == [
        ("math500, first 50 of 500", 5),
        ("synthetic-test", 5),
    ]
    row = found[1]["rows"][-1]
    assert (row["label"], row["equivalent"], row["training_tokens"]) == ("step 60", 0.8, None)
    assert found[1]["engine"] == {"name": "vllm", "version": "0.32.0"}


def test_csv_has_a_line_an_output_and_computes_nothing(sections: list[Section], tmp_path: Path) -> None:
    summaries, items = (list(csv.DictReader(path.open(encoding="utf-8"))) for path in write_csv(sections, tmp_path))
    assert len(summaries) == 10 and {row["label"] for row in summaries} >= {"base", "step 60"}
    assert len(items) == OUTPUTS and set(items[0]) == set(SCHEMA.names) - {"problem", "gold", "output"}
    by_id = {row["id"]: row for row in items if row["step"] == "60" and row["benchmark"] == "synthetic-test"}
    assert by_id["synthetic-test-100"]["extracted"] == "'=1+1"
    assert by_id["synthetic-test-119"]["extracted"] == "358" and by_id["synthetic-test-119"]["class"] == "near_miss"


def documented_query() -> str:
    """The query in docs/reading-a-report.md."""
    (query,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "reading-a-report.md").read_text(), re.DOTALL)
    return str(query)


def test_parquet_opens_in_duckdb_with_the_documented_query(sections: list[Section], tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="NO DUCKDB: the Parquet file was not opened in it")
    (path,) = write_parquet(sections, tmp_path)
    rows = duckdb.sql(documented_query().replace("reports/export/items.parquet", str(path))).fetchall()
    assert ("synthetic-test", "demo", 60, "buying", 60, 80.0) in rows
    assert len(rows) == 2 * 5 * 2
    texts = duckdb.sql(f"SELECT output FROM '{path}' WHERE id = 'synthetic-test-101' AND step = 60").fetchall()
    assert texts == [("? \\boxed{304}",)]


def test_tensorboard_shows_accuracy_beside_the_losses(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_multiplexer")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    run, reports = tmp_path / "checkpoints" / "demo", tmp_path / "reports"
    for step, right in SYNTHETIC.items():
        summary = make_summary(step, right)
        path = run / f"checkpoint-{step}" if step else tmp_path / "models" / "base"
        path.mkdir(parents=True)
        write_evaluation(reports, summary | {"checkpoint": str(path)}, size=120)
    training = EventFileWriter(str(run / "runs" / "Nov24_machine"))
    training.add_event(Event(step=15, summary=Summary(value=[Summary.Value(tag="train/loss", simple_value=0.7)])))
    training.close()
    sections = make_sections(load_evaluations(reports))
    for _ in range(2):  # a second export replaces the first
        assert write_scalars(sections, reports / "export") == [run / "runs" / "accuracy"]
    read = accumulator.EventMultiplexer().AddRunsFromDirectory(str(run)).Reload()
    tags = {name: set(found["scalars"]) for name, found in read.Runs().items()}
    assert "train/loss" in tags["runs/Nov24_machine"] and "synthetic-test/equivalent" in tags["runs/accuracy"]
    points = read.Scalars("runs/accuracy", "synthetic-test/equivalent")
    assert [(one.step, round(one.value, 4)) for one in points] == [(15, 0.2), (30, 0.4583), (45, 0.5917), (60, 0.8)]


def test_without_the_runs_folder_scalars_go_to_the_export(sections: list[Section], tmp_path: Path) -> None:
    assert write_scalars(sections, tmp_path) == [tmp_path / "tensorboard" / "demo" / "accuracy"]


def test_inspect_reads_its_logs_back(sections: list[Section], tmp_path: Path) -> None:
    log = pytest.importorskip(
        "inspect_ai.log", reason="NO INSPECT: its logs were not read back; pip install inspect_ai"
    )
    paths = write_logs(sections, tmp_path)
    assert len(paths) == 10
    found = log.read_eval_log(str(next(path for path in paths if path.name.startswith("step-60_synthetic"))))
    assert found.status == "success" and found.results.scores[0].metrics["equivalent"].value == 0.8
    assert len(found.samples) == 120
    sample = next(one for one in found.samples if one.id == "synthetic-test-119")
    score = sample.scores["last_box"]
    assert (score.value, score.answer, score.metadata["class"], sample.target) == ("I", "358", "near_miss", "357")
    assert sample.output.stop_reason == "max_tokens" and "\\boxed{358}" in sample.output.completion


def test_without_inspect_one_sentence_says_so(
    sections: list[Section], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    with pytest.raises(UserError, match=r"needs inspect_ai, which is not installed; .*pip install inspect_ai=="):
        write_logs(sections, tmp_path)


# On this machine


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        (None, "/index.html", 200),
        ("localhost:1", "/index.html", 200),
        ("evil.example", "/index.html", 403),
        (None, "/../secret.txt", 404),
        (None, "/%2e%2e/secret.txt", 404),
    ],
)
def test_the_server_answers_this_machine_with_files_of_the_folder(
    tmp_path: Path, host: str | None, path: str, status: int
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "index.html").write_text("pages")
    (tmp_path / "secret.txt").write_text("secret")
    with make_server(tmp_path / "reports", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address, port = server.server_address[:2]
        assert address == "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Host": host} if host else {})
        assert connection.getresponse().status == status
        server.shutdown()


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with make_server(tmp_path, 0) as server, pytest.raises(UserError, match=r"cannot be had .*--port 0"):
        make_server(tmp_path, server.server_address[1])


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4 5"}, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({}, "darwin", True),
    ],
)
def test_a_page_is_opened_where_somebody_sits(environment: dict[str, str], platform: str, expected: bool) -> None:
    assert has_desktop(environment, platform) is expected


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["export", "json", "tensorboard", "--to", "{out}"], 0, ("json: {out}/summary.json", "tensorboard: {out}/tensorboard")),
        (["export", "--to", "{out}"], 0, ("csv: {out}/items.csv", "parquet: {out}/items.parquet")),
        (["export", "--reports", "{out}"], 2, ("holds no finished evaluation", "make eval CKPT=")),
        (["export", "excel"], 2, ("'excel' is no format; choose from json, csv",)),
        (["serve", "--reports", "{out}"], 2, ("has no report; make one first",)),
        (["serve", "--port", "70000"], 2, ("'70000' is no port",)),
    ],
)  # fmt: skip
def test_the_commands(
    folder: Path,
    tmp_path: Path,
    command: list[str],
    code: int,
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [word.replace("{out}", str(tmp_path)) for word in command]
    try:
        returned = main(filled if "--reports" in filled else [*filled, "--reports", str(folder)])
    except SystemExit as exit_:
        returned = int(exit_.code or 0)
    done = capsys.readouterr()
    assert returned == code
    for expected in words:
        assert expected.replace("{out}", str(tmp_path)) in (done.out if code == 0 else done.err)
