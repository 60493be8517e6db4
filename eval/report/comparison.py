"""Two models side by side: the paired table, the first answers that differ, the verdict; and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.compare import FLIPS_SHOWN, Comparison, Flip, Side, more_problems, verdict
from eval.report.ranking import Row, join_words, percent, seeds_sentences
from eval.stats import Paired

TEXT_LIMIT = 36  # characters of an id, an answer or a box: four of them fit a terminal


def print_comparisons(
    a: Side, b: Side, comparisons: Iterable[Comparison], left_out: Iterable[str], console: Console
) -> None:
    """Who is compared, then for each benchmark a table of the three levels, the first flips and one sentence."""
    for letter, side in (("A", a), ("B", b)):
        _line(console, f"{letter}  {side.model}" + (f"  ({side.why})" if side.why else ""), "bold")
    for comparison in comparisons:
        console.print()
        console.print(_levels_table(comparison))
        for letter, one in (("A", comparison.a), ("B", comparison.b)):
            if asked := one.summary.get("asked_in_full"):
                _line(console, f"{letter} was asked with {asked}.", "dim")
            for sentence in seeds_sentences([Row(letter, one.summary)]):
                _line(console, sentence, "dim")
        for letter, undecided in zip("AB", comparison.undecided, strict=True):
            if undecided:
                _line(console, _left_out_sentence(letter, undecided, comparison), "bold red")
        if comparison.flips:
            console.print(_flips_table(comparison))
        _line(console, f"{comparison.a.manifest['benchmark']['name']}: {verdict(comparison)}", "bold")
    for sentence in left_out:
        _line(console, f"left out: {sentence}", "dim")


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The object --json shows for one benchmark; shares, intervals and differences lie in [-1, 1]."""
    sides = {
        letter: {"checkpoint": e.summary["checkpoint"], "key": e.folder.name, "undecided": dict(undecided)}
        | ({"asked": e.summary["asked_in_full"]} if e.summary.get("asked") else {})
        | {name: e.summary[name] for name in ("seeds", "seeds_sd") if name in e.summary}
        for letter, e, undecided in zip("ab", (comparison.a, comparison.b), comparison.undecided, strict=True)
    }
    return {
        "benchmark": comparison.a.manifest["benchmark"]["name"],
        "limit": comparison.a.manifest["benchmark"]["limit"],
        "n": comparison.levels["equivalent"].n,
        "samples": comparison.samples,
        **sides,
        **{level: _level_object(found) for level, found in comparison.levels.items()},
        "more_problems": more_problems(comparison.levels["equivalent"]),
        "verdict": verdict(comparison),
        "flips": [vars(flip) for flip in comparison.flips],
    }


def _level_object(found: Paired) -> dict[str, Any]:
    figures = {"a": found.a, "b": found.b, "difference": found.difference, "ci95": [found.low, found.high]}
    return figures | {"p": found.p, "fixed": found.fixed, "broken": found.broken}


def _levels_table(comparison: Comparison) -> Table:
    benchmark, n = comparison.a.manifest["benchmark"], comparison.levels["equivalent"].n
    limit = f", first {benchmark['limit']:,} of {benchmark['n']:,}" if benchmark["limit"] else ""
    samples = f", {comparison.samples} samples each" if comparison.samples > 1 else ""
    table = _table(f"{benchmark['name']}{limit}: {n:,} problems{samples}")
    test = "exact McNemar p" if comparison.samples == 1 else "paired t-test p"
    for column in ("", "A", "B", "B − A", "95% interval", test, "fixed", "broken"):
        table.add_column(Text(column, style="dim"), justify="right" if column else "left", no_wrap=True)
    for level, found in comparison.levels.items():
        interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        p = f"{found.p:.3f}" if found.p >= 0.0005 else "< 0.001"
        difference = f"{100 * found.difference:+.1f}"
        table.add_row(
            level, percent(found.a), percent(found.b), difference, interval, p, str(found.fixed), str(found.broken)
        )
    return table


def _flips_table(comparison: Comparison) -> Table:
    flips, shown = comparison.flips, comparison.flips[:FLIPS_SHOWN]
    table = _table(
        f"first {len(shown)} of {len(flips):,} problems that differ"
        if len(flips) > len(shown)
        else "problems that differ"
    )
    for column in ("problem", "", "gold", "A's box", "B's box"):
        table.add_column(Text(column, style="dim"), overflow="ellipsis", no_wrap=True)
    for flip in shown:
        style = "green" if flip.b > flip.a else "red"
        cells = (
            _plain(flip.id),
            "fixed" if flip.b > flip.a else "broken",
            _plain(flip.gold),
            *_boxes(flip, comparison.samples),
        )
        table.add_row(*(Text(cell, style=style if place == 1 else "") for place, cell in enumerate(cells)))
    return table


def _boxes(flip: Flip, samples: int) -> list[str]:
    shares = (f"{round(share * samples)}/{samples}: " if samples > 1 else "" for share in (flip.a, flip.b))
    boxes = ("no box" if box is None else _plain(box) for box in (flip.a_box, flip.b_box))
    return [share + box for share, box in zip(shares, boxes, strict=True)]


def _left_out_sentence(letter: str, undecided: Mapping[str, int], comparison: Comparison) -> str:
    counts = join_words([f"{count:,} {status}" for status, count in sorted(undecided.items())])
    what = "problems" if comparison.samples == 1 else "samples"
    return f"{letter}: {counts} without a verdict; these {what} are left out on both sides, not counted as wrong."


def _table(title: str) -> Table:
    return Table(title=Text(_plain(title, 100), style="bold"), title_justify="left", box=None, padding=(0, 1, 0, 0))


def _line(console: Console, text: str, style: str) -> None:
    # Text, not markup: a folder may be called run[lr=1e-5].
    console.print(Text(_plain(text, len(text)), style=style), soft_wrap=True)


def _plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line without control characters, at most `limit` characters: boxes are what a model wrote."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
