"""What the user sees, and where library noise goes instead."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from eval.records import UserError, first_line

# Often enough to see that it is alive, rare enough for a log.
SECONDS_BETWEEN_LINES = 15
# Less than this is a full disk: writers leave a rest that their next block does not fit into.
FULL_BYTES = 1 << 20
LEAST_NAME, LEAST_PROSE = 8, 12  # columns that a name or a sentence keeps
LONGEST_FIGURE = 24
FIGURE = re.compile(r"[+\u2212-]?\d[\d,.]*%?")


class Advance(Protocol):
    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Appends what libraries and their child processes print to `log`; yields a console on the real stderr.

    File descriptors 1 and 2 are redirected, not sys.stdout: C++ code and spawned engine processes write to those.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        opened = log.open("ab")
    except OSError as error:
        raise UserError(
            f"{log.parent} is no folder to write to ({error.strerror or error}); mend that or name another folder."
        ) from None
    sys.stdout.flush()
    sys.stderr.flush()
    kept_out, kept_err = os.dup(1), os.dup(2)
    with opened as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    terminal = os.fdopen(os.dup(kept_err), "w", encoding="utf-8", errors="replace")
    try:
        yield console_on(terminal)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the log's disk may be full
                stream.flush()
        os.dup2(kept_out, 1)
        os.dup2(kept_err, 2)
        terminal.close()
        os.close(kept_out)
        os.close(kept_err)


@contextmanager
def unexpected_errors(log: Path) -> Iterator[None]:
    """Writes the traceback of what nobody foresaw to `log` (standard error, redirected) and raises one sentence instead."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        with suppress(OSError):
            traceback.print_exc()
        if shutil.disk_usage(log.parent).free < FULL_BYTES:
            # Each library has words of its own for it, and those of torch do not name it.
            raise UserError(
                f"{log.parent}: the disk is full; free some space and run again, what was finished is kept.", 1
            ) from None
        raise UserError(
            f"{type(error).__name__}: {first_line(error)} (the whole story is at the end of {log}).", exit_code=1
        ) from None


def console_on(stream: TextIO) -> Console:
    """A console that wraps at 120 columns where the stream is a file, which has no width of its own, and COLUMNS names none."""
    known = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(file=stream, width=None if known else 120, highlight=False)


def printable(text: str) -> str:
    """The text on one line, with a space for each character that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def print_table(
    console: Console, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], title: str = ""
) -> None:
    """Prints a table in which no figure is cut, however narrow the console is. Cells are text, never markup.

    Right-aligned columns are figures and keep their width. Others shrink: a name (`no_wrap`) loses its middle, prose wraps.
    Columns for which no room is left follow in a further table below, beside the first column again.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if title:
        console.print(Text(printable(title), style="bold"))
    parts = _parts(columns, cells, console.width)
    if not parts:
        _print_records(console, columns, cells)
    for places in parts:
        kept = [[row[place] for place in places] for row in cells]
        console.print(_fitted([columns[place] for place in places], kept, console.width))


def _cell(value: str | Text) -> Text:
    text = value.copy() if isinstance(value, Text) else Text(value)
    text.plain = printable(text.plain)
    return text


def _parts(columns: Sequence[Column], cells: Sequence[Sequence[Text]], width: int) -> list[list[int]]:
    """The columns (by place) of each table; none where the first and one other do not fit beside each other."""
    parts = [list(range(len(columns)))] if len(columns) == 1 else [[0]]
    for place in range(1, len(columns)):
        wider = [*parts[-1], place]
        if _widths([columns[one] for one in wider], [[row[one] for one in wider] for row in cells], width):
            parts[-1] = wider
        else:
            parts.append([0, place])
    fits = (
        _widths([columns[one] for one in part], [[row[one] for one in part] for row in cells], width) for part in parts
    )
    return parts if all(fits) else []


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """The width of each column, without the space behind it; None where they do not fit."""
    room = width - len(columns)
    longest = [max((row[place].cell_len for row in cells), default=0) for place in range(len(columns))]
    wanted = [max(most, cell_len(str(one.header))) for most, one in zip(longest, columns, strict=True)]
    if sum(wanted) <= room:
        return wanted
    least = [_least(one, [row[place] for row in cells], longest[place]) for place, one in enumerate(columns)]
    spare = room - sum(least)
    if spare < 0:
        return None
    flexible = [place for place, one in enumerate(columns) if one.justify != "right"]
    for left, place in zip(range(len(flexible), 0, -1), sorted(flexible, key=lambda one: wanted[one]), strict=True):
        more = min(spare // left, wanted[place] - least[place])
        least[place] += more
        spare -= more
    return least


def _least(column: Column, cells: Sequence[Text], longest: int) -> int:
    """The width below which a column would lose a figure, a name its point or a header a word."""
    words = max(map(cell_len, str(column.header).split()), default=0)
    if column.justify == "right":
        return max(longest, words)
    if column.no_wrap:
        return max(words, min(longest, LEAST_NAME))
    figures = (len(found) for cell in cells for found in FIGURE.findall(cell.plain))
    return max(words, min(longest, max(LEAST_PROSE, min(max(figures, default=0), LONGEST_FIGURE))))


def _fitted(columns: Sequence[Column], cells: Sequence[Sequence[Text]], width: int) -> Table:
    widths = _widths(columns, cells, width)
    table = Table(box=None, padding=(0, 1, 0, 0))
    shown = []
    for place, (column, size) in enumerate(zip(columns, widths or (), strict=True)):
        table.add_column(Text(str(column.header), style="dim"), justify=column.justify, width=size, overflow="fold")
        mine = [row[place] for row in cells]
        shown.append(_shortened(mine, size) if column.no_wrap and column.justify != "right" else mine)
    for row in zip(*shown, strict=True):
        table.add_row(*row)
    return table


def _shortened(names: Sequence[Text], width: int) -> list[Text]:
    """The names without their middle, because their ends tell them apart; whole, to be folded, where it does not."""
    short = [_without_middle(name, width) for name in names]
    alike = len({name.plain for name in short}) < len({name.plain for name in names})
    return list(names) if alike else short


def _without_middle(name: Text, width: int) -> Text:
    if name.cell_len <= width:
        return name
    head = set_cell_size(name.plain, (width - 1) // 3).rstrip()
    tail, room = "", width - 1 - cell_len(head)
    for sign in reversed(name.plain):
        if cell_len(sign + tail) > room:
            break
        tail = sign + tail
    return Text(f"{head}…{tail}", style=name.style)


def _print_records(console: Console, columns: Sequence[Column], cells: Sequence[Sequence[Text]]) -> None:
    """A line a cell, which the terminal may break but nothing cuts."""
    for row in cells:
        for column, cell in zip(columns, row, strict=True):
            console.print(Text.assemble((f"{column.header}: " if column.header else "", "dim"), cell), soft_wrap=True)


@contextmanager
def progress(console: Console, description: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar with count, rate in `unit` and time left; where the output is no terminal, a plain line now and then.

    Yields `advance(done, note="")`: `done` is the number finished so far, `note` a short text shown at the end.
    """
    started = time.monotonic()
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(description, total=total, rate="", note="")

            def advance(done: int, note: str = "") -> None:
                bar.update(task, completed=done, rate=_rate(done, time.monotonic() - started, unit), note=note)

            yield advance
        return

    last_line = started

    def advance_in_lines(done: int, note: str = "") -> None:
        nonlocal last_line
        now = time.monotonic()
        if now - last_line < SECONDS_BETWEEN_LINES and done < total:
            return
        last_line = now
        left = f"{_clock((total - done) * (now - started) / done)} left" if done else "time left unknown"
        rate = _rate(done, now - started, unit)
        console.print(
            f"{description}  {done}/{total}  {rate}  {_clock(now - started)} gone, {left}  {note}",
            markup=False,  # a folder may be called run[lr=1e-5]
            soft_wrap=True,
        )

    yield advance_in_lines


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(
        *columns,
        TextColumn("{task.fields[rate]}"),
        *times,
        TextColumn("{task.fields[note]}"),
        console=console,
        redirect_stdout=False,
        redirect_stderr=False,  # rich would carry library noise past `quiet` to the terminal
    )


def _rate(done: int, seconds: float, unit: str) -> str:
    if not done or not seconds:
        return f"- {unit}/s"
    return f"{done / seconds:.1f} {unit}/s" if done > seconds else f"{seconds / done:.1f} s/{unit}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
