"""Two models side by side: the paired table, the first answers that differ, the verdict; and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from eval.compare import FLIPS_SHOWN, Comparison, Flip, Side, more_problems, verdict
from eval.console import print_table, printable
from eval.report.ranking import Row, join_words, limited, percent, seeds_sentences
from eval.stats import Paired
from eval.words import bounds, p_value, signed

TEXT_LIMIT = 36  # characters of an id, an answer or a box: four of them fit a terminal


def print_comparisons(
    a: Side, b: Side, comparisons: Iterable[Comparison], left_out: Iterable[str], console: Console
) -> None:
    """Who is compared, then for each benchmark a table of the three levels, the first flips and one sentence."""
    for letter, side in (("A", a), ("B", b)):
        _line(console, f"{letter}  {side.model}" + (f"  ({side.why})" if side.why else ""), "bold")
    for comparison in comparisons:
        console.print()
        _print_levels(comparison, console)
        for letter, one in (("A", comparison.a), ("B", comparison.b)):
            if asked := one.summary.get("asked_in_full"):
                _line(console, f"{letter} was asked with {asked}.", "dim")
            for sentence in seeds_sentences([Row(letter, one.summary)]):
                _line(console, sentence, "dim")
        for letter, undecided in zip("AB", comparison.undecided, strict=True):
            if undecided:
                _line(console, _left_out_sentence(letter, undecided, comparison), "bold red")
        if comparison.flips:
            _print_flips(comparison, console)
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


def _print_levels(comparison: Comparison, console: Console) -> None:
    benchmark, n = comparison.a.manifest["benchmark"], comparison.levels["equivalent"].n
    drawn = bool(benchmark.get("drawn"))
    limit = limited(benchmark["limit"], benchmark["n"], drawn) if benchmark["limit"] else ""
    samples = f", {comparison.samples} samples each" if comparison.samples > 1 else ""
    test = "exact McNemar p" if comparison.samples == 1 else "paired t-test p"
    figures = ("A", "B", "B − A", "95% interval", test, "fixed", "broken")
    columns = [Column("", no_wrap=True), *(Column(name, justify="right") for name in figures)]
    rows = [_level_cells(level, found) for level, found in comparison.levels.items()]
    print_table(console, columns, rows, f"{benchmark['name']}{limit}: {n:,} problems{samples}")


def _level_cells(level: str, found: Paired) -> tuple[str, ...]:
    interval, p = bounds(found.low, found.high), p_value(found.p)
    counts = (f"{found.fixed:,}", f"{found.broken:,}")
    return level, percent(found.a), percent(found.b), signed(found.difference), interval, p, *counts


def _print_flips(comparison: Comparison, console: Console) -> None:
    flips, shown = comparison.flips, comparison.flips[:FLIPS_SHOWN]
    first = f"first {len(shown)} of {len(flips):,} problems that differ"
    columns = [Column(name, no_wrap=True) for name in ("problem", "", "gold", "A's box", "B's box")]
    rows = [_flip_cells(flip, comparison.samples) for flip in shown]
    print_table(console, columns, rows, first if len(flips) > len(shown) else "problems that differ")


def _flip_cells(flip: Flip, samples: int) -> tuple[str | Text, ...]:
    change = Text("fixed", style="green") if flip.b > flip.a else Text("broken", style="red")
    return _plain(flip.id), change, _plain(flip.gold), *_boxes(flip, samples)


def _boxes(flip: Flip, samples: int) -> list[str]:
    shares = (f"{round(share * samples)}/{samples}: " if samples > 1 else "" for share in (flip.a, flip.b))
    boxes = ("no box" if box is None else _plain(box) for box in (flip.a_box, flip.b_box))
    return [share + box for share, box in zip(shares, boxes, strict=True)]


def _left_out_sentence(letter: str, undecided: Mapping[str, int], comparison: Comparison) -> str:
    counts = join_words([f"{count:,} {status}" for status, count in sorted(undecided.items())])
    what = "problems" if comparison.samples == 1 else "samples"
    return f"{letter}: {counts} without a verdict; these {what} are left out on both sides, not counted as wrong."


def _line(console: Console, text: str, style: str) -> None:
    # Text, not markup: a folder may be called run[lr=1e-5].
    console.print(Text(_plain(text, len(text)), style=style), soft_wrap=True)


def _plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line without control characters, at most `limit` characters: boxes are what a model wrote."""
    line = printable(text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
