"""Checkpoints over several benchmarks: one table with the mean accuracy, its interval, and what is missing where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from eval.console import print_table
from eval.report.conditions import Section
from eval.report.load import Summary
from eval.report.ranking import changes_of, join_words, make_group, percent, shortened, undecided
from eval.stats import macro_mean

MIXED = "These benchmarks were measured with different decodings or engines: settings differ between columns, not within one."


@dataclass(frozen=True)
class Line:
    """One checkpoint: its summary on each benchmark, None where there is none; `mean` is (mean, low, high) of all."""

    label: str
    summaries: tuple[Summary | None, ...]
    mean: tuple[float, float, float] | None
    is_best: bool = False

    @property
    def known(self) -> list[Summary]:
        return [summary for summary in self.summaries if summary is not None]

    @property
    def has_undecided(self) -> bool:
        return any(undecided(summary) for summary in self.known)


@dataclass(frozen=True)
class Overview:
    """Checkpoints by benchmarks, in the order of a section's rows; `sentences` belong under the table."""

    sections: tuple[Section, ...]
    lines: tuple[Line, ...]
    sentences: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"Mean over {len(self.sections)} benchmarks"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("checkpoint", *(section.title for section in self.sections), "mean", "95% interval")


def make_overviews(sections: Sequence[Section]) -> list[Overview]:
    """One table for each set of benchmarks that were measured alike, at least two; none where there is no such set.

    Benchmarks that share their decoding and engine with no other are put together in a last one, which says so.
    """
    alike: dict[str, list[Section]] = {}
    for section in sections:
        alike.setdefault(_measured(section), []).append(section)
    sets = [_one_a_benchmark(same) for same in alike.values()]
    rest = _one_a_benchmark([same[0] for same in sets if len(same) == 1])
    found = [_overview(same, alike[_measured(same[0])], "") for same in sets if len(same) > 1]
    overviews = [*found, *([_overview(rest, rest, MIXED)] if len(rest) > 1 else [])]
    return [one for one in overviews if any(line.mean for line in one.lines)]


def print_overviews(sections: Sequence[Section], console: Console) -> None:
    """Prints the table of each overview with its sentences; nothing for one benchmark."""
    for overview in make_overviews(sections):
        columns = [
            Column(name, justify="right" if place else "left", no_wrap=not place)
            for place, name in enumerate(overview.columns)
        ]
        rows = [[Text(cell, style=_style(line)) for cell in cells(line)] for line in overview.lines]
        print_table(console, columns, rows, overview.title)
        for sentence in overview.sentences:
            console.print(Text(sentence, style="dim"))


def cells(line: Line) -> tuple[str, ...]:
    """The line's cells in the order of `Overview.columns`; an en dash for what is missing."""
    shares = ["–" if summary is None else percent(summary["equivalent"]) for summary in line.summaries]
    if line.mean is None:
        return (line.label, *shares, "–", "–")
    mean, low, high = line.mean
    return (line.label, *shares, percent(mean), f"{100 * low:.1f}–{100 * high:.1f}")


def as_rows(overviews: Iterable[Overview]) -> list[dict[str, Any]]:
    """One mapping a checkpoint, for files: shares in [0, 1], None for what is missing; the same names in all."""
    overviews = list(overviews)
    names = dict.fromkeys(section.title for overview in overviews for section in overview.sections)
    return [
        {
            "overview": number,
            "label": line.label,
            **{name: line.known[0][name] for name in ("checkpoint", "run", "step")},
            **dict.fromkeys(names),
            **{
                section.title: summary and summary["equivalent"]
                for section, summary in zip(overview.sections, line.summaries, strict=True)
            },
            "benchmarks": len(overview.sections),
            **dict(zip(("mean", "ci95_low", "ci95_high"), line.mean or (None, None, None), strict=True)),
        }
        for number, overview in enumerate(overviews, start=1)
        for line in overview.lines
    ]


def _measured(section: Section) -> str:
    manifest = section.current[0].manifest
    engine = manifest.get("engine") or {}
    return json.dumps([manifest.get("decoding"), engine.get("name"), engine.get("version")], sort_keys=True)


def _one_a_benchmark(sections: Sequence[Section]) -> list[Section]:
    """Of several sections of a benchmark that with most checkpoints, then with most problems."""
    best: dict[str, Section] = {}
    for section in sections:
        known = best.get(section.group.benchmark)
        if known is None or _extent(section) > _extent(known):
            best[section.group.benchmark] = section
    return list(best.values())


def _extent(section: Section) -> tuple[int, int]:
    return len(section.group.rows), section.group.problems


def _overview(sections: Sequence[Section], known: Sequence[Section], note: str) -> Overview:
    by_model: dict[tuple[Any, ...], dict[int, Summary]] = {}
    for place, section in enumerate(sections):
        for row in section.group.rows:
            by_model.setdefault(_model(section, row.summary), {})[place] = row.summary
    first = {id(summaries[min(summaries)]): summaries for summaries in by_model.values()}
    group = make_group([summaries[min(summaries)] for summaries in by_model.values()], naming=sections[0].naming)
    lines = [_line(row.label, first[id(row.summary)], len(sections)) for row in group.rows]
    steps = {row.label for row in group.candidates}
    best = max((line.mean[0] for line in lines if line.mean and line.label in steps), default=None)
    marked = next((line for line in lines if line.mean and line.label in steps and line.mean[0] == best), None)
    shown = tuple(Line(line.label, line.summaries, line.mean, line is marked) for line in lines)
    return Overview(tuple(sections), shown, tuple(_sentences(sections, known, shown, note)))


def _model(section: Section, summary: Summary) -> tuple[Any, ...]:
    """What makes two evaluations of different benchmarks those of one model."""
    weights = section.evaluation_of(summary).manifest["checkpoint"].get("weights_sha")
    return summary["run"], summary["step"], *changes_of(summary), weights


def _line(label: str, summaries: dict[int, Summary], benchmarks: int) -> Line:
    row = tuple(summaries.get(place) for place in range(benchmarks))
    known = [summary for summary in row if summary is not None]
    whole = len(known) == benchmarks
    mean = macro_mean([(s["equivalent"], *s["ci95"]) for s in known]) if whole else None
    return Line(label, row, mean)


def _sentences(sections: Sequence[Section], known: Sequence[Section], lines: Sequence[Line], note: str) -> list[str]:
    said = [
        "The mean counts each benchmark alike; its interval is about other problems of these benchmarks, not about other "
        "benchmarks."
    ]
    if missing := [line.label for line in lines if line.mean is None]:
        said.append(f"Without a mean, for lack of a benchmark: {join_words(shortened(missing))}.")
    titles = [section.title for section in known if section not in sections]
    if titles:
        said.append(f"Left out, one column a benchmark: {join_words(shortened(titles))}.")
    return [*said, *filter(None, [note])]


def _style(line: Line) -> str:
    return "red" if line.has_undecided else "bold" if line.is_best else ""
