"""What a report says: reading the folder, who is best, the tables and the curve."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console

from eval.records import UserError
from eval.report import load_evaluations, load_summaries, make_sections, markdown_table, terminal_table, write_report
from eval.report.conditions import Section
from eval.report.items import load_items, load_problems, problems_file
from eval.report.load import read_lines
from eval.report.plots import accuracy_curve
from eval.report.ranking import (
    Group,
    best_row,
    best_sentence,
    detectable_sentence,
    groups_sentence,
    indistinct_rows,
    make_group,
    picked_sentence,
    standing_sentences,
    title,
)
from tests.eval.report_folder import (
    GRADER,
    LIMITED,
    SYNTHETIC,
    make_graded,
    make_section,
    make_summary,
    write_evaluation,
    write_reports,
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return write_reports(tmp_path / "reports")


def as_terminal(sections: Iterable[Section], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    terminal_table(sections, console)
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
        load_problems(problems_file(evaluation))


def test_items_keep_the_order_of_the_benchmark_and_say_what_is_not_graded(reports: Path) -> None:
    evaluation = next(e for e in load_evaluations(reports) if e.summary["step"] == 60 and e.summary["n"] == 120)
    predictions = evaluation.folder / "predictions.jsonl"
    predictions.write_text("\n".join(reversed(predictions.read_text().splitlines())) + "\n")
    verdicts = evaluation.folder / f"verdicts.{GRADER}.jsonl"
    verdicts.write_text("\n".join(verdicts.read_text().splitlines()[1:]) + "\n")
    items = load_items(evaluation, load_problems(problems_file(evaluation)))
    assert [(item.id, item.status) for item in items[:3]] == [
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


def test_a_limit_is_in_the_title() -> None:
    group = make_group([make_summary(10, 10, n=50, limit=50)])
    assert title(group) == "synthetic-test, first 50 problems only"
    assert title(group, size=1319) == "synthetic-test, first 50 of 1,319"
    assert title(make_group([make_summary(10, 10)])) == "synthetic-test"


def test_first_and_drawn_problems_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    write_evaluation(tmp_path, make_summary(10, 20, n=50, limit=50), size=120)
    drawn = write_evaluation(tmp_path, make_summary(10, 30, n=50, limit=50, drawn=True), size=120)
    manifest = json.loads((drawn / "manifest.json").read_text())
    manifest["benchmark"] |= {"sha256": "drawn", "drawn": True}
    (drawn / "manifest.json").write_text(json.dumps(manifest))
    sections = make_sections(load_evaluations(tmp_path))
    assert sorted((section.title, len(section.group.rows)) for section in sections) == [
        ("synthetic-test, 50 of 120 drawn", 1),
        ("synthetic-test, first 50 of 120", 1),
    ]
    page = write_report(tmp_path).read_text()
    assert "synthetic-test, 50 of 120 drawn" in page and "synthetic-test, first 50 of 120" in page


def test_a_title_tells_problems_that_were_drawn_from_the_first_ones() -> None:
    group = make_group([make_summary(10, 10, n=50, limit=50) | {"drawn": True}])
    assert title(group) == "synthetic-test, 50 problems drawn"
    assert title(group, size=1319) == "synthetic-test, 50 of 1,319 drawn"


# Tables


def test_the_terminal_table_fits_80_columns_and_shows_every_figure(reports: Path) -> None:
    shown = as_terminal(make_sections(load_evaluations(reports)))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in shown
    assert "step 60 * 120 70.0% 75.0% 80.0% 72.0–86.2 2.5% 5.0% 90" in plain(shown)
    assert "120 problems can show a difference of 11.7 points or more (paired test, 20.8% of problems" in plain(shown)
    assert "math500, first 50 of 500" in shown
    assert "step 45 * 50" in plain(shown) and "step 60 ~ 50" in plain(shown) and "step 15 50" in plain(shown)
    assert "cannot be told apart from step 60 and step 30." in plain(shown)


def test_undecided_outputs_are_red_and_counted() -> None:
    summaries = [make_summary(15, 24), make_summary(30, 55, statuses={"correct": 55, "timeout": 2, "error": 1})]
    shown = as_terminal([make_section(summaries)], width=120)
    (row,) = [line for line in shown.splitlines() if "step 30" in line and "45.8%" in line and "Best" not in line]
    assert "\x1b[31m" in row
    assert (
        "step 30: 2 timeout and 1 error of 120 outputs have no verdict; its accuracy may be up to 2.5 points higher."
        in plain(shown)
    )
    assert "step 15: " not in plain(shown)


def test_markdown_has_a_table_a_benchmark_and_the_best_in_bold(reports: Path) -> None:
    text = markdown_table(make_sections(load_evaluations(reports)))
    assert text.count("|---|") == 2
    assert "| base | 120 | 0.0% | 0.0% | 0.0% | 0.0–3.1 | 2.5% | 5.0% | 90 |" in text
    assert "| **step 60** | **120** | **70.0%** |" in text
    assert markdown_table([]) == ""


def test_names_cannot_break_the_tables() -> None:
    summaries = [make_summary(None, 3, run="a|b\n<img src=x> [red]*x*\x1b[31m")]
    row = markdown_table([make_section(summaries)]).splitlines()[4]
    assert row.startswith(r"| **a\|b&lt;img src=x&gt; \[red\]\*x\*\[31m** | **120** |")
    assert "a|b<img src=x> [red]*x*[31m" in as_terminal([make_section(summaries)], width=120)


def test_facts_that_are_not_trivial_stand_under_the_table() -> None:
    rows = [make_summary(15, 24, ran_on=0.35), make_summary(30, 55, ran_on=0.001)]
    sampled = make_summary(45, 60, samples=2, pass_at_k={"1": 0.5, "2": 0.75}, maj_at_k=0.5)
    shown = plain(as_terminal([make_section([*rows, sampled], note="temperature 0.7")]))
    assert "Outputs that went on into a next problem: step 15 35.0%." in shown
    assert "step 45: pass@1 50.0%, pass@2 75.0% and maj@2 50.0%." in shown
    assert "temperature 0.7" in shown and "temperature 0.7" in markdown_table(
        [make_section(rows, note="temperature 0.7")]
    )


def test_tables_do_not_mix_decodings_or_engines(reports: Path) -> None:
    decoding = {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0, "stop": []}
    write_evaluation(reports, make_summary(60, 7, key="short000short000"), size=120, decoding=decoding)
    sections = make_sections(load_evaluations(reports))
    text = markdown_table(sections)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "math500, first 50 of 500",
        "synthetic-test",
        "synthetic-test",
    ]
    assert "max tokens 64," in text and "max tokens 64," in plain(as_terminal(sections))
    tables = [part for part in text.split("## ") if part.startswith("synthetic-test")]
    assert ["**5.8%**" in table for table in tables].count(True) == 1


# Curve


def groups_of(reports: Path) -> list[Group]:
    return [section.group for section in make_sections(load_evaluations(reports))]


@pytest.mark.parametrize(("known", "points"), [({15, 30, 45, 60}, 4), ({30, 60}, 2), (set(), 0)])
def test_the_curve_over_training_tokens_has_the_checkpoints_that_say_theirs(known: set[int], points: int) -> None:
    group = make_group([make_summary(step, right) for step, right in SYNTHETIC.items()])
    tokens = {
        row.summary["key"]: 17_000 * row.summary["step"] for row in group.checkpoints if row.summary["step"] in known
    }
    svg = accuracy_curve(group, tokens=tokens)
    assert svg.count("<use ") >= points and ("training tokens" in svg) == bool(points)
    assert (re.search(r">\d+ k<", svg) or not points) and "training step" not in svg


def test_the_curve_has_a_point_a_checkpoint_and_the_base_as_reference(reports: Path) -> None:
    for group in groups_of(reports):
        svg = accuracy_curve(group)
        points = re.search(r'<g class="checkpoints">.*?</g>\s*</g>', svg, re.DOTALL)
        assert points is not None
        assert points.group().count("<use ") == len(group.checkpoints) == 4
        assert svg.count('class="base"') == svg.count('class="reference"') == svg.count('class="band"') == 1
        assert f">base {100 * group.rows[0].summary['equivalent']:.1f}%</text>" in svg
        assert "<desc " in svg and "step 60 " in svg


def test_the_curve_leaves_colours_and_fonts_to_the_page(reports: Path) -> None:
    svg = accuracy_curve(groups_of(reports)[0])
    assert "#0102" not in svg and "style=" not in svg and "<style" not in svg and "font-family" not in svg
    assert {"currentColor", "var(--run-1)"} <= set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))


def test_the_curve_is_the_same_bytes_and_ids_differ_between_drawings(reports: Path) -> None:
    groups = groups_of(reports)
    assert [accuracy_curve(group) for group in groups] == [accuracy_curve(group) for group in groups]
    first, second = (set(re.findall(r' id="([^"]+)"', accuracy_curve(group))) for group in groups)
    assert not first & second


@pytest.mark.parametrize("name", ["$x^2$ & <b>", "a_b$", "\x07bell"])
def test_the_curve_takes_any_run_name(name: str) -> None:
    svg = accuracy_curve(make_group([make_summary(None, 1, run=name), make_summary(None, 2), make_summary(5, 9)]))
    assert svg.startswith("<svg") and "<b>" not in svg


def test_no_curve_without_checkpoints() -> None:
    assert accuracy_curve(make_group([make_summary(None, 12)])) == ""
