"""The pages: what they say, that they load nothing from elsewhere, and that what models write stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any, cast

import pytest

from eval.report import load_evaluations, load_summaries, write_report
from eval.report.data import box_span, clip, read_data
from eval.report.load import read_lines
from eval.report.look import TEMPLATES
from tests.eval.report_folder import (
    GRADER,
    HOSTILE,
    LIMITED,
    SYNTHETIC,
    Page,
    make_summary,
    write_evaluation,
    write_jsonl,
    write_reports,
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return write_reports(tmp_path / "reports")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder with its pages, to be read only."""
    folder = write_reports(tmp_path_factory.mktemp("built") / "reports")
    write_report(folder)
    return folder


# Pages


def test_the_index_tells_the_story(built: Path) -> None:
    index = built / "index.html"
    text = " ".join(re.sub(r"<[^>]*>", "", Page(index).text).split())
    assert index == built / "index.html"
    for expected in (
        "80.0% 72.0–86.2 best: step 60, +80.0 points over base (told apart)",
        "math500, first 50 of 500",
        "+20.0 points over base (told apart)",
        "cannot be told apart from step 60 and step 30.",
        "step 60 not told apart 50",
        "120 problems can show a difference of 9.3 to 22.9 points or more, by pair",
        "flatters it by about 0.1 points: expect 79.9% on new problems",
        "Against base, step 60 is 80.0 points higher (told apart, p &lt; 0.001).",
        "checkpoints/demo/checkpoint-75 on synthetic-test: 7 of 120 outputs",
        "max tokens 512",
        "name vllm, version 0.32.0",
        "How to read this",
    ):
        assert expected in text, expected


def test_the_index_links_every_finished_evaluation_and_no_other(built: Path) -> None:
    links = {str(a["href"]).split("#")[0] for a in Page(built / "index.html").all("a")} - {""}
    pages = {f"{summary['key']}/index.html" for summary in load_summaries(built)}
    assert links == pages | {"index.html", "compare.html", "problem.html", "ledger.html"}
    assert all((built / link).is_file() for link in links)
    assert not (built / "stopped0stopped0" / "index.html").exists()


def test_the_index_links_what_changed_since_the_step_before(built: Path) -> None:
    keys = {s["step"]: s["key"] for s in load_summaries(built) if s["n"] == 120}
    text = Page(built / "index.html").text
    for before, after, gain in ((None, 15, 24), (15, 30, 31), (45, 60, 25)):
        link = f'<a href="compare.html#a={keys[before]}&amp;b={keys[after]}"'
        assert re.search(rf"{re.escape(link)}[^>]*>\+{gain} −0</a>", text), (before, after)


def test_an_evaluation_page_counts_its_classes_and_groups(built: Path) -> None:
    key = next(s["key"] for s in load_summaries(built) if s["step"] == 30 and s["n"] == 120)
    page = Page(built / key / "index.html")
    text = " ".join(re.sub(r"<[^>]*>", " ", page.text).split())
    assert "right 55 45.8% – the last box is the reference answer" in text
    assert "near miss 65 54.2%" in text and "by a simple factor, as in 56 , 57 , 58 , 59 , 60" in text
    assert "By subject subject outputs equivalent 95% interval buying 60 46.7%" in text
    assert "#kind=near_miss" in {str(a["href"]) for a in page.all("a")}
    assert {str(select["name"]) for select in page.all("select")} >= {"kind", "status", "rule", "subject"}


def test_outputs_are_in_files_of_at_most_100_with_the_last_box_marked(built: Path) -> None:
    key = next(s["key"] for s in load_summaries(built) if s["step"] == 30 and s["n"] == 120)
    files = sorted((built / key / "pages").glob("outputs-*.js"))
    rows = [read_rows(path) for path in files]
    assert [len(one) for one in rows] == [100, 20]
    assert rows[0][7]["at"] == [7, 0] and rows[0][7]["answer"][0] == "21"
    assert joined(rows[0][7]["text"]) == r"Each bag has 3, \boxed{0} no: 7 * 3 = 21. \boxed{21}."
    (box,) = [part for part in rows[0][7]["text"] if isinstance(part, list) and len(part) == 4]
    assert box[:3] == ["", r"\boxed{21}", ""] and box[3][0] == "math"
    outcomes = read_data(built / key / "pages" / "outcomes.js")
    assert len(outcomes["positions"]) == 120 and sorted(outcomes["kinds"][0]) == ["near_miss", "right"]


def test_samples_share_a_file_with_their_problem(reports: Path) -> None:
    folder = next(e.folder for e in load_evaluations(reports) if e.summary["n"] == 120)
    for name in ("predictions.jsonl", f"verdicts.{GRADER}.jsonl"):
        lines = list(read_lines(folder / name))
        write_jsonl(folder / name, (line | {"sample": sample} for line in lines for sample in range(3)))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["decoding"]["n_samples"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_report(reports)
    rows = read_rows(folder / "pages" / "outputs-001.js")
    assert [row["at"] for row in rows[:4]] == [[33, 0], [33, 1], [33, 2], [34, 0]] and len(rows) == 99


def test_what_has_not_changed_is_not_made_again(reports: Path) -> None:
    write_report(reports)
    evaluation = next(e for e in load_evaluations(reports) if e.summary["n"] == 120)
    output, index = (evaluation.folder / "pages" / name for name in ("outputs-000.js", "outcomes.js"))
    before = output.stat().st_ino, index.stat().st_ino
    write_report(reports)
    assert (output.stat().st_ino, index.stat().st_ino) == before
    verdicts = evaluation.folder / f"verdicts.{GRADER}.jsonl"
    write_jsonl(verdicts, [line | {"rule": "structure"} for line in read_lines(verdicts)])
    write_report(reports)
    assert output.stat().st_ino != before[0] and read_data(index)["rules"][0] == ["structure"]


def test_a_file_of_long_outputs_stays_below_two_megabytes(reports: Path) -> None:
    evaluation = next(e for e in load_evaluations(reports) if e.summary["n"] == 120)
    predictions = evaluation.folder / "predictions.jsonl"
    long = r"\[ x = \frac{1}{2} \] und größer, " * 4_000
    write_jsonl(predictions, [line | {"text": long + line["text"]} for line in read_lines(predictions)])
    write_report(reports)
    files = list((evaluation.folder / "pages").iterdir())
    assert max(path.stat().st_size for path in files) < 2_000_000
    row = read_rows(evaluation.folder / "pages" / "outputs-000.js")[7]
    assert f"\\boxed{{{row['answer'][0]}}}" in joined(row["text"]) and "characters left out" in joined(row["text"])


def read_rows(path: Path) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], read_data(path))


def joined(parts: list[Any]) -> str:
    return "".join(part if isinstance(part, str) else "".join(part[:-1]) for part in parts)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(reports: Path, hostile: str) -> None:
    folder = write_evaluation(
        reports,
        make_summary(90, 99, key="hostile0hostile0", run=hostile, checkpoint=hostile),
        size=120,
        prompt={"name": hostile},
    )
    for name, fields in (("predictions.jsonl", ("text",)), (f"verdicts.{GRADER}.jsonl", ("extracted", "rule"))):
        lines = list(read_lines(folder / name))
        write_jsonl(folder / name, (line | dict.fromkeys(fields, hostile) for line in lines))
    (benchmark,) = reports.glob("benchmarks/synthetic-test-*.jsonl")
    write_jsonl(benchmark, (line | {"problem": hostile, "answer": hostile} for line in list(read_lines(benchmark))))
    index = write_report(reports)
    for path in (folder / "pages").iterdir():  # no text ends its string, nor the call that it is an argument of
        script = path.read_text(encoding="utf-8")
        assert script.count("\n") == 1 and "\u2028" not in script
        assert isinstance(read_data(path), dict | list)
    for path in (index, folder / "index.html", reports / "compare.html", reports / "problem.html"):
        page = Page(path)
        assert len(page.all("script")) == 1 and len(page.all("style")) == 1
        assert not page.all("img") and not page.all("textarea")
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert not [a for a in page.all("a") if "javascript" in str(a.get("href"))]


def test_a_status_from_a_file_cannot_leave_its_attribute(reports: Path) -> None:
    evaluation = load_evaluations(reports)[0]
    verdicts = evaluation.folder / f"verdicts.{GRADER}.jsonl"
    write_jsonl(verdicts, [line | {"status": HOSTILE[2]} for line in read_lines(verdicts)])
    write_report(reports)
    page = Page(evaluation.folder / "index.html")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_pages_load_nothing_and_say_so(built: Path) -> None:
    pages = [Page(path) for path in (*built.glob("*.html"), *built.glob("*/index.html"))]
    assert len(pages) == 4 + len(SYNTHETIC) + len(LIMITED)  # index, problem, compare, ledger
    for page in pages:
        addresses = re.findall(r"[a-z]+://[^\s\"'<>]+", page.text)
        names = {"2000/svg", "1999/xlink", "1998/Math/MathML"}  # of namespaces: nothing is loaded from there
        assert set(addresses) <= {f"http://www.w3.org/{name}" for name in names}
        assert not [attributes for _, attributes in page.elements if "src" in attributes or "style" in attributes]
        (policy,) = [str(meta["content"]) for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
        for tag in ("style", "script"):
            if tag == "script" and not page.all("script"):
                assert "script-src 'none'" in policy
                continue
            (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
            digest = hashlib.sha256(content.encode()).digest()
            assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    channels = [int(colour[position : position + 2], 16) / 255 for position in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "raised"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(scheme: int, paper: str) -> None:
    style = (TEMPLATES / "style.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", style.split(":root")[1 + scheme]))
    for name, needed in {
        "ink": 4.5,
        "quiet": 4.5,
        "link": 4.5,
        "good": 4.5,
        "bad": 4.5,
        "warn": 4.5,
        "run-1": 3.0,
    }.items():
        darker, lighter = sorted((luminance(colours[name]), luminance(colours[paper])))
        assert (lighter + 0.05) / (darker + 0.05) >= needed, name


def test_ids_on_a_page_are_unique(built: Path) -> None:
    page = Page(built / "index.html")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_same_folder_gives_the_same_bytes_and_leaves_no_temporary_file(reports: Path) -> None:
    def contents() -> dict[Path, bytes]:
        write_report(reports)
        return {path: path.read_bytes() for path in reports.rglob("*") if path.is_file()}

    first = contents()
    assert first == contents()
    assert not [path for path in first if path.suffix == ".tmp"]
    assert (reports / "report.md").read_text().startswith("# Evaluation\n\n## math500")


def test_an_old_evaluation_of_the_same_step_is_superseded(reports: Path) -> None:
    old = make_summary(60, 7, key="older000older000")
    write_evaluation(reports, old, size=120, created="2025-01-01T00:00:00Z")
    page = Page(write_report(reports))
    assert "Superseded by a newer evaluation" in page.text and "step 60, 5.8%" in page.text
    assert (reports / "older000older000" / "index.html").is_file()
    assert "| 5.8% |" not in (reports / "report.md").read_text()


def test_other_decoding_makes_its_own_section(reports: Path) -> None:
    decoding = {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0, "stop": []}
    write_evaluation(reports, make_summary(60, 7, key="short000short000"), size=120, decoding=decoding)
    headings = re.findall(
        r"<h2 id=\"heading-\d\">(.*?)</h2>\n<p class=\"quiet\">(.*?)</p>", Page(write_report(reports)).text
    )
    assert [heading for heading, _ in headings] == ["synthetic-test", "synthetic-test"]
    assert ["max tokens 64," in note for _, note in headings].count(True) == 1


def test_a_torn_prediction_and_an_empty_folder_make_pages(reports: Path, tmp_path: Path) -> None:
    for predictions in reports.glob("*/predictions.jsonl"):
        predictions.write_bytes(predictions.read_bytes()[:-30])
    assert write_report(reports).is_file()
    (tmp_path / "empty").mkdir()
    assert "No finished evaluation yet." in write_report(tmp_path / "empty").read_text()


@pytest.mark.parametrize(
    ("text", "extracted", "box", "after"),
    [
        (r"\boxed{1} then \boxed{2}.", "2", r"\boxed{2}", "."),
        (r"\boxed{2} then \boxed{2}", "2", r"\boxed{2}", ""),
        (r"so \boxed { \frac{1}{2} } end", r"\frac{1}{2}", r"\boxed { \frac{1}{2} }", " end"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}", r"\boxed{\{1,2\}}", ""),
        (r"\boxed{1}", None, "", ""),
        (r"\boxed{1}", "2", "", ""),  # what the grader read is not there: nothing is marked
        ("\\boxed{2\ud800}", "2\ufffd", "\\boxed{2\ud800}", ""),
        (r"\boxed{2} then \boxed{3", "2", "", ""),  # nor is a box that the grader does not read
        (r"\boxed{2} then \boxed{1 \\}", r"1 \\", r"\boxed{1 \\}", ""),
        (r"\boxed{a \boxed{b}} c", "b", r"\boxed{b}", "} c"),
    ],
)
def test_the_box_the_grader_read_is_marked(text: str, extracted: str | None, box: str, after: str) -> None:
    span = box_span(text, extracted)
    assert (text[slice(*span)], text[span[1] :]) == (box, after) if span else not box


def test_the_box_is_found_in_linear_time(million: str) -> None:
    began = time.process_time()
    box_span(million, "1")
    assert time.process_time() - began < 2


def test_a_long_text_keeps_both_ends() -> None:
    text = "a" * 9000 + "b" * 9000
    assert clip(text, 100) == "a" * 50 + "\n[… 17,900 characters left out …]\n" + "b" * 50
    assert clip(text, 18000) == text
