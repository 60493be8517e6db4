"""Tables on terminals of any width: names shrink, figures never."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column

from data import audit_report, card
from data.submission import lint, rehearse
from data.submission.checks.findings import Finding
from eval.console import console_on, print_table
from eval.report.tables import terminal_table
from tests.eval.report_folder import make_graded, make_section, make_summary

LONG = "a-run-of-" + 30 * "very-" + "long-names"
NAMES = [
    "base",
    LONG,
    f"{LONG}-2",
    "模型" * 40,
    "e\u0301" * 60,
    "\x1b[31mred\x1b[0m\n" * 9,
    "[bold]x[/bold]" * 9,
    "-1",
    "",
]


def printed(width: int, columns: list[Column], rows: list[list[str]], title: str = "") -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(console, columns, rows, title)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown_by(show: Callable[[Console], None], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40, 25, 12])
@pytest.mark.parametrize("figures", [1, 4, 12])
def test_figures_are_whole_at_any_width_and_lines_fit(width: int, figures: int) -> None:
    values = [[f"{row}{column}.{row}%" for column in range(10, 10 + figures)] for row in range(10, 10 + len(NAMES))]
    columns = [Column("checkpoint", no_wrap=True), *(Column(f"of {n}", justify="right") for n in range(figures))]
    out = printed(width, columns, [[name, *cells] for name, cells in zip(NAMES, values, strict=True)], "1,234 problems")
    for cell in (cell for row in values for cell in row):
        assert len(re.findall(rf"(?<![\w.]){re.escape(cell)}(?!\w)", out)) == 1, (cell, out)
    assert "\x1b" not in out and "1,234 problems" in " ".join(out.split())
    if width >= 20:
        assert max(cell_len(line) for line in out.splitlines()) <= width


def test_a_name_loses_its_middle_and_keeps_what_tells_it_apart() -> None:
    columns = [Column("checkpoint", no_wrap=True), Column("strict", justify="right")]
    out = printed(30, columns, [[f"{LONG} step 15", "62.5%"], [f"{LONG} step 30 *", "70.1%"]])
    assert [line.split()[-2:] for line in out.splitlines()[1:]] == [["15", "62.5%"], ["*", "70.1%"]]
    assert out.count("…") == 2 and "step 15" in out and "step 30 *" in out


def test_names_that_would_look_alike_are_folded_instead() -> None:
    columns = [Column("checkpoint", no_wrap=True), Column("strict", justify="right")]
    first, second = (f"{'x' * 40}{sign}{'y' * 40}" for sign in "ab")
    out = printed(40, columns, [[first, "1.0%"], [second, "2.0%"]])
    whole = "".join(re.sub(r"[\d.%\s]", "", line) for line in out.splitlines()[1:])
    assert whole == first + second and "…" not in out


def test_columns_without_room_follow_below_beside_the_names() -> None:
    columns = [Column("checkpoint", no_wrap=True), *(Column(f"figure{n}", justify="right") for n in range(6))]
    out = printed(40, columns, [["base", *(f"{n}00.0%" for n in range(6))]])
    heads = [line.split() for line in out.splitlines() if line.startswith("checkpoint")]
    assert len(heads) > 1 and [name for line in heads for name in line[1:]] == [f"figure{n}" for n in range(6)]
    assert sum(line.startswith("base") for line in out.splitlines()) == len(heads)


def test_a_cell_is_text_and_no_markup() -> None:
    out = printed(80, [Column("answers")], [["[a, b] [red]x[/red] \x1b[31m\u202e"]])
    assert "[a, b] [red]x[/red]" in out and "\x1b" not in out and "\u202e" not in out


@pytest.mark.parametrize(("columns", "width"), [(None, 120), ("60", 60)])
def test_a_pipe_has_120_columns_or_those_that_are_asked_for(
    columns: str | None, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert console_on(io.StringIO()).width == width


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_the_ranking_keeps_every_figure_beside_long_names(width: int) -> None:
    summaries = [
        make_summary(step, right, n=12_032, run=LONG, output_tokens=12_032 * 2048)
        for step, right in ((None, 12_032), (100_000, 7_531), (200_000, 7_532))
    ]
    out = shown_by(lambda console: terminal_table([make_section(summaries, make_graded(summaries))], console), width)
    assert out.count("12,032") >= 3 and out.count("2,048") == 3 and "100.0%" in out and "62.6%" in out
    assert "100000" in re.sub(r"\s", "", out) and "200000" in re.sub(r"\s", "", out)
    assert not re.search(r"\d…|…\d*%", out)


FIGURES = {
    "dataset": "x.jsonl",
    "rows": 1_234_567,
    "contamination": {LONG: {"exact": 1_234_501, "near": 1_234_502}},
    "benchmark_problems": {LONG: 1_234_503},
    "contaminated_rows": 1_234_501,
    "answers": {"compared": 0},
    "no_box": 0,
    "placeholder_boxes": 0,
    "placeholder_answers": {},
    "marked_invalid": {},
    "reasoning_left_out": {},
    "boxes": {},
    "too_long": 0,
    "duplicates": 0,
    "near_duplicates": 0,
    "unreadable": {},
    "answer_types": {LONG: 1_234_504},
    "sources": {LONG: {"rows": 1_234_505, "tokens": 999_888_777}},
    "tokens": {
        "longest": 99, "histogram": {"counts": [1_234_506, 3], "bin": 64}, "total": 1, "median": 1, "p95": 1,
        "tokenizer": "t",
    },
}  # fmt: skip
FUNNEL = {
    "funnel": [
        {"step": LONG, "rows": 1_234_507, "dropped": {"too long": 1_234_508}, "changed": 1_234_509},
    ],
    "splits": {},
}


def findings() -> lint.Report:
    return lint.Report([Finding("rows", "train.jsonl", "line 1,234,567 has 2,345,678 tokens", f"cut {LONG}")], {}, {})


@pytest.mark.parametrize("width", [120, 80, 60, 40])
@pytest.mark.parametrize(
    ("show", "figures"),
    [
        (lambda console: audit_report.show(FIGURES, console), ["1,234,504", "1,234,505", "999,888,777", "1,234,506"]),
        (lambda console: card.show(FUNNEL, False, console), ["1,234,507", "1,234,508", "1,234,509"]),
        (lambda console: lint.show(findings(), "x", console), ["1,234,567", "2,345,678"]),
        (
            lambda console: rehearse.show(
                {"stock": {"longer_than_2048": 0.1234, "versions": {}, "looked_at": 1, "rows": {"train": 1}, "seconds": 1},
                 "own": {"longer_than_2048": 0.4321, "versions": {}, "looked_at": 1, "rows": {"train": 1}, "seconds": 1},
                 "stand_in": ""}, console),
            ["12.34%", "43.21%"],
        ),
    ],
    ids=["audit", "build", "lint", "rehearse"],
)  # fmt: skip
def test_the_tables_of_data_keep_their_figures(show: Callable[[Console], None], figures: list[str], width: int) -> None:
    out = shown_by(show, width)
    for figure in figures:
        assert figure in out, out
