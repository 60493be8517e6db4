"""One table over several benchmarks: the mean, its interval, and what is missing."""

from __future__ import annotations

import csv
import io
import json
import re
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eval.__main__ import main
from eval.arguments import SORTS as SORTED_BY
from eval.report import load_evaluations, make_sections, print_overviews, write_report
from eval.report.overview import MIXED, Overview, cells, make_overviews
from eval.report.tables import SORTS
from eval.stats import macro_mean, wilson
from tests.eval.report_folder import HOSTILE, Page, make_summary, write_evaluation, write_reports

RIGHT = {None: (10, 20), 15: (50, 90), 30: (80, 60)}  # of 100 and of 200
COLD = {"max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0, "stop": []}


def write_two(reports: Path, **changes: str) -> Path:
    for step, (first, second) in RIGHT.items():
        write_evaluation(reports, make_summary(step, first, n=100, benchmark="first", **changes), size=100)
        write_evaluation(reports, make_summary(step, second, n=200, benchmark="second", **changes), size=200)
    return reports


def overviews(reports: Path) -> list[Overview]:
    return make_overviews(make_sections(load_evaluations(reports)))


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_two(tmp_path / "reports")


# The mean


@pytest.mark.parametrize(
    ("counts", "mean"), [(((50, 100), (160, 200)), 0.65), (((300, 1000), (500, 1000), (700, 1000)), 0.5)]
)
def test_the_mean_has_the_interval_of_independent_accuracies(counts: tuple[tuple[int, int], ...], mean: float) -> None:
    found, low, high = macro_mean([(right / n, *wilson(right, n)) for right, n in counts])
    se = sqrt(sum((right / n) * (1 - right / n) / n for right, n in counts)) / len(counts)
    assert found == pytest.approx(mean)
    assert (low, high) == pytest.approx((mean - 1.96 * se, mean + 1.96 * se), abs=0.003)


def test_the_mean_of_benchmarks_without_a_right_answer_is_not_certain() -> None:
    mean, low, high = macro_mean([(0.0, *wilson(0, 100))] * 2)
    assert (mean, low) == (0.0, 0.0) and 0.01 < high < 0.04
    assert macro_mean([(1.0, *wilson(100, 100))])[1:] == pytest.approx(wilson(100, 100))
    with pytest.raises(ValueError, match="at least one"):
        macro_mean([])


def test_the_interval_of_the_mean_covers_95_percent() -> None:
    random, shares, sizes = np.random.default_rng(0), (0.02, 0.3, 0.7), (100, 50, 200)
    hits = 0
    for _ in range(2000):
        right = [random.binomial(n, p) for n, p in zip(sizes, shares, strict=True)]
        _, low, high = macro_mean([(k / n, *wilson(k, n)) for k, n in zip(right, sizes, strict=True)])
        hits += low <= sum(shares) / 3 <= high
    assert 0.935 < hits / 2000 < 0.97


# The table


def test_rows_are_checkpoints_and_columns_benchmarks(reports: Path) -> None:
    (found,) = overviews(reports)
    assert found.columns == ("checkpoint", "first", "second", "mean", "95% interval")
    assert [cells(line)[:4] for line in found.lines] == [
        ("base", "10.0%", "10.0%", "10.0%"),
        ("step 15", "50.0%", "45.0%", "47.5%"),
        ("step 30", "80.0%", "30.0%", "55.0%"),
    ]
    assert [line.is_best for line in found.lines] == [False, False, True]
    low, high = found.lines[1].mean[1:] if found.lines[1].mean else (0, 0)
    assert cells(found.lines[1])[-1] == f"{100 * low:.1f}–{100 * high:.1f}"


def test_a_checkpoint_without_a_benchmark_has_a_gap_and_no_mean(reports: Path) -> None:
    write_evaluation(reports, make_summary(45, 99, n=100, benchmark="first"), size=100)
    (found,) = overviews(reports)
    assert cells(found.lines[-1]) == ("step 45", "99.0%", "–", "–", "–") and not found.lines[-1].is_best
    assert "Without a mean, for lack of a benchmark: step 45." in found.sentences


def test_other_weights_of_the_same_step_are_another_row(reports: Path) -> None:
    newer = {"path": "checkpoints/demo/checkpoint-45", "run": "demo", "step": 45}
    for name, sha in (("first", "cd"), ("second", "ef")):
        summary = make_summary(45, 40, n=100, benchmark=name)
        write_evaluation(reports, summary, size=100, checkpoint=newer | {"weights_sha": sha})
    (found,) = overviews(reports)
    assert sum(line.mean is None for line in found.lines) == 2


def test_benchmarks_are_put_together_as_they_were_measured(reports: Path) -> None:
    hot = COLD | {"max_tokens": 64}
    for name in ("first", "second"):
        write_evaluation(reports, make_summary(15, 1, n=100, benchmark=name, more=name), size=100, decoding=hot)
    assert [overview.lines[0].label for overview in overviews(reports)] in (["base", "step 15"], ["step 15", "base"])
    write_evaluation(reports, make_summary(15, 9, n=50, benchmark="first", limit=50), size=100)
    found = next(one for one in overviews(reports) if len(one.lines) == 3)
    assert "Left out, one column a benchmark: first, first 50 of 100." in found.sentences


def test_benchmarks_that_were_measured_differently_say_so(tmp_path: Path) -> None:
    for name, tokens in (("a", 64), ("b", 512)):
        write_evaluation(
            tmp_path, make_summary(15, 9, benchmark=name), size=120, decoding=COLD | {"max_tokens": tokens}
        )
    (found,) = overviews(tmp_path)
    assert found.sentences[-1] == MIXED and found.lines[0].mean is not None


def test_one_benchmark_needs_no_mean(tmp_path: Path) -> None:
    write_evaluation(tmp_path, make_summary(15, 9), size=120)
    assert overviews(tmp_path) == [] and overviews(tmp_path / "nowhere") == []
    console = Console(file=io.StringIO())
    print_overviews(make_sections(load_evaluations(tmp_path)), console)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


# Where it is shown


def test_the_terminal_shows_it_below_the_benchmarks(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--reports", str(reports)]) == 0
    words = " ".join(capsys.readouterr().out.partition("Mean over 2 benchmarks")[2].split())
    assert "step 30 80.0% 30.0% 55.0%" in words and "each benchmark alike" in words


@pytest.mark.parametrize(
    ("sort", "first"),
    [("equivalent", "step 30"), ("n", "base"), ("tokens", "base"), (None, "base"), ("no_box", "base")],
)
def test_the_terminal_sorts_by_a_column(
    reports: Path, sort: str | None, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--reports", str(reports), *(["--sort", sort] if sort else [])]) == 0
    lines = capsys.readouterr().out.partition("checkpoint")[2].splitlines()
    assert lines[1].startswith(first)
    with pytest.raises(SystemExit):
        main(["report", "--sort", "colour"])
    assert "--sort" in capsys.readouterr().err
    assert set(SORTS) == set(SORTED_BY)


def test_the_page_shows_it_first_and_the_markdown_last(reports: Path) -> None:
    index = write_report(reports)
    text = " ".join(re.sub(r"<[^>]*>", " ", Page(index).text).split())
    assert "Mean over 2 benchmarks checkpoint first second mean 95% interval base 10.0% 10.0% 10.0%" in text
    assert text.index("Mean over 2 benchmarks") < text.index("How this was measured")
    told = (reports / "report.md").read_text()
    assert "| **step 30** | **80.0%** | **30.0%** | **55.0%** |" in told.partition("## Mean over 2 benchmarks\n")[2]


def test_exports_hold_the_numbers(reports: Path, tmp_path: Path) -> None:
    write_evaluation(reports, make_summary(45, 99, n=100, benchmark="first"), size=100)
    assert main(["export", "json", "csv", "--reports", str(reports), "--to", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "means.json").read_text())
    assert [row["mean"] for row in rows] == [0.1, 0.475, pytest.approx(0.55), None]
    assert rows[1]["first"] == 0.5 and rows[1]["second"] == 0.45 and rows[3]["second"] is None
    assert rows[1]["ci95_low"] < 0.475 < rows[1]["ci95_high"] and rows[1]["benchmarks"] == 2
    table = list(csv.DictReader((tmp_path / "means.csv").open(encoding="utf-8")))
    assert [row["mean"] for row in table][::3] == ["0.1", ""] and table[1]["label"] == "step 15"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(tmp_path: Path, hostile: str) -> None:
    reports = write_two(tmp_path, run=hostile, checkpoint=hostile)
    page = Page(write_report(reports))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert len(page.all("script")) == 1 and not page.all("img")
    console = Console(file=io.StringIO(), width=60)
    print_overviews(make_sections(load_evaluations(reports)), console)
    assert "\x00" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 60, 40])
def test_many_benchmarks_cut_no_figure(tmp_path: Path, width: int) -> None:
    for number in range(8):
        name = f"a-benchmark-with-a-long-name-{number}"
        write_evaluation(tmp_path, make_summary(15, 81 + number, benchmark=name, run="a-long-name-of-a-run"), size=120)
    console = Console(file=io.StringIO(), width=width)
    print_overviews(make_sections(load_evaluations(tmp_path)), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for number in range(8):
        assert shown.count(f"{100 * (81 + number) / 120:.1f}%") >= 1
    assert max(map(len, shown.splitlines())) <= width


def test_the_store_for_tests_has_two_benchmarks(tmp_path: Path) -> None:
    (found,) = overviews(write_reports(tmp_path))
    assert all(line.mean for line in found.lines) and len(found.lines) == 5
