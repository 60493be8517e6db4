"""Counts as SVG that can stand inside a page: a histogram, and bars in two colours. The means are those of `plots`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval.report.plots import NARROW, POINTS_PER_INCH, RUN_COLOURS, SETTINGS, WIDE, embeddable

BAR_PIXELS = 26  # the height that one bar takes


def histogram(counts: Sequence[int], width: int, name: str, description: str, across: str) -> list[str]:
    """[wide, narrow] drawings of how many fall into each bin of `width`, the first of which begins at 0."""

    def draw(axes: Axes) -> None:
        edges = [width * number for number in range(len(counts))]
        axes.bar(edges, counts, width=0.9 * width, align="edge", color=RUN_COLOURS[0], gid="bars")
        axes.set_xlim(0, width * len(counts))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 4, 5, 8, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", linewidth=1)
        axes.set_axisbelow(True)
        axes.set_xlabel(across)

    return [_drawn(draw, size, name, description) for size in (WIDE, NARROW)]


def stacked_bars(
    labels: Sequence[str], parts: Mapping[str, Sequence[int]], name: str, description: str, across: str
) -> list[str]:
    """[wide, narrow] drawings of a bar a label, in as many colours as `parts` has entries (at most four)."""

    def draw(axes: Axes) -> None:
        places, reached = range(len(labels)), [0] * len(labels)
        for colour, lengths in zip(RUN_COLOURS, parts.values(), strict=False):
            axes.barh(places, lengths, left=reached, height=0.7, color=colour, gid="bars")
            reached = [before + more for before, more in zip(reached, lengths, strict=True)]
        axes.set_yticks(places)
        for tick in axes.set_yticklabels(labels):
            tick.set_parse_math(False)  # a name may hold a dollar
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="x", linewidth=1)
        axes.set_axisbelow(True)
        axes.set_xlabel(across)

    height = 70 + BAR_PIXELS * len(labels)
    return [_drawn(draw, (width, height), name, description) for width in (WIDE[0], NARROW[0])]


def _drawn(draw: Callable[[Axes], None], size: tuple[int, int], name: str, description: str) -> str:
    identity = f"{name}-{size[0]}"
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": identity}):
        figure = Figure(figsize=(size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return embeddable(buffer.getvalue(), identity, name, description)
