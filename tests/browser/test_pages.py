"""The pages as a reader meets them: a headless Chromium, driven by keyboard and mouse, that may ask nobody for anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from eval.report import load_summaries, write_report
from eval.report.load import read_lines
from eval.report.serve import make_server
from tests.browser.chromium import Tab, chromium, installed
from tests.eval.report_folder import (
    GRADER,
    HOSTILE,
    edit_line,
    make_summary,
    write_ablation,
    write_evaluation,
    write_jsonl,
    write_reports,
)

PROGRAM = installed()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="NO BROWSER: the pages were not tried in one; apt-get install chromium"
)
ITEMS = "document.querySelectorAll('#list .item').length"
SHOWN = "document.getElementById('shown').textContent"
PAGES = ("index", "evaluation", "compare", "problem")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    assert PROGRAM is not None
    with chromium(PROGRAM) as opened:
        yield opened


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problem 17 is right at step 30 and broken at step 45 by a second box; one evaluation says only what is hostile."""
    folder = write_reports(tmp_path_factory.mktemp("browser") / "reports")
    broken = folder / key_of(folder, 45)
    edit_line(
        broken / "predictions.jsonl",
        16,
        text=r"So \\(\\boxed{48}\\), or $\\frac{1}{2}$ of it: $\\boxed{24}$.".replace("\\\\", "\\"),
    )
    verdict = {"status": "wrong", "correct": False, "strict": False, "normalized": False, "extracted": "24"}
    edit_line(broken / f"verdicts.{GRADER}.jsonl", 16, **verdict)
    hostile = write_evaluation(folder, make_summary(90, 60, key="feedfeedfeedfeed"), size=120)
    for name, field in (("predictions.jsonl", "text"), (f"verdicts.{GRADER}.jsonl", "extracted")):
        lines = list(read_lines(hostile / name))
        texts = (HOSTILE[place % len(HOSTILE)] for place in range(len(lines)))
        write_jsonl(hostile / name, (line | {field: text} for line, text in zip(lines, texts, strict=True)))
    write_report(folder)
    return folder


def key_of(folder: Path, step: int | None) -> str:
    return str(next(s["key"] for s in load_summaries(folder) if s["step"] == step and s["n"] == 120))


def address(folder: Path, page: str) -> str:
    paths = {
        "index": "index.html",
        "evaluation": f"{key_of(folder, 45)}/index.html",
        "compare": f"compare.html#a={key_of(folder, 30)}&b={key_of(folder, 45)}",
        "problem": f"problem.html#section={section_of(folder)}&item=17",
    }
    return f"file://{folder}/{paths[page]}"


def section_of(folder: Path) -> str:
    text = (folder / key_of(folder, 45) / "index.html").read_text()
    return text.split('data-section="')[1].split('"')[0]


def visit(tab: Tab, folder: Path, page: str, width: int = 1100, dark: bool = False) -> float:
    """Opens the page and waits for its list; the seconds that took, measured from a clean console."""
    tab.console.clear()
    tab.requests.clear()
    tab.size(width, 900, dark)
    seconds = tab.open(address(folder, page))
    if page != "index":
        tab.until(f"{ITEMS} > 0")
    return seconds


def assert_quiet(tab: Tab) -> None:
    """Nothing in the console, and nothing asked for but files of the folder."""
    assert tab.console == []
    assert [one for one in tab.requests if not one.startswith(("file:///", "data:", "about:blank"))] == []


def open_item(tab: Tab, place: int) -> str:
    """Opens a row by a click; its text once it is filled."""
    tab.click(f"#list .item:nth-child({place + 1}) > summary")
    text = f"(document.querySelectorAll('#list .item')[{place}].querySelector('.body')?.innerText ?? 'Loading…')"
    tab.until(f"!{text}.includes('Loading…')")
    return str(tab.run(text))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [1100, 390], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_loads_alone_and_fits(tab: Tab, reports: Path, page: str, width: int, dark: bool) -> None:
    assert visit(tab, reports, page, width, dark) < 10
    assert tab.run("document.documentElement.scrollWidth") <= width
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(21, 24, 28)" if dark else "rgb(252, 252, 250)")
    assert_quiet(tab)


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation whose arms have long and hostile names."""
    folder = tmp_path_factory.mktemp("ablated") / "reports"
    arms = {"a-recipe-with-a-name-of-sixty-characters-as-people-give-them": (80, 84), HOSTILE[0]: (60, 66)}
    write_ablation(folder, arms, control=next(iter(arms)))
    for manifest in folder.glob("*/manifest.json"):
        told = json.loads(manifest.read_text())
        sources = {name: {"rows": 3, "tokens": 900} for name in ("gsm8k", HOSTILE[1])}
        told["checkpoint"]["data"] = {
            "dataset": HOSTILE[2],
            "name": "x" * 90,
            "digest": "ab" * 32,
            "rows": 6,
            "tokens": 1800,
        }
        told["checkpoint"]["data"]["sources"] = sources
        manifest.write_text(json.dumps(told))
    write_report(folder)
    return folder


@pytest.mark.parametrize("page", ["index.html", "ledger.html", "ablations/one/index.html"])
@pytest.mark.parametrize("width", [1100, 390], ids=["desktop", "phone"])
def test_ablations_and_the_ledger_fit_are_accessible_and_ask_nobody(
    tab: Tab, ablated: Path, page: str, width: int
) -> None:
    tab.console.clear()
    tab.requests.clear()
    tab.size(width, 900, False)
    tab.open(f"file://{ablated}/{page}")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert serious_faults(tab) == []
    assert_quiet(tab)


def test_the_column_of_changes_is_in_sight_beside_links_to_the_data(tab: Tab, tmp_path: Path) -> None:
    folder = write_reports(tmp_path / "reports")
    note = {"dataset": "d", "name": "curated", "digest": "ab" * 32, "rows": 6, "tokens": 1800, "sources": {}}
    for manifest in folder.glob("*/manifest.json"):
        told = json.loads(manifest.read_text())
        told["checkpoint"]["data"] = note
        manifest.write_text(json.dumps(told))
    write_report(folder)
    tab.size(1100, 900, False)
    tab.open(f"file://{folder}/index.html")
    assert tab.run("document.querySelectorAll('tbody a.data').length") > 0
    assert tab.run("[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length") == 0


def test_one_click_from_a_score_to_the_data_that_made_it(tab: Tab, ablated: Path) -> None:
    tab.open(f"file://{ablated}/index.html")
    tab.click("tbody a.data")
    tab.until("location.pathname.endsWith('ledger.html')")
    shown = tab.run("document.querySelector(location.hash).closest('section').innerText")
    assert "gsm8k" in shown and "50.0%" in shown and HOSTILE[1] in shown


def test_three_clicks_from_the_table_to_why_a_problem_broke(tab: Tab, reports: Path) -> None:
    """The terminal prints the address of the index, which is the first; then the step's changes, then the problem."""
    visit(tab, reports, "index")
    tab.click(f'td a[href$="b={key_of(reports, 45)}"]')
    tab.until(f"typeof {ITEMS} === 'number' && {ITEMS} > 0")
    rows = tab.run("[...document.querySelectorAll('#list .item summary')].map(row => row.innerText)")
    (place,) = [place for place, row in enumerate(rows) if "broken" in row]
    assert "overwritten" in rows[place]
    text = open_item(tab, place)
    assert "17 (synthetic-test-16)" in text and "A: step 30" in text and "B: step 45 overwritten" in text
    drawn = tab.run("[...document.querySelectorAll('.side .graded')].map(e => [e.namespaceURI, e.textContent])")
    assert drawn == [["http://www.w3.org/1998/Math/MathML", "48"], ["http://www.w3.org/1998/Math/MathML", "24"]]
    assert tab.run("document.querySelectorAll('.side math mfrac').length") == 1
    tab.click("#as-source")
    marks = tab.run(
        "[...document.querySelectorAll('.side mark')].filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    assert marks == [r"\boxed{48}", r"\boxed{24}"]
    assert_quiet(tab)


def test_an_evaluation_is_filtered_searched_and_paged(tab: Tab, reports: Path) -> None:
    visit(tab, reports, "evaluation")
    assert tab.run(ITEMS) == 100 and tab.run(SHOWN) == "All 120 outputs, 1 to 100 shown"
    tab.click("#pager button:last-child")
    tab.until(f"{ITEMS} === 20")
    choose(tab, "kind", "near_miss")
    tab.until(f"{SHOWN}.startsWith('49 of 120')")
    choose(tab, "subject", "sharing")
    tab.until(f"{SHOWN}.startsWith('25 of 120')")
    assert "kind=near_miss" in tab.run("location.hash") and "subject=sharing" in tab.run("location.hash")
    choose(tab, "kind", "overwritten")
    choose(tab, "subject", "")
    tab.until(f"{SHOWN} === '1 of 120 outputs'")
    text = open_item(tab, 0)
    assert "a right answer stands in it" in text and "wrong, decided by" in text
    choose(tab, "kind", "")
    tab.click("[name=q]")
    tab.type("buys 23 bags")
    tab.until(f"{SHOWN} === '1 of 120 outputs'")
    assert_quiet(tab)


def choose(tab: Tab, name: str, value: str) -> None:
    """What choosing an option does: the value, and the event that the browser sends."""
    script = f"(e => {{ e.value = {json.dumps(value)}; e.dispatchEvent(new Event('input', {{bubbles: true}})); return e.value; }})"
    assert tab.run(f"{script}(document.querySelector('[name={name}]'))") == value


def test_an_address_with_a_filter_opens_filtered(tab: Tab, reports: Path) -> None:
    tab.open(f"file://{reports}/{key_of(reports, 45)}/index.html#kind=overwritten")
    tab.until(f"{SHOWN} === '1 of 120 outputs'")
    tab.run("document.querySelector('a[href=\"#kind=right\"]').click()")
    tab.until(f"{SHOWN}.startsWith('70 of 120')")


def test_everything_is_reached_by_keyboard(tab: Tab, reports: Path) -> None:
    visit(tab, reports, "evaluation")
    reached = []
    for _ in range(60):
        tab.press("Tab")
        reached.append(tab.run("(e => e.name || e.id || e.className || e.tagName)(document.activeElement)"))
        if tab.run("document.activeElement.parentElement?.classList.contains('item')"):
            break
    assert reached[0] == "skip" and {"q", "kind", "status", "subject", "fact", "as-source"} <= set(reached)
    tab.press("Enter")
    tab.until("document.querySelector('#list .item[open] .body dl')")
    outline = tab.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    assert_quiet(tab)


def test_two_others_are_compared_by_choosing_them(tab: Tab, reports: Path) -> None:
    visit(tab, reports, "compare")
    assert "B is better by" in tab.run("document.getElementById('figures').innerText")
    choose(tab, "a", key_of(reports, 60))
    tab.until("document.getElementById('figures').innerText.includes('A is better by')")
    choose(tab, "show", "fixed")
    tab.until(f"{SHOWN}.startsWith('0 of ')")
    choose(tab, "show", "broken")
    tab.until(f"{ITEMS} === 26")
    choose(tab, "kind", "overwritten")
    tab.until(f"{ITEMS} === 1")
    assert_quiet(tab)


ORDER = "[...document.querySelectorAll('#section-2 .scroll > table')[0].tBodies[0].rows].map(row => row.cells[0].innerText.split(' ').slice(0, 2).join(' '))"  # noqa: E501


def test_a_table_sorts_by_its_heads_with_the_mouse_and_the_keyboard(tab: Tab, reports: Path) -> None:
    visit(tab, reports, "index")
    before = tab.run(ORDER)
    assert before[0].startswith("base") and before[-1] == "step 90"
    head = "#section-2 thead th:nth-child(5)"
    tab.click(f"{head} button")
    assert tab.run(ORDER) == ["step 60", "step 45", "step 90", "step 30", "step 15", before[0]]
    assert tab.run(f"document.querySelector('{head}').ariaSort") == "descending"
    tab.run(f"document.querySelector('{head} button').focus()")
    tab.press("Enter")
    assert tab.run(ORDER) == [before[0], "step 15", "step 30", "step 90", "step 45", "step 60"]
    assert tab.run(f"document.querySelector('{head}').ariaSort") == "ascending"
    tab.press("Enter")
    assert tab.run(ORDER) == before and tab.run("document.querySelectorAll('[aria-sort]').length") == 0
    tab.click("#section-2 thead th:first-child button")
    assert tab.run(ORDER) == sorted(before)
    assert serious_faults(tab) == []
    assert_quiet(tab)


def test_a_table_sorts_figures_by_their_value(tab: Tab, tmp_path: Path) -> None:
    folder = write_ablation(tmp_path / "reports")
    write_report(tmp_path / "reports")
    tab.open(f"file://{folder}/index.html")
    column = "[...document.querySelector('.scroll > table').tBodies[0].rows].map(row => row.cells[4].innerText)"
    tab.click(".scroll thead th:nth-child(5) button")
    shown = tab.run(column)
    assert shown[-1] == "" and shown[:-1] == sorted(shown[:-1], key=lambda text: -float(text.replace("−", "-")))
    tab.click(".scroll thead th:nth-child(5) button")
    assert tab.run(column)[0] == "−68.3" and tab.run(column)[-1] == ""


@pytest.mark.parametrize("steps", [(15,), (15, 30)], ids=["one checkpoint", "one in the first section"])
def test_one_checkpoint_is_not_compared_with_itself(tab: Tab, tmp_path: Path, steps: tuple[int, ...]) -> None:
    folder = tmp_path / "reports"
    write_evaluation(folder, make_summary(15, 24, benchmark="alone"), size=120)
    for step in steps[1:] and steps:
        write_evaluation(folder, make_summary(step, step), size=120)
    write_report(folder)
    tab.console.clear()
    tab.open(f"file://{folder}/compare.html")
    figures = "document.getElementById('figures').innerText"
    tab.until(f"{figures}.length > 0")
    if len(steps) == 1:
        assert "step 15 is the only checkpoint that was evaluated on alone" in tab.run(figures)
        assert not tab.run("document.getElementById('changes').checkVisibility()") and tab.run(SHOWN) == ""
    else:
        assert "ahead by" in tab.run(figures) or "better by" in tab.run(figures)
        choose(tab, "a", tab.run("document.querySelector('[name=b]').value"))
        tab.until(f"{figures}.includes('A and B are both step 30')")
    assert_quiet_console(tab)


def assert_quiet_console(tab: Tab) -> None:
    assert tab.console == []


def test_a_problem_shows_what_every_checkpoint_answered(tab: Tab, reports: Path) -> None:
    visit(tab, reports, "problem")
    assert tab.run("document.querySelector('h1').innerText") == "Problem 17 of synthetic-test"
    rows = tab.run("[...document.querySelectorAll('#list .item > summary')].map(row => row.innerText)")
    assert len(rows) == 6 and "broken" in rows[3] and "overwritten" in rows[3] and "fixed" in rows[4]
    assert "24" in open_item(tab, 3)
    tab.click("#after")
    tab.until("document.querySelector('h1').innerText.startsWith('Problem 18')")
    assert_quiet(tab)


def test_hostile_outputs_do_nothing(tab: Tab, reports: Path) -> None:
    tab.console.clear()
    tab.requests.clear()
    tab.open(f"file://{reports}/feedfeedfeedfeed/index.html")
    tab.until(f"{ITEMS} === 100")
    for place in range(len(HOSTILE)):
        assert HOSTILE[place].replace("\ud800", "?").split()[0] in open_item(tab, place)
    for tag in ("img", "iframe", "svg[onload]", "#list script", "#list a[href^=javascript]"):
        assert tab.run(f"document.querySelector('{tag}')") is None
    tab.open(f"file://{reports}/compare.html#a={key_of(reports, 60)}&b=feedfeedfeedfeed")
    tab.until(f"{ITEMS} > 0")
    open_item(tab, 0)
    assert_quiet(tab)  # an alert would have said so


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(tab: Tab, reports: Path, page: str, dark: bool) -> None:
    visit(tab, reports, page, 390, dark)
    if page != "index":
        open_item(tab, 0)
    assert serious_faults(tab) == []
    assert tab.run("axe.run().then(r => r.passes.length)") > 15


def serious_faults(tab: Tab) -> list[object]:
    """What axe finds on the open page, with everything unfolded."""
    carrier = find_spec("axe_core_python")
    assert carrier and carrier.submodule_search_locations
    tab.run("document.querySelectorAll('details.more, details.conditions').forEach(e => e.open = true)")
    tab.run(Path(carrier.submodule_search_locations[0], "axe.min.js").read_text())
    found = tab.run(
        "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html).slice(0, 3)]))"
    )
    return [fault for fault in found if fault[0] in ("serious", "critical")]


def test_served_pages_load_as_those_from_files(tab: Tab, reports: Path) -> None:
    with make_server(reports, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab.console.clear()
        tab.open(f"http://127.0.0.1:{server.server_address[1]}/{key_of(reports, 45)}/index.html")
        tab.until(f"{ITEMS} === 100")
        server.shutdown()
    assert tab.console == []


def test_screenshots_can_be_taken(tab: Tab, reports: Path, tmp_path: Path) -> None:
    visit(tab, reports, "compare")
    tab.screenshot(tmp_path / "compare.png")
    assert (tmp_path / "compare.png").stat().st_size > 10_000
