"""Tables for the terminal and for Markdown: one a section, as on the pages, with the sentences that belong under it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

from rich.console import Console
from rich.table import Column
from rich.text import Text

from eval.console import print_table
from eval.report.conditions import Section
from eval.report.load import Summary
from eval.report.overview import Overview
from eval.report.overview import cells as overview_cells
from eval.report.ranking import (
    Row,
    best_row,
    indistinct_rows,
    interval,
    mean_tokens,
    percent,
    undecided,
    undecided_sentences,
)
from eval.report.views import section_sentences
from eval.scores import LEVELS

COLUMNS = ("checkpoint", "n", *LEVELS, "95% interval", "truncated", "no box", "mean tokens")
SORTS: Mapping[str, Callable[[Summary], float]] = {
    "n": lambda summary: summary["n"],
    **{level: itemgetter(level) for level in LEVELS},
    "truncated": itemgetter("truncated"),
    "no_box": itemgetter("no_box"),
    "tokens": lambda summary: summary["output_tokens"] / max(1, summary["n"]),
}
BEST_MARK, INDISTINCT_MARK = "*", "~"


def terminal_table(sections: Iterable[Section], console: Console, sort: str | None = None) -> None:
    """Prints one table a section, in 80 columns while labels are short.

    The best checkpoint carries an asterisk, and those that cannot be told apart from it a tilde. Rows with undecided
    outputs are red, and a line says how many. With `sort`, one of SORTS, the largest figure comes first.
    """
    for section in sections:
        _print_section(section, console, sort)
        for sentence in undecided_sentences(section.group):
            console.print(Text(sentence, style="bold red"))
        for sentence in (*filter(None, [section.note]), *section_sentences(section)):
            console.print(Text(sentence, style="dim"))


def markdown_table(sections: Iterable[Section]) -> str:
    """The same tables and sentences as Markdown (GitHub's dialect), ending in a newline; "" for no sections."""
    return "\n".join(_markdown_section(section) for section in sections)


def markdown_overviews(overviews: Iterable[Overview]) -> str:
    """The tables over several benchmarks as Markdown, ending in a newline; "" for none."""
    return "\n".join(_markdown_overview(overview) for overview in overviews)


def table_cells(row: Row) -> tuple[str, ...]:
    """The row's cells in the order of COLUMNS."""
    summary = row.summary
    shares = [percent(summary[name]) for name in LEVELS]
    failures = [percent(summary[name]) for name in ("truncated", "no_box")]
    return (row.label, f"{summary['n']:,}", *shares, interval(summary), *failures, mean_tokens(summary))


def _print_section(section: Section, console: Console, sort: str | None) -> None:
    group = section.group
    best, indistinct = best_row(group), indistinct_rows(group)
    names, *figures = COLUMNS
    columns = [Column(names, no_wrap=True), *(Column(name, justify="right") for name in figures)]
    ordered = sorted(group.rows, key=lambda row: -SORTS[sort](row.summary)) if sort else group.rows
    rows = []
    for row in ordered:
        label, *cells = table_cells(row)
        mark = BEST_MARK if row is best else INDISTINCT_MARK if row in indistinct else ""
        style = "red" if undecided(row.summary) else "bold" if row is best else ""
        rows.append([Text(cell, style=style) for cell in (f"{label} {mark}".rstrip(), *cells)])
    print_table(console, columns, rows, section.title)


def _markdown_section(section: Section) -> str:
    group = section.group
    best = best_row(group)
    lines = [f"## {_markdown_text(section.title)}", ""]
    lines += [_markdown_text(section.note), ""] if section.note else []
    lines += [_markdown_line(COLUMNS), "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in group.rows:
        cells = [_markdown_text(cell) for cell in table_cells(row)]
        lines.append(_markdown_line([f"**{cell}**" for cell in cells] if row is best else cells))
    for sentence in (*undecided_sentences(group), *section_sentences(section)):
        lines += ["", _markdown_text(sentence)]
    return "\n".join(lines) + "\n"


def _markdown_overview(overview: Overview) -> str:
    names = [_markdown_text(name) for name in overview.columns]
    lines = [f"## {overview.title}", "", _markdown_line(names), "|---|" + "---:|" * (len(names) - 1)]
    for line in overview.lines:
        shown = [_markdown_text(cell) for cell in overview_cells(line)]
        lines.append(_markdown_line([f"**{cell}**" for cell in shown] if line.is_best else shown))
    for sentence in overview.sentences:
        lines += ["", _markdown_text(sentence)]
    return "\n".join(lines) + "\n"


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    """`text` without what would open a cell, a tag, a link or emphasis: names of runs are folder names, so anything."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in "\\|`*_[]" else character for character in escaped)
