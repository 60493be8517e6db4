"""The data set's card: README.md with the funnel and what came through, and the plots beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Column

from data.mix import Fates
from eval.console import print_table

SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "card", "font.size": 11, "axes.spines.top": False,
    "axes.spines.right": False}  # fmt: skip
KEPT_COLOUR, DROPPED_COLOUR = "#3465a4", "#d3d7cf"
SHOWN_REASONS, SHOWN_VALUES = 4, 25


def write(folder: Path, manifest: dict[str, Any], table: pa.Table, fates: Fates) -> None:
    """README.md, funnel.svg, tokens.svg and sources.svg; the same bytes for the same rows."""
    tokens = table["tokens"].to_numpy()[fates.mask]
    _plot(folder / "funnel.svg", lambda axes: _draw_funnel(axes, manifest["funnel"]), len(manifest["funnel"]))
    _plot(folder / "tokens.svg", lambda axes: _draw_tokens(axes, tokens), 8)
    shares = dict(list(manifest["by_source"].items())[:SHOWN_VALUES])
    _plot(folder / "sources.svg", lambda axes: _draw_sources(axes, shares), len(shares) + 2)
    (folder / "README.md").write_text(text(manifest, tokens), encoding="utf-8")


def show(manifest: dict[str, Any], reused: bool, console: Console) -> None:
    """The funnel and what came through, on a terminal."""
    counts = (Column(name, justify="right") for name in ("rows in", "dropped", "changed"))
    columns = [Column("step", no_wrap=True), *counts, Column("why")]
    print_table(console, columns, map(_funnel_line, manifest["funnel"]))
    for split, found in manifest["splits"].items():
        tokens = f", {found['tokens']:,} tokens" if "tokens" in found else ""
        console.print(f"{split}: {found['rows']:,} rows{tokens}", markup=False)
    if reused:
        console.print("(was there already)")


def text(manifest: dict[str, Any], tokens: Any) -> str:
    """The card in Markdown, with the front matter that the hub reads."""
    splits = manifest["splits"]
    quartiles = ", ".join(f"{value:,.0f}" for value in np.percentile(tokens, (5, 50, 95)))
    return "\n".join(
        [
            *_front_matter(),
            f"# {_plain(manifest['name'])}",
            "",
            _plain(manifest["about"]) or "A data set for supervised fine-tuning on mathematics.",
            "",
            f"{splits['train']['rows']:,} training rows with {splits['train']['tokens']:,} tokens and "
            f"{splits['validation']['rows']:,} validation rows, out of {sum(manifest['rows_read'].values()):,} that were read. Each "
            f"solution ends as the recipe below leaves it; {splits['dropped']['rows']:,} dropped rows are in `dropped.jsonl`, "
            "each with the step and the reason.",
            "",
            f"Tokens are counted as training sees them (template, BOS and EOS included) under `{_plain(manifest['tokenizer'])}`, "
            f"prompt `{manifest['prompt']['fingerprint']}`; 5 %, half and 95 % of the rows have at most {quartiles}.",
            "",
            "## Funnel",
            "",
            "![rows that each step let through](funnel.svg)",
            "",
            *_table(("step", "rows in", "dropped", "changed", "why"), map(_funnel_line, manifest["funnel"])),
            "",
            "## What came through",
            "",
            "![training rows by source](sources.svg)",
            "",
            "![tokens of a row](tokens.svg)",
            "",
            *(line for column in ("source", "level", "subject") for line in _values(column, manifest[f"by_{column}"])),
            "## Recipe",
            "",
            "```json",
            json.dumps(manifest["recipe"], indent=1, ensure_ascii=False),
            "```",
            "",
            "Sources, with what identifies their content:",
            "",
            "```json",
            json.dumps(manifest["sources"], indent=1, ensure_ascii=False),
            "```",
            "",
            *_checked_against(manifest),
        ]
    )


def _front_matter() -> list[str]:
    files = [line for split in ("train", "validation") for line in (f"  - split: {split}", f"    path: {split}.jsonl")]
    return [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *files,
        "task_categories: [text-generation]",
        "---",
        "",
    ]


def _funnel_line(entry: dict[str, Any]) -> tuple[str, ...]:
    dropped = list(entry["dropped"].items())
    reasons = [f"{_plain(reason)} {count:,}" for reason, count in dropped[:SHOWN_REASONS]]
    more = sum(count for _, count in dropped[SHOWN_REASONS:])
    lost = sum(count for _, count in dropped)
    left_out = [f"{_plain(name)} left out in {count:,} rows" for name, count in entry.get("left_out", {}).items()]
    why = ", ".join([*reasons, *([f"others {more:,}"] if more else []), *left_out])
    return (
        entry["step"],
        f"{entry['rows']:,}",
        f"{lost:,}" if lost else "",
        f"{entry['changed']:,}" if entry["changed"] else "",
        why,
    )


def _values(column: str, counts: dict[str, dict[str, int]]) -> list[str]:
    if not counts:
        return []
    shown = [(_plain(value) or "(none)", f"{it['rows']:,}", f"{it['tokens']:,}") for value, it in counts.items()]
    more = len(shown) - SHOWN_VALUES
    note = [f"and {more:,} more, see manifest.json", ""] if more > 0 else []
    return [*_table((column, "rows", "tokens"), shown[:SHOWN_VALUES]), "", *note]


def _checked_against(manifest: dict[str, Any]) -> list[str]:
    names = list(manifest["benchmarks"])
    if not names:
        return ["No step compared this data set with any benchmark: a score on one may be learnt by heart.", ""]
    return [f"Decontaminated against {', '.join(map(_plain, names))} (digests in manifest.json).", ""]


def _table(head: tuple[str, ...], lines: Any) -> list[str]:
    rule = ["---"] + [
        "---:" if name in ("rows in", "dropped", "changed", "rows", "tokens") else "---" for name in head[1:]
    ]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *lines)]


def _plain(value: str) -> str:
    """A text of the data in a line of Markdown: no markup, no cell or line end."""
    return "".join(f"\\{sign}" if sign in "|<>`*_[]#" else sign for sign in " ".join(str(value).split())[:200])


def _plot(path: Path, draw: Callable[[Axes], None], lines: int) -> None:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(7.5, 1.2 + 0.28 * max(lines, 3)), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_funnel(axes: Axes, funnel: list[dict[str, Any]]) -> None:
    names = [f"{number}  {entry['step']}" for number, entry in enumerate(funnel)]
    axes.barh(names, [entry["rows"] for entry in funnel], color=DROPPED_COLOUR, label="dropped here")
    axes.barh(names, [entry["kept"] for entry in funnel], color=KEPT_COLOUR, label="goes on")
    axes.invert_yaxis()
    axes.set_xlabel("rows")
    axes.legend(frameon=False, loc="lower right")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _draw_tokens(axes: Axes, tokens: Any) -> None:
    axes.hist(tokens, bins=np.arange(0, 2048 + 64, 64).tolist(), color=KEPT_COLOUR)
    axes.set_xlabel("tokens of a row, template, BOS and EOS included")
    axes.set_ylabel("rows")
    axes.set_xlim(0, 2048)


def _draw_sources(axes: Axes, counts: dict[str, dict[str, int]]) -> None:
    names = [value.replace("$", "")[:60] or "(none)" for value in counts]
    axes.barh(names, [it["rows"] for it in counts.values()], color=KEPT_COLOUR)
    axes.invert_yaxis()
    axes.set_xlabel("training rows")
    axes.xaxis.set_major_formatter("{x:,.0f}")
