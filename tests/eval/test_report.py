"""Reports over a small synthetic folder: two benchmarks, a base model, four checkpoints, one evaluation unfinished."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from eval.records import UserError
from eval.report import load_graded, load_summaries, markdown_table, terminal_table, write_report
from eval.report.load import load_evaluations, load_items, read_lines
from eval.report.pages import TEMPLATES, clip, split_at_box
from eval.report.plots import accuracy_curve
from eval.report.ranking import (
    best_row,
    best_sentence,
    detectable_sentence,
    group_summaries,
    groups_sentence,
    indistinct_rows,
    make_group,
    picked_sentence,
    standing_sentences,
    title,
)
from eval.scores import LEVELS, Graded
from eval.stats import wilson

GRADER = "1"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "javascript:alert(1) </textarea></title></style><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; \ud800 \u2028 \x00",
)
SYNTHETIC = {None: 0, 15: 24, 30: 55, 45: 71, 60: 96}  # step: right answers of 120
LIMITED = {None: 1, 15: 3, 30: 8, 45: 11, 60: 10}  # of the first 50 of 500


def make_summary(step: int | None, right: int, n: int = 120, **changes: Any) -> dict[str, Any]:
    """A summary in which `right` of `n` outputs are equivalent; `changes` replace fields."""
    statuses = {"correct": right, "wrong": n - right - n // 20, "no_box": n // 20}
    run = "smollm2-135m" if step is None else "demo"
    return {
        "checkpoint": f"models/{run}" if step is None else f"checkpoints/{run}/checkpoint-{step}",
        "run": run,
        "step": step,
        "benchmark": "synthetic-test",
        "n": n,
        "strict": max(0, right - n // 10) / n,
        "normalized": max(0, right - n // 20) / n,
        "equivalent": right / n,
        "ci95": list(wilson(right, n)),
        "truncated": 0.025,
        "no_box": (n // 20) / n,
        "statuses": statuses,
        "key": hashlib.sha256(f"{step}{right}{n}{sorted(changes.items())}".encode()).hexdigest()[:16],
        "grader": GRADER,
        "reused": False,
        "start_s": 24.0,
        "load_s": 0.5,
        "decode_s": 16.0,
        "tokens_s": 300.0,
        "grade_s": 1.5,
        "output_tokens": 90 * n,
        "limit": None,
    } | changes


def write_jsonl(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_evaluation(reports: Path, summary: dict[str, Any], size: int, **changes: Any) -> Path:
    """Writes what the store writes for a finished evaluation; returns its folder. `size` counts the whole benchmark."""
    name, n, right = summary["benchmark"], summary["n"], summary["statuses"]["correct"]
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = f"benchmarks/{name}-{digest[:12]}.jsonl"
    folder = reports / summary["key"]
    ids = [f"{name}-{number}" for number in range(n)]
    blank = {"benchmark": name, "subject": None, "level": None, "source": None}
    problems = (
        {"id": id_, "problem": f"Ann buys {k} bags of 3 apples. How many?", "answer": str(3 * k)} | blank
        for k, id_ in enumerate(ids)
    )
    write_jsonl(reports / file, problems)
    answers = [3 * k if k < right else 3 * k + 1 for k in range(n)]
    write_jsonl(
        folder / "predictions.jsonl",
        (
            {
                "id": id_,
                "sample": 0,
                "text": f"Each bag has 3, \\boxed{{0}} no: {k} * 3 = {answer}. \\boxed{{{answer}}}.",
                "finish_reason": "length" if k % 40 == 39 else "stop",
                "output_tokens": 90,
                "token_ids_sha": "0" * 12,
            }
            for k, (id_, answer) in enumerate(zip(ids, answers, strict=True))
        ),
    )
    write_jsonl(
        folder / f"verdicts.{GRADER}.jsonl",
        (
            {
                "id": id_,
                "sample": 0,
                "status": "correct" if k < right else "wrong",
                "correct": k < right,
                "strict": k < right,
                "normalized": k < right,
                "extracted": str(answer),
                "rule": "exact" if k < right else "numeric",
                "cpu_ms": 0.1,
            }
            for k, (id_, answer) in enumerate(zip(ids, answers, strict=True))
        ),
    )
    manifest = {
        "key": summary["key"],
        "checkpoint": {
            "path": summary["checkpoint"],
            "run": summary["run"],
            "step": summary["step"],
            "weights_sha": "ab",
        },
        "benchmark": {"name": name, "sha256": digest, "n": size, "file": file, "limit": summary["limit"]},
        "prompt": {"fingerprint": "f00d"},
        "decoding": {"max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0, "stop": []},
        "engine": {"name": "vllm", "version": "0.32.0"},
        "versions": {"torch": "2.13.0", "transformers": "5.17.0"},
        "git_commit": None,
        "command": "python -m eval run checkpoints/demo",
        "created": "2026-01-01T12:00:00Z",
    } | changes
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (folder / "DONE").touch()
    return folder


def write_reports(reports: Path) -> Path:
    """Ten finished evaluations and one that was stopped after seven outputs."""
    for step, right in SYNTHETIC.items():
        write_evaluation(reports, make_summary(step, right), size=120)
    for step, right in LIMITED.items():
        write_evaluation(reports, make_summary(step, right, n=50, benchmark="math500", limit=50), size=500)
    stopped = write_evaluation(reports, make_summary(75, 99, key="stopped0stopped0"), size=120)
    (stopped / "DONE").unlink()
    (stopped / "summary.json").unlink()
    predictions = stopped / "predictions.jsonl"
    lines = predictions.read_bytes().split(b"\n")
    predictions.write_bytes(b"\n".join(lines[:7]) + b"\n" + lines[7][:20])
    return reports


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return write_reports(tmp_path / "reports")


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of <td> and <th>."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def make_graded(summaries: Iterable[dict[str, Any]], sha: str = "ab") -> dict[str, Graded]:
    """Verdicts by key: each right on as many problems as its summary says, a little further on for each step."""
    graded = {}
    for summary in summaries:
        scores = np.roll(np.arange(summary["n"]) < summary["statuses"]["correct"], summary["step"] or 0) * 1.0
        ids = tuple(f"p{number}" for number in range(summary["n"]))
        graded[summary["key"]] = Graded(sha, 1, ids, dict.fromkeys(LEVELS, scores), {})
    return graded


def as_terminal(summaries: list[dict[str, Any]], width: int = 80, graded: dict[str, Graded] | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    terminal_table(summaries, console, graded)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


# Reading


def test_summaries_are_those_of_finished_evaluations(reports: Path) -> None:
    summaries = load_summaries(reports)
    assert len(summaries) == len(SYNTHETIC) + len(LIMITED)
    assert 75 not in {summary["step"] for summary in summaries}
    assert load_summaries(reports / "nowhere") == []


@pytest.mark.parametrize("torn", [b'{"id": "synthetic-test-3", "sam', b"\x00\x00\x00", b'"\xff'])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id": "\xe2\x80\xa8"}\n' + torn)
    assert list(read_lines(path)) == [{"id": 1}, {"id": "\u2028"}]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id"\n{"id": 3}\n')
    with pytest.raises(UserError, match=r"predictions\.jsonl: line 2 is not JSON"):
        list(read_lines(path))


@pytest.mark.parametrize("name", ["summary.json", "manifest.json"])
@pytest.mark.parametrize("content", ["", "[]", '{"key": '])
def test_a_finished_evaluation_that_cannot_be_read_is_named(reports: Path, name: str, content: str) -> None:
    broken = next(reports.glob("*/DONE")).parent / name
    broken.write_text(content)
    with pytest.raises(UserError, match=re.escape(str(broken))) as error:
        write_report(reports)
    assert error.value.exit_code == 1


def test_a_manifest_cannot_point_outside_the_folder(reports: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"id": "a", "problem": "secret", "answer": "1"}\n')
    evaluation = load_evaluations(reports)[0]
    evaluation.manifest["benchmark"]["file"] = "../secret.jsonl"
    with pytest.raises(UserError, match="benchmarks"):
        load_items(evaluation, 100)


def test_items_keep_the_order_of_the_benchmark_and_say_what_is_not_graded(reports: Path) -> None:
    evaluation = next(e for e in load_evaluations(reports) if e.summary["step"] == 60 and e.summary["n"] == 120)
    predictions = evaluation.folder / "predictions.jsonl"
    predictions.write_text("\n".join(reversed(predictions.read_text().splitlines())) + "\n")
    verdicts = evaluation.folder / f"verdicts.{GRADER}.jsonl"
    verdicts.write_text("\n".join(verdicts.read_text().splitlines()[1:]) + "\n")
    items = load_items(evaluation, 3)
    assert [(item.id, item.status) for item in items] == [
        ("synthetic-test-0", "ungraded"),
        ("synthetic-test-1", "correct"),
        ("synthetic-test-2", "correct"),
    ]


# Ranking


@pytest.mark.parametrize(
    ("rights", "best", "indistinct"),
    [
        ({None: 0, 15: 24, 30: 96}, "step 30", []),
        ({None: 0, 15: 24, 30: 90, 45: 96}, "step 45", ["step 30"]),
        ({None: 0, 15: 91, 30: 90, 45: 96}, "step 45", ["step 15", "step 30"]),
        ({None: 110, 15: 24, 30: 96}, "step 30", []),  # the base model is a reference, not a candidate
        ({15: 60, 30: 60}, "step 15", ["step 30"]),  # equals: the earlier one
        ({None: 12}, "smollm2-135m", []),
    ],
)
def test_the_best_and_what_cannot_be_told_apart(
    rights: dict[int | None, int], best: str, indistinct: list[str]
) -> None:
    summaries = [make_summary(step, right) for step, right in rights.items()]
    group = make_group(summaries, make_graded(summaries))
    assert best_row(group).label == best
    assert [row.label for row in indistinct_rows(group)] == indistinct
    assert ("cannot be told apart" in best_sentence(group)) == bool(indistinct)


@pytest.mark.parametrize(
    ("rights", "sentences"),
    [
        (
            {None: 0, 15: 91, 30: 90, 45: 96, 50: 20, 55: 21, 60: 22},
            [
                "Best: step 45, 80.0% (72.0–86.2); cannot be told apart from step 15 and step 30.",
                "Behind it, in groups that cannot be told apart: step 60, step 55 and step 50.",
                "Being the best of 6 here flatters it by about 3.5 points: expect 76.5% on new problems.",
                "120 problems can show a difference of 17.0 points or more "
                "(paired test, 44.2% of problems discordant between the best two, 80% power).",
            ],
        ),
        (
            {15: 24, 30: 96},
            [
                "Best: step 30, 80.0% (72.0–86.2); told apart from all others.",
                "Being the best of 2 here flatters it by less than 0.1 points: expect 80.0% on new problems.",
                "120 problems can show a difference of 23.6 points or more "
                "(paired test, 85.0% of problems discordant between the best two, 80% power).",
            ],
        ),
        (
            {15: 20, 16: 20},
            [
                "Best: step 15, 16.7% (11.1–24.3); cannot be told apart from step 16.",
                "Being the best of 2 here flatters it by about 0.5 points: expect 16.2% on new problems.",
                "120 problems can show a difference of 6.5 points or more "
                "(paired test, every discordant problem in favour of one, 80% power).",
            ],
        ),
        (
            {None: 96},
            [
                "120 outputs can show a difference of 9.9 points or more (paired test, 15.0% of problems discordant, 80% power)."
            ],
        ),
    ],
)
def test_what_may_be_said_under_a_table(rights: dict[int | None, int], sentences: list[str]) -> None:
    summaries = [make_summary(step, right) for step, right in rights.items()]
    assert standing_sentences(make_group(summaries, make_graded(summaries))) == sentences


def test_without_verdicts_on_the_same_problems_nothing_is_said_of_who_is_better() -> None:
    summaries = [make_summary(15, 24), make_summary(30, 96)]
    graded = make_graded(summaries[:1])
    for known in (None, graded, graded | make_graded(summaries[1:], sha="other")):
        group = make_group(summaries, known)
        assert group.standing is None
        assert best_sentence(group) == "Best: step 30, 80.0% (72.0–86.2)."
        assert not groups_sentence(group) and not picked_sentence(group)
        assert "15.0% of problems discordant" in detectable_sentence(group)


@pytest.mark.parametrize(("best", "apart"), [(96, True), (14, False)])
def test_whether_the_best_can_be_told_from_the_base(best: int, apart: bool) -> None:
    summaries = [make_summary(None, 10), make_summary(15, 9), make_summary(30, best)]
    standing = make_group(summaries, make_graded(summaries)).standing
    assert standing and standing.over_base is apart


def test_a_long_sweep_names_eight_and_counts_the_rest() -> None:
    summaries = [make_summary(step, 60 - step % 3) for step in range(1, 101)]
    sentence = best_sentence(make_group(summaries, make_graded(summaries)))
    assert sentence.count("step") <= 10 and " more." in sentence


@pytest.mark.parametrize(
    ("rows", "labels", "base"),
    [
        ([(None, "llama"), (10, "a")], ["base", "step 10"], "base"),
        ([(10, "a"), (5, "a"), (None, "llama")], ["base", "step 5", "step 10"], "base"),
        ([(None, "a"), (10, "a")], ["a", "step 10"], None),
        ([(None, "llama"), (None, "qwen"), (10, "a")], ["llama", "qwen", "step 10"], None),
        ([(10, "a"), (10, "b")], ["a step 10", "b step 10"], None),
        ([(None, "llama")], ["llama"], None),
    ],
)
def test_labels(rows: list[tuple[int | None, str]], labels: list[str], base: str | None) -> None:
    group = make_group([make_summary(step, 10, run=run) for step, run in rows])
    assert [row.label for row in group.rows] == labels
    assert (group.base.label if group.base else None) == base


def test_equal_labels_are_told_apart_by_key() -> None:
    group = make_group([make_summary(10, 10, key="aaaaaaaaaaaa"), make_summary(10, 20, key="bbbbbbbbbbbb")])
    assert [row.label for row in group.rows] == ["step 10 (aaaaaaaa)", "step 10 (bbbbbbbb)"]


def test_a_limit_makes_its_own_group_and_is_in_its_title() -> None:
    groups = group_summaries([make_summary(10, 10, n=50, limit=50), make_summary(10, 10)])
    assert [title(group) for group in groups] == ["synthetic-test", "synthetic-test, first 50 problems only"]
    assert title(groups[1], size=1319) == "synthetic-test, first 50 of 1,319"


# Tables


def test_the_terminal_table_fits_80_columns_and_shows_every_figure(reports: Path) -> None:
    summaries = load_summaries(reports)
    shown = as_terminal(summaries, graded=load_graded(reports, summaries))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in shown
    assert "step 60 * 120 70.0% 75.0% 80.0% 72.0–86.2 2.5% 5.0% 90" in plain(shown)
    assert "120 problems can show a difference of 11.7 points or more (paired test, 20.8% of problems" in plain(shown)
    assert "math500, first 50 problems only" in shown
    assert "step 45 * 50" in plain(shown) and "step 60 ~ 50" in plain(shown) and "step 15 50" in plain(shown)
    assert "cannot be told apart from step 60 and step 30." in plain(shown)


def test_undecided_outputs_are_red_and_counted() -> None:
    shown = as_terminal(
        [make_summary(15, 24), make_summary(30, 55, statuses={"correct": 55, "timeout": 2, "error": 1})], width=120
    )
    (row,) = [line for line in shown.splitlines() if "step 30" in line and "45.8%" in line and "Best" not in line]
    assert "\x1b[31m" in row
    assert (
        "step 30: 2 timeout and 1 error of 120 outputs have no verdict; its accuracy may be up to 2.5 points higher."
        in plain(shown)
    )
    assert "step 15: " not in plain(shown)


def test_markdown_has_a_table_a_benchmark_and_the_best_in_bold(reports: Path) -> None:
    text = markdown_table(load_summaries(reports))
    assert text.count("|---|") == 2
    assert "| base | 120 | 0.0% | 0.0% | 0.0% | 0.0–3.1 | 2.5% | 5.0% | 90 |" in text
    assert "| **step 60** | **120** | **70.0%** |" in text
    assert markdown_table([]) == ""


def test_names_cannot_break_the_tables() -> None:
    summaries = [make_summary(None, 3, run="a|b\n<img src=x> [red]*x*\x1b[31m")]
    row = markdown_table(summaries).splitlines()[4]
    assert row.startswith(r"| **a\|b&lt;img src=x&gt; \[red\]\*x\*\[31m** | **120** |")
    assert "a|b<img src=x> [red]*x*[31m" in as_terminal(summaries, width=120)


# Curve


def test_the_curve_has_a_point_a_checkpoint_and_the_base_as_reference(reports: Path) -> None:
    for group in group_summaries(load_summaries(reports)):
        svg = accuracy_curve(group)
        points = re.search(r'<g class="checkpoints">.*?</g>\s*</g>', svg, re.DOTALL)
        assert points is not None
        assert points.group().count("<use ") == len(group.checkpoints) == 4
        assert svg.count('class="base"') == svg.count('class="reference"') == svg.count('class="band"') == 1
        assert f">base {100 * group.rows[0].summary['equivalent']:.1f}%</text>" in svg
        assert "<desc " in svg and "step 60 " in svg


def test_the_curve_leaves_colours_and_fonts_to_the_page(reports: Path) -> None:
    svg = accuracy_curve(group_summaries(load_summaries(reports))[0])
    assert "#0102" not in svg and "style=" not in svg and "<style" not in svg and "font-family" not in svg
    assert {"currentColor", "var(--run-1)"} <= set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))


def test_the_curve_is_the_same_bytes_and_ids_differ_between_drawings(reports: Path) -> None:
    groups = group_summaries(load_summaries(reports))
    assert [accuracy_curve(group) for group in groups] == [accuracy_curve(group) for group in groups]
    first, second = (set(re.findall(r' id="([^"]+)"', accuracy_curve(group))) for group in groups)
    assert not first & second


@pytest.mark.parametrize("name", ["$x^2$ & <b>", "a_b$", "\x07bell"])
def test_the_curve_takes_any_run_name(name: str) -> None:
    svg = accuracy_curve(make_group([make_summary(None, 1, run=name), make_summary(None, 2), make_summary(5, 9)]))
    assert svg.startswith("<svg") and "<b>" not in svg


def test_no_curve_without_checkpoints() -> None:
    assert accuracy_curve(make_group([make_summary(None, 12)])) == ""


# Pages


def test_the_index_tells_the_story(reports: Path) -> None:
    index = write_report(reports)
    text = " ".join(re.sub(r"<[^>]*>", "", Page(index).text).split())
    assert index == reports / "index.html"
    for expected in (
        "80.0% 72.0–86.2 best: step 60, +80.0 points over base (told apart)",
        "math500, first 50 of 500",
        "+20.0 points over base (told apart)",
        "cannot be told apart from step 60 and step 30.",
        "step 60 not told apart 50",
        "120 problems can show a difference of 11.7 points",
        "flatters it by less than 0.1 points: expect 79.9% on new problems",
        "checkpoints/demo/checkpoint-75 on synthetic-test: 7 of 120 outputs",
        "max tokens 512",
        "name vllm, version 0.32.0",
        "How to read this",
    ):
        assert expected in text, expected


def test_the_index_links_every_finished_evaluation_and_no_other(reports: Path) -> None:
    links = [str(a["href"]) for a in Page(write_report(reports)).all("a") if not str(a["href"]).startswith("#")]
    assert sorted(links) == sorted(f"{summary['key']}/index.html" for summary in load_summaries(reports))
    assert all((reports / link).is_file() for link in links)
    assert not (reports / "stopped0stopped0" / "index.html").exists()


def test_an_evaluation_page_shows_the_first_100_items_with_the_last_box_marked(reports: Path) -> None:
    write_report(reports)
    key = next(s["key"] for s in load_summaries(reports) if s["step"] == 30 and s["n"] == 120)
    page = Page(reports / key / "index.html")
    words = [str(item["data-words"]).split() for item in page.all("details") if item.get("class") == "item"]
    assert len(words) == 100
    assert sum("correct" in word for word in words) == 55
    assert {button["data-filter"] for button in page.all("button")} == {"", "correct", "wrong", "truncated"}
    assert "First 100 of 120 outputs" in page.text
    assert page.text.count("<mark>") == 100
    assert r"\boxed{0} no: 7 * 3 = 21. <mark>\boxed{21}</mark>." in page.text


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
    for path in (write_report(reports), folder / "index.html"):
        page = Page(path)
        assert len(page.all("script")) == len(page.all("style")) == 1
        assert not page.all("img") and not page.all("textarea")
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert not [a for a in page.all("a") if "javascript" in str(a["href"])]
        assert "49" not in re.findall(r"<dd[^>]*>([^<]*)</dd>", page.text)


def test_a_status_from_a_file_cannot_leave_its_attribute(reports: Path) -> None:
    evaluation = load_evaluations(reports)[0]
    verdicts = evaluation.folder / f"verdicts.{GRADER}.jsonl"
    write_jsonl(verdicts, [line | {"status": HOSTILE[2]} for line in read_lines(verdicts)])
    write_report(reports)
    page = Page(evaluation.folder / "index.html")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_pages_load_nothing_and_say_so(reports: Path) -> None:
    write_report(reports)
    pages = [Page(path) for path in (reports / "index.html", *reports.glob("*/index.html"))]
    assert len(pages) == 1 + len(SYNTHETIC) + len(LIMITED)
    for page in pages:
        addresses = re.findall(r"[a-z]+://[^\s\"'<>]+", page.text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not loaded
        assert not [attributes for _, attributes in page.elements if "src" in attributes or "style" in attributes]
        (policy,) = [str(meta["content"]) for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
        for tag in ("style", "script"):
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


def test_ids_on_a_page_are_unique(reports: Path) -> None:
    page = Page(write_report(reports))
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
    ],
)
def test_the_box_the_grader_read_is_marked(text: str, extracted: str | None, box: str, after: str) -> None:
    output = split_at_box(text, extracted)
    assert (output.box, output.after) == (box, after)
    assert output.before + output.box + output.after == text


def test_a_long_text_keeps_both_ends() -> None:
    text = "a" * 9000 + "b" * 9000
    assert clip(text, 100) == "a" * 50 + "\n[… 17,900 characters left out …]\n" + "b" * 50
    assert clip(text, 18000) == text
