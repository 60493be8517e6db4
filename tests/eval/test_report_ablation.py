"""The table of an ablation, from what the store holds: ranked, paired, corrected, with seeds; and its page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from eval.report import write_report
from eval.report.ablation import CELLS, Ablation, as_json, load_ablation, load_ablations, terminal_table
from eval.stats import holm
from tests.eval.report_folder import HOSTILE, Page, make_summary, write_ablation, write_evaluation


@pytest.fixture
def found(tmp_path: Path) -> Ablation:
    return load_ablation(write_ablation(tmp_path / "reports"))


def test_arms_are_ranked_and_only_what_the_numbers_show_is_told_apart(found: Ablation) -> None:
    (table,) = found.tables
    assert [row.name for row in table.rows] == ["clean", "alike", "wrong", "unboxed"]
    assert [round(row.shares["equivalent"], 3) for row in table.rows] == [0.683, 0.679, 0.525, 0.0]
    said = {row.name: sentence for row, sentence in zip(table.rows[1:], table.sentences, strict=False)}
    assert said["wrong"].startswith("wrong is worse than clean by 15.8 points, 95 % interval ")
    assert said["unboxed"].startswith("unboxed is worse than clean by 68.3 points")
    assert said["alike"].startswith("alike cannot be told from clean: −0.4 points, 95 % interval −")
    assert re.search(
        r"find a difference of \d+\.\d points in four of five cases, before the correction\.$", said["alike"]
    )


def test_p_values_are_holms_over_all_arms_and_seeds_have_mcnemars(found: Ablation) -> None:
    (table,) = found.tables
    others = [row for row in table.rows if row.over]
    raw, adjusted = [row.over.p for row in others if row.over], [row.p for row in others]
    assert adjusted == pytest.approx(list(holm(raw)))
    wrong = next(row for row in others if row.name == "wrong")
    against = wrong.seeds[0].against
    assert against is not None and (against.fixed, against.broken) == (0, 20)
    assert against.p == pytest.approx(2 * 0.5**20)
    assert table.spread is not None and table.spread[1] == 3, "the arm without a right answer says nothing of it"
    assert "Seeds of one recipe differ by 2.5 points (standard deviation, pooled, 3 degrees" in " ".join(
        table.sentences
    )


@pytest.mark.parametrize(("seen", "budget", "said"), [
    ((9000, 9300), 9000, ""), ((9000, 18_000), None, "clean saw 9,000, wrong 18,000; --budget tokens=N gives all the same."),
    ((9000, 18_000), 9000, "clean saw 9,000, wrong 18,000."), ((None, 9000), None, ""),
])  # fmt: skip
def test_unequal_training_is_said(seen: tuple[int | None, ...], budget: int | None, said: str, tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports", {"clean": (80,), "wrong": (60,)})
    record = json.loads((folder / CELLS).read_text()) | {"budget_tokens": budget}
    for cell, tokens in zip(record["cells"], seen, strict=True):
        cell["tokens_seen"] = tokens
    (folder / CELLS).write_text(json.dumps(record))
    found = [one for one in load_ablation(folder).tables[0].sentences if one.startswith("Training tokens differ")]
    assert found == ([f"Training tokens differ: {said}"] if said else [])


def test_the_last_checkpoint_stands_for_a_cell(found: Ablation) -> None:
    assert {seed.summary["step"] for row in found.tables[0].rows for seed in row.seeds} == {16}


def test_one_seed_gives_the_exact_paired_test_and_says_what_it_cannot_say(tmp_path: Path) -> None:
    (table,) = load_ablation(write_ablation(tmp_path / "reports", {"clean": (80,), "wrong": (60,)})).tables
    row = table.rows[1]
    assert row.over is not None and row.over.problems == row.seeds[0].against and row.p == row.over.p
    assert table.spread is None and table.sentences[-1].startswith("One seed a recipe")


def test_arms_without_a_right_answer_have_no_spread_to_count(tmp_path: Path) -> None:
    (table,) = load_ablation(write_ablation(tmp_path / "reports", {"clean": (0, 0), "wrong": (0, 0)})).tables
    assert table.spread is None and table.sentences[-1].startswith("Next to nothing is right")
    assert table.rows[1].p == 1.0


def test_an_arm_that_lacks_a_seed_is_compared_by_those_it_has(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    record = json.loads((folder / CELLS).read_text())
    lost = next(cell for cell in record["cells"] if (cell["arm"], cell["seed"]) == ("wrong", 1))
    lost.update({"keys": {}, "error": "preflight stops this run"})
    (folder / CELLS).write_text(json.dumps(record))
    found = load_ablation(folder)
    row = next(row for row in found.tables[0].rows if row.name == "wrong")
    assert len(row.seeds) == 1 and row.over is not None and row.over.problems.difference < -0.15
    assert "Without a result: wrong seed 1." in found.tables[0].sentences
    assert as_json(found)["failed"] == {"wrong seed 1": "preflight stops this run"}


def test_cells_on_other_problems_are_said(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports", {"clean": (80,), "wrong": (60,)})
    assert not [said for said in load_ablation(folder).tables[0].sentences if "same problems" in said]
    key = json.loads((folder / CELLS).read_text())["cells"][1]["keys"]["synthetic-test"]["16"]
    manifest = tmp_path / "reports" / key / "manifest.json"
    other = json.loads(manifest.read_text())
    other["benchmark"]["sha256"] = "other"
    manifest.write_text(json.dumps(other))
    (said,) = [said for said in load_ablation(folder).tables[0].sentences if "same problems" in said]
    assert "120 ids are common to all" in said and "run the ablation again" in said


def test_what_the_store_lost_is_no_result(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    for done in (tmp_path / "reports").glob("*/DONE"):
        done.unlink()
    assert load_ablation(folder).tables == ()


def test_a_record_cannot_point_outside_the_store(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    outside = write_evaluation(tmp_path / "elsewhere", make_summary(16, 9), size=120)
    folder = write_ablation(reports, {"clean": (80,), "wrong": (60,)})
    record = json.loads((folder / CELLS).read_text())
    record["cells"][1]["keys"] = {"synthetic-test": {"16": f"../elsewhere/{outside.name}"}}
    (folder / CELLS).write_text(json.dumps(record))
    assert [row.name for row in load_ablation(folder).tables[0].rows] == ["clean"]


def test_the_terminal_shows_each_arm_in_one_line(found: Ablation) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    terminal_table(found, console)
    lines = console.export_text().splitlines()
    (wrong,) = [line for line in lines if line.startswith("wrong ") and "%" in line and "worse" not in line]
    assert re.search(r"52\.5% .* 50\.0 55\.0 +−15\.8 +−\d+\.\d to −\d+\.\d .* 9,000", wrong), wrong
    assert any(line.startswith("clean (control)") for line in lines)


def test_the_page_shows_tables_plot_and_seeds_and_the_index_links_it(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    index = write_report(tmp_path / "reports")
    page = Page(folder / "index.html")
    text = " ".join(re.sub(r"<[^>]*>", " ", page.text).split())
    assert "4 recipes, held against clean , 9,000 training tokens each" in text
    assert "wrong is worse than clean by 15.8 points" in text and "wrong, 1" in text
    assert len(page.all("svg")) == 2 and text.count("Accuracy (equivalent): clean 68.3%") == 2
    assert 'href="ablations/one/index.html"' in index.read_text()
    assert all(
        (folder / str(a["href"]).split("#")[0]).exists() for a in page.all("a") if not str(a["href"]).startswith("#")
    )
    result = json.loads((folder / "ablation.json").read_text())
    assert result["benchmarks"][0]["rows"][2]["difference"]["difference"] == pytest.approx(-0.158, abs=1e-3)
    ledger = (tmp_path / "reports" / "ledger.html").read_text()
    assert "ablations/one/index.html" in ledger and ">control</a>" in ledger and ">−15.8</a>" in ledger


PREFLIGHT = "preflight stops this run (eos: 3 rows; mend sft_utils.py)."
# What a record says of a failed cell -> what the page says.
ERRORS = {
    "with its log": (
        {"key": "0f3a", "error": f"wrong seed 1: {PREFLIGHT} To run: --allow eos. (exit code 1; /far/away/cell.log)"},
        f"wrong seed 1 : {PREFLIGHT} Its log: ablations/cells/0f3a/cell.log",
    ),
    "without a key": ({"error": "the actor died"}, "wrong seed 1 : the actor died"),
    "a key with a path": (
        {"key": "../../etc", "error": "no."},
        "wrong seed 1 : no. Its log: ablations/cells/etc/cell.log",
    ),
    "hostile": (
        {"key": "<img src=x>", "error": "<script>alert(1)</script> \x1b[2J\n\u202e & more"},
        "wrong seed 1 : &lt;script&gt;alert(1)&lt;/script&gt; [2J &amp; more "
        "Its log: ablations/cells/&lt;img src=x&gt;/cell.log",
    ),
}


@pytest.mark.parametrize("all_of_them", [False, True], ids=["one cell", "every cell"])
@pytest.mark.parametrize(("changes", "said"), ERRORS.values(), ids=ERRORS)
def test_the_page_says_why_a_cell_has_no_result(
    changes: dict[str, str], said: str, all_of_them: bool, tmp_path: Path
) -> None:
    folder = write_ablation(tmp_path / "reports")
    record = json.loads((folder / CELLS).read_text())
    for cell in record["cells"]:
        if all_of_them or (cell["arm"], cell["seed"]) == ("wrong", 1):
            cell.update({"keys": {}} | changes)
    (folder / CELLS).write_text(json.dumps(record))
    write_report(tmp_path / "reports")
    page = Page(folder / "index.html")
    text = " ".join(re.sub(r"</?(?:strong|code|li|ul|h2|section)[^>]*>", " ", page.text).split())
    assert "Without a result" in text and said in text and "/far/away" not in text
    assert (
        len(page.all("script")) == 1 and not page.all("img") and "\x1b" not in page.text and "\u202e" not in page.text
    )


def test_the_page_of_an_ablation_without_failures_says_nothing_of_them(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    write_report(tmp_path / "reports")
    assert "Without a result" not in (folder / "index.html").read_text()


def test_the_same_store_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    write_report(tmp_path / "reports")
    before = [(folder / name).read_bytes() for name in ("index.html", "ablation.json")]
    write_report(tmp_path / "reports")
    assert [(folder / name).read_bytes() for name in ("index.html", "ablation.json")] == before


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_recipes_stay_text(text: str, tmp_path: Path) -> None:
    folder = write_ablation(
        tmp_path / "reports", {text: (80, 81), "$\\frac$ [b]": (60, 61)}, control=text, command=text
    )
    write_report(tmp_path / "reports")
    for path in (folder / "index.html", tmp_path / "reports" / "index.html", tmp_path / "reports" / "ledger.html"):
        page = Page(path)
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")], path
        assert len(page.all("script")) == 1 and not page.all("img"), path
        assert {name for name, _ in page.elements} <= KNOWN, path
    terminal_table(load_ablation(folder), Console(file=io.StringIO()))


KNOWN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "script",
        "body",
        "a",
        "nav",
        "main",
        "header",
        "h1",
        "h2",
        "p",
        "strong",
        "ul",
    ),
    *(
        "li",
        "section",
        "figure",
        "figcaption",
        "svg",
        "g",
        "path",
        "text",
        "desc",
        "defs",
        "clippath",
        "rect",
        "use",
        "div",
    ),
    *(
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "small",
        "details",
        "summary",
        "span",
        "code",
        "em",
        "dl",
        "dt",
        "dd",
    ),
}


def test_the_newest_ablation_comes_first(tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports", {"clean": (80,), "wrong": (60,)}, created="2026-01-01T00:00:00+00:00")
    other = folder.with_name("two")
    other.mkdir()
    record = json.loads((folder / CELLS).read_text()) | {"created": "2026-02-01T00:00:00+00:00"}
    (other / CELLS).write_text(json.dumps(record))
    assert [one.folder.name for one in load_ablations(tmp_path / "reports")] == ["two", "one"]


def test_arms_are_paired_problem_by_problem(found: Ablation) -> None:
    wrong = next(row for row in found.tables[0].rows if row.name == "wrong")
    assert wrong.over is not None
    # 20 problems lost with seed 0 and 18 with seed 1, where the arm's answers are nested in the control's.
    assert wrong.over.problems.difference == pytest.approx(-(20 + 18) / 240)
    assert wrong.over.problems.broken == 24 and wrong.over.problems.fixed == 0
