"""The ledger: every checkpoint with its data, from the store or from the folder; a click from the index; names are text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eval.provenance import data_note, tokens_seen
from eval.report import load_evaluations, make_sections, write_report
from eval.report.ledger import data_of, make_ledger
from eval.report.load import Evaluation
from tests.eval.report_folder import HOSTILE, Page, make_summary, write_evaluation, write_reports

NOTE = {
    "dataset": "data/built/gsm8k-math-0a1b2c",
    "name": "gsm8k-math",
    "digest": "0a1b2c3d4e5f" * 4,
    "rows": 1000,
    "tokens": 200_000,
    "sources": {"gsm8k": {"rows": 600, "tokens": 80_000}, "math": {"rows": 400, "tokens": 120_000}},
}


def write_run(folder: Path, step: int = 15, **changes: Any) -> Path:
    """What training leaves beside a checkpoint's weights."""
    folder.mkdir(parents=True)
    train = {"rows": 1000, "tokens": 200_000, "token_ids_sha256": "ab" * 32}
    told = {"dataset": NOTE["dataset"], "train": train, "sources": NOTE["sources"]} | changes
    (folder / "data.json").write_text(json.dumps(told))
    (folder / "run.json").write_text(json.dumps({"step": step, "tokens_seen": 3000}))
    return folder


def with_note(reports: Path, step: int, note: Any) -> None:
    """Adds what evaluation writes down of a checkpoint's data to its manifest."""
    for manifest in reports.glob("*/manifest.json"):
        told = json.loads(manifest.read_text())
        if told["checkpoint"]["step"] == step:
            told["checkpoint"]["data"] = note
            manifest.write_text(json.dumps(told))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return write_reports(tmp_path / "reports")


def words(path: Path) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", Page(path).text).split())


def test_a_click_from_the_index_leads_to_the_sources(reports: Path) -> None:
    with_note(reports, 60, NOTE)
    write_report(reports)
    (target,) = {a["href"] for a in Page(reports / "index.html").all("a") if "ledger.html#" in str(a["href"])}
    page, shown = Page(reports / "ledger.html"), words(reports / "ledger.html")
    assert str(target).split("#")[1] in {h["id"] for h in page.all("h2")}
    for expected in (
        "gsm8k-math", "0a1b2c3d4e5f", "1,000 rows, 200,000 tokens.", "math 400 120,000 60.0%", "gsm8k 600 80,000 40.0%",
        "step 60 80.0% on synthetic-test", "step 60 20.0% on math500",
    ):  # fmt: skip
        assert expected in shown, expected
    assert "80.0% 72.0–86.2 +80.0 +71.9 to +86.8" in shown, "paired with the base model, with its interval"
    sections = make_ledger(make_sections(load_evaluations(reports))).sections
    assert [entry.row.label for entry in sections[1][1]] == ["step 60", "step 45", "step 30", "step 15", "base"], (
        "best first"
    )


def test_without_notes_the_ledger_says_so_and_the_index_links_none(reports: Path) -> None:
    write_report(reports)
    assert "No evaluated checkpoint says what it was trained on" in words(reports / "ledger.html")
    assert not [a for a in Page(reports / "index.html").all("a") if "ledger.html#" in str(a["href"])]


def test_evaluations_from_before_are_read_from_the_folder_while_it_holds_that_step(tmp_path: Path) -> None:
    def of(step: int, note: Any = None) -> Any:
        checkpoint = {"path": str(tmp_path / "run" / "checkpoint-15"), "step": step, "data": note}
        return data_of(Evaluation(tmp_path, {"checkpoint": checkpoint}, {}))

    write_run(tmp_path / "run" / "checkpoint-15")
    found = of(15)
    assert (found.name, found.digest, found.rows) == (NOTE["dataset"], "ab" * 32, 1000)
    assert found.sources == (("math", 400, 120_000), ("gsm8k", 600, 80_000))
    assert of(30) is None, "another run's by now"
    assert of(15, NOTE).name == "gsm8k-math", "what evaluation wrote down comes first"


def test_a_recipe_gives_its_name_and_digest(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "checkpoint-15", manifest={"name": "curated", "digest": "cafe"})
    assert data_note(folder) == NOTE | {"name": "curated", "digest": "cafe"} and tokens_seen(folder, 15) == 3000
    assert data_note(tmp_path) is None and tokens_seen(tmp_path, 15) is None and tokens_seen(folder, 30) is None


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "null",
        '{"dataset": "x"}',
        '{"dataset": "x", "train": {"rows": "many"}}',
        '{"dataset": 1, "train": []}',
    ],
)
def test_somebody_elses_data_json_is_none(damage: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(damage)
    assert data_note(tmp_path) is None


@pytest.mark.parametrize(
    "note", [{}, {"dataset": "x"}, {"dataset": "x", "sources": [1]}, {"dataset": "x", "sources": {"a": 3}}, "x", 3]
)
def test_a_damaged_note_in_the_store_breaks_no_report(note: Any, reports: Path) -> None:
    with_note(reports, 60, note)
    write_report(reports)
    assert "step 60" in words(reports / "ledger.html")


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_recipes_and_sources_stay_text(text: str, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    write_evaluation(reports, make_summary(15, 60), size=120)
    note = NOTE | {"name": text, "dataset": text, "digest": text, "sources": {text: {"rows": 1, "tokens": 2}}}
    with_note(reports, 15, note)
    write_report(reports)
    for name in ("index.html", "ledger.html"):
        page = Page(reports / name)
        # An element that the text made would have brought its handler along.
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")], name
        assert len(page.all("script")) == 1 and not page.all("img"), name


def test_equal_sets_are_one_entry_with_all_their_scores(reports: Path) -> None:
    for step in (15, 30, 45, 60):
        with_note(reports, step, NOTE)
    ledger = make_ledger(make_sections(load_evaluations(reports)))
    assert len(ledger.sets) == 1 and len(ledger.trained_on(ledger.sets[0])) == 8
    assert all(entry.base for _, entries in ledger.sections for entry in entries if entry.data)
