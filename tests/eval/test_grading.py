"""Grading again without a model: what changes is shown, what was decoded stays."""

import json
from pathlib import Path

import pytest

from eval import store
from graders import GRADER_VERSION

GOLDS = {"2 + 2?": "4", "1 / 2?": "0.5", "1 + 1?": "2"}


@pytest.fixture
def scored(tmp_path, make_model, cli, use_engine, write_benchmark, monkeypatch) -> Path:
    """reports/<key> of three outputs, two of them right, as an older grader left it: it took 1/2 for wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", GOLDS)
    make_model(Path("model"))
    use_engine(lambda problem, sample: {"2 + 2?": r"\boxed{4}", "1 / 2?": r"\boxed{1/2}"}.get(problem, r"\boxed{3}"))
    done = cli("run", "model", "--benchmark", "sums", "--benchmarks-dir", "benchmarks", "--max-tokens", "64")
    assert done.code == 0, done.err
    (folder,) = (path.parent for path in Path("reports").glob("*/DONE"))
    new = folder / f"verdicts.{GRADER_VERSION}.jsonl"
    lines = list(store.read_lines(new))
    for line in lines:
        if line["extracted"] == "1/2":
            line |= {"status": "wrong", "correct": False}
    (folder / "verdicts.old.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    new.unlink()
    summary = json.loads((folder / "summary.json").read_text())
    summary |= {"grader": "old", "equivalent": 1 / 3, "statuses": {"correct": 1, "wrong": 2}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_flips_are_listed_and_the_summary_follows(scored, cli):
    before = (scored / "predictions.jsonl").read_bytes()
    done = cli("regrade")
    assert done.code == 0, done.err
    line = f"33.3 -> 66.7 % (+33.3 points), 1 of 3 outputs change from grader old to {GRADER_VERSION}"
    assert f"model on sums: {line}" in done.err
    assert "p1: wrong -> correct, gold '0.5', answered '1/2'" in done.err
    summary = store.read_object(scored / "summary.json")
    assert (summary["equivalent"], summary["grader"], summary["decode_s"] > 0) == (2 / 3, GRADER_VERSION, True)
    assert (scored / "predictions.jsonl").read_bytes() == before
    assert "66.7%" in Path("reports/index.html").read_text()
    assert "nothing to grade again" in cli("regrade").out


def test_without_reports_it_says_what_to_do(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("regrade")
    assert done.code == 2 and "reports is no folder; score a checkpoint first" in done.err
