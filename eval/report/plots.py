"""Accuracy over training steps as an SVG that can stand inside a page.

matplotlib rather than a JavaScript chart: the page must open from the file system, load nothing and need no script.
Colours leave here as CSS variables and `currentColor`, so that the page's style sheet decides for light and dark;
styles leave as attributes, so that the page may forbid inline styles.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping, Sequence
from itertools import cycle, groupby
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from eval.report.ablation import ArmRow
from eval.report.ranking import Group, Row, best_row, percent, title

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
POINTS_PER_INCH = 72
# Two drawings of one curve: shrinking the wide one to a phone would shrink its letters too.
WIDE, NARROW = (720, 320), (360, 300)
TICKS = {WIDE: 9, NARROW: 5}
LABEL_CHARACTERS = 24  # of an arm's name: more would leave no room for its interval on a phone

# Colours that occur nowhere else, replaced after drawing by what the style sheet decides.
INK, GRID, PAPER = "#010203", "#010204", "#010205"
RUN_COLOURS = ("#010211", "#010212", "#010213", "#010214")
CSS_COLOURS = {INK: "currentColor", GRID: "var(--rule)", PAPER: "var(--paper)"} | {
    colour: f"var(--run-{number})" for number, colour in enumerate(RUN_COLOURS, start=1)
}

SETTINGS: Mapping[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: searchable, and in the page's own font
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def accuracy_curve(group: Group, size: tuple[int, int] = WIDE, tokens: Mapping[str, int] | None = None) -> str:
    """The group's curve as one <svg> element, the same bytes for the same rows; "" where there is no checkpoint.

    Over training steps; with `tokens` (by key) over training tokens, of the checkpoints for which they are known.

    A run is a line through the equivalent share with its 95 % interval at each checkpoint; the band under it reaches
    down to strict, and the official figure lies inside it. Models that are no checkpoints are dashed lines.
    `size` is (width, height) in CSS pixels.
    """
    runs = _runs(group) if tokens is None else _with_tokens(group, tokens)
    if not any(runs):
        return ""
    # Sections of one benchmark may differ in their decoding alone: their keys tell them apart.
    keys = zlib.crc32("".join(sorted(str(row.summary["key"]) for row in group.rows)).encode())
    identity = f"{group.benchmark}-{group.limit}-{keys}-{size[0]}{'-tokens' if tokens else ''}"
    # The salt makes the ids inside repeatable, and different between the drawings of one page.
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": identity}):
        figure = Figure(figsize=(size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _draw_axes(axes, group, "training step" if tokens is None else "training tokens")
        if tokens is None:
            _tick_steps(axes, [row.summary["step"] for rows in runs for row in rows], TICKS.get(size, TICKS[NARROW]))
        _draw_references(axes, group)
        for colour, rows in zip(cycle(RUN_COLOURS), runs, strict=False):
            places = [row.summary["step"] if tokens is None else tokens[row.summary["key"]] for row in rows]
            _draw_run(axes, rows, places, colour)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embeddable(buffer.getvalue(), identity, title(group), _description(group))


def arms_plot(rows: Sequence[ArmRow], control: str, identity: str, name: str, size: tuple[int, int] = WIDE) -> str:
    """Accuracy of each arm as a dot with its 95 % interval, one line an arm, in the order given; seeds are small rings.

    The dashed line is the control. One <svg> element, the same bytes for the same rows.
    """
    identity = f"{identity}-{size[0]}"
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": identity}):
        height = (70 + 34 * len(rows)) / POINTS_PER_INCH
        figure = Figure(figsize=(size[0] / POINTS_PER_INCH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            middle, (low, high) = row.shares["equivalent"], row.interval
            reach = ([max(0.0, middle - low)], [max(0.0, high - middle)])
            colour = INK if row.name == control else RUN_COLOURS[0]
            axes.errorbar([middle], [place], xerr=reach, fmt="o", color=colour, markersize=7, elinewidth=2, capsize=4)
            seeds = [seed.summary["equivalent"] for seed in row.seeds]
            axes.plot(
                seeds, [place + 0.25] * len(seeds), "o", markersize=5, color=colour, markerfacecolor=PAPER, gid="seeds"
            )
            if row.name == control:
                axes.axvline(middle, color=INK, linewidth=1, linestyle=(0, (4, 4)), zorder=0, gid="control")
        axes.set_yticks(range(len(rows)), [_shortened(row.name) for row in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.grid(axis="x", linewidth=1)
        axes.set_axisbelow(True)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    points = ", ".join(f"{_shortened(row.name)} {percent(row.shares['equivalent'])}" for row in rows)
    return embeddable(buffer.getvalue(), identity, name, f"Accuracy (equivalent): {points}.")


def run_colours(group: Group) -> list[tuple[str, int]]:
    """Each run of the group with the number of its colour in the style sheet, for a legend outside the drawing."""
    numbers = range(1, len(RUN_COLOURS) + 1)
    return [(rows[0].summary["run"], number) for number, rows in zip(cycle(numbers), _runs(group), strict=False)]


def embeddable(drawing: str, identity: str, name: str, description: str) -> str:
    """`drawing` as an element of an HTML page: named for screen readers, classes for ids, attributes for styles."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(drawing)
    referenced = set(re.findall(r"(?:url\(|href=\")#([\w-]+)", drawing))
    for unwanted in ("metadata", "style"):
        _remove(root, f"{{{SVG}}}{unwanted}")
    for element in root.iter():
        _id_to_class(element, referenced)
        _style_to_attributes(element)
    slug = re.sub(r"\W+", "-", identity)
    width, height = (root.attrib.pop(side).removesuffix("pt") for side in ("width", "height"))
    root.attrib |= {
        "class": f"curve w{float(width):.0f}",
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-labelledby": f"title-{slug} desc-{slug}",
    }
    for position, (tag, text) in enumerate((("title", name), ("desc", description))):
        child = ET.Element(f"{{{SVG}}}{tag}", {"id": f"{tag}-{slug}"})
        child.text = text
        root.insert(position, child)
    return ET.tostring(root, encoding="unicode")


def _shortened(name: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in name)
    return line if len(line) <= LABEL_CHARACTERS else line[: LABEL_CHARACTERS - 1] + "…"


def _draw_axes(axes: Axes, group: Group, across: str) -> None:
    highest = max(row.summary["ci95"][1] for row in group.rows)
    # From zero, so that heights compare as shares do; some air above, so that the top error bar is not cut.
    axes.set_ylim(0, min(1.02, highest * 1.12))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", linewidth=1)
    axes.set_axisbelow(True)
    axes.set_xlabel(across)
    if across == "training tokens":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def _tick_steps(axes: Axes, steps: Sequence[int], most: int) -> None:
    """Ticks at steps that were evaluated, and nowhere between them: the last, then those far enough before it."""
    apart, chosen = (max(steps) - min(steps)) / most, [max(steps)]
    for step in sorted(set(steps), reverse=True):
        if chosen[-1] - step >= apart and step < chosen[-1]:
            chosen.append(step)
    axes.set_xticks(chosen[::-1], [str(step) for step in reversed(chosen)])


def _draw_references(axes: Axes, group: Group) -> None:
    for row in group.rows:
        if row.summary["step"] is not None:
            continue
        height = row.summary["equivalent"]
        axes.axhline(height, color=INK, linewidth=1, linestyle=(0, (4, 4)), clip_on=False, gid="reference")
        axes.plot([0], [height], marker="o", markersize=6, color=INK, markerfacecolor=PAPER, clip_on=False, gid="base")
        axes.annotate(
            f"{row.label} {percent(height)}", (1, height), xycoords=axes.get_yaxis_transform(), xytext=(0, 5),
            textcoords="offset points", ha="right", va="bottom", parse_math=False,
        )  # fmt: skip


def _draw_run(axes: Axes, rows: Sequence[Row], places: Sequence[int], colour: str) -> None:
    equivalent = [row.summary["equivalent"] for row in rows]
    # A share may have been rounded past the end of its interval; matplotlib refuses negative lengths.
    below = [max(0.0, row.summary["equivalent"] - row.summary["ci95"][0]) for row in rows]
    above = [max(0.0, row.summary["ci95"][1] - row.summary["equivalent"]) for row in rows]
    strict = [row.summary["strict"] for row in rows]
    if not rows:
        return
    axes.fill_between(places, strict, equivalent, color=colour, alpha=0.22, linewidth=0, gid="band")
    axes.errorbar(places, equivalent, yerr=(below, above), fmt="none", color=colour, elinewidth=1.5, capsize=3)
    axes.plot(places, equivalent, color=colour, linewidth=2, gid="curve")
    axes.plot(
        places, equivalent, linestyle="none", marker="o", markersize=6, color=colour, clip_on=False, gid="checkpoints"
    )


def _runs(group: Group) -> list[list[Row]]:
    return [list(rows) for _, rows in groupby(group.checkpoints, key=lambda row: row.summary["run"])]


def _with_tokens(group: Group, tokens: Mapping[str, int]) -> list[list[Row]]:
    """The runs with their rows of known tokens, in the order of `_runs`, so that a run keeps its colour."""
    return [[row for row in rows if row.summary["key"] in tokens] for rows in _runs(group)]


def _description(group: Group) -> str:
    points = [f"{row.label} {percent(row.summary['equivalent'])}" for row in group.rows]
    return f"Accuracy (equivalent) on {title(group)}: {', '.join(points)}. Best: {best_row(group).label}."


def _remove(root: ET.Element, tag: str) -> None:
    for parent in list(root.iter()):
        for child in parent.findall(tag):
            parent.remove(child)


def _id_to_class(element: ET.Element, referenced: set[str]) -> None:
    """Ids such as "axes_1" are in every drawing, and a page may hold several."""
    name = element.get("id")
    if name is not None and name not in referenced:
        del element.attrib["id"]
        element.set("class", name)


def _style_to_attributes(element: ET.Element) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name and not name.startswith("font"):  # letters take the page's font
            element.set(name, CSS_COLOURS.get(value, value))
