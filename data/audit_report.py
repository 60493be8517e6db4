"""What an audit found, in words and tables on the terminal, and as one HTML page in the look of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.console import Console
from rich.table import Column
from rich.text import Text

from data.audit import MAX_TOKENS
from eval.console import print_table, printable
from eval.report import charts
from eval.report.look import render, replace_file
from eval.report.ranking import percent

Figures = dict[str, Any]
# Findings that have examples -> what stands above these.
TITLES = {
    "contamination": "Gives away a benchmark's problem",
    "box_differs_from_answer": "Boxes another answer than the stated one",
    "form": "Right, but not the same string as the stated answer",
    "undecided": "Could not be compared by the grader",
    "no_box": "Has no closed last box",
    "placeholder": "Boxes a placeholder",
    "too_long": "Is too long",
    "duplicates": "Repeats a problem word for word",
    "near_duplicates": "Nearly repeats a problem",
}
SHOWN_LINES = 12  # of a table on the terminal
PAGE_SOURCES = 40


@dataclass(frozen=True)
class Finding:
    """One sentence; `name` says which examples belong to it, `alarm` whether something should be done."""

    name: str
    alarm: bool
    sentence: str


def findings(figures: Figures) -> list[Finding]:
    """What a reader should know, in the order of how much it may cost."""
    return [
        *_contamination(figures),
        *_answers(figures),
        *_boxes(figures),
        *_lengths(figures),
        *_duplicates(figures),
        *_left_out(figures),
        *_marked(figures),
        *_unreadable(figures),
    ]


def show(figures: Figures, console: Console) -> None:
    """The findings and tables; what comes from the data set can neither colour nor move the cursor."""
    rows = figures["rows"]
    console.print(Text(f"{printable(figures['dataset'])}: {rows:,} rows", style="bold"))
    for finding in findings(figures):
        console.print(
            Text(
                printable(f"{'! ' if finding.alarm else '  '}{finding.sentence}"), style="red" if finding.alarm else ""
            )
        )
    if figures["tokens"]:
        _show_tokens(figures, console)
    _print_counts("answers", ("rows", "share"), _answer_types(figures), console)
    _print_counts("sources", ("rows", "tokens"), _sources(figures), console)
    _print_counts("benchmark", ("problems", "word for word", "nearly"), _leaks(figures), console)


def write_page(figures: Figures, path: Path) -> None:
    """The page as one file that loads nothing and runs nothing; it appears whole or not at all."""
    replace_file(path, page(figures))


def page(figures: Figures) -> str:
    """The HTML page, the same for the same figures."""
    sources = list(figures["sources"].items())
    return render(
        "audit.html.j2",
        root="",
        name=Path(figures["dataset"]).name,
        figures=figures,
        rows=figures["rows"],
        findings=findings(figures),
        headlines=_headlines(figures),
        titles=TITLES,
        percent=percent,
        sources=sources[:PAGE_SOURCES],
        more_sources=max(0, len(sources) - PAGE_SOURCES),
        token_plots=[Markup(plot) for plot in _token_plots(figures)],
        contamination_plots=[Markup(plot) for plot in _contamination_plots(figures)],
    )


# Findings


def _contamination(figures: Figures) -> list[Finding]:
    name = "contamination"
    if not figures["contamination"]:
        return [
            Finding(name, False, "No benchmark was compared: a score on one may be learnt by heart (--benchmarks-dir).")
        ]
    hit = {name: found for name, found in figures[name].items() if any(found.values())}
    problems = sum(figures["benchmark_problems"].values())
    if not hit:
        count = len(figures[name])
        compared = f"{_count(count, 'benchmark')} with {_count(problems, 'problem')}"
        verb = "was" if count == 1 else "were"
        return [Finding(name, False, f"No row gives away a problem of the {compared} that {verb} compared.")]
    worst = sorted(hit.items(), key=lambda item: -sum(item[1].values()) / figures["benchmark_problems"][item[0]])
    shown = [
        f"{benchmark} {found['exact']:,} word for word and {found['near']:,} nearly, of {figures['benchmark_problems'][benchmark]:,}"
        for benchmark, found in worst[:4]
    ]
    more = f"; and problems of {len(worst) - 4} more" if len(worst) > 4 else ""
    share = _of(figures["contaminated_rows"], figures["rows"])
    said = f"{share} give away problems of benchmarks, whose scores would be learnt by heart: {'; '.join(shown)}{more}."
    return [Finding(name, True, said)]


def _answers(figures: Figures) -> list[Finding]:
    answers, found = figures["answers"], []
    if not answers["compared"]:
        return [
            Finding(
                "form", False, "No row has both a box and a stated answer, so the form of the answers was not compared."
            )
        ]
    compared, loose = answers["compared"], answers["equivalent"] - answers["strict"]
    if answers["wrong"]:
        said = f"{answers['wrong']:,} of {compared:,} boxes ({percent(answers['wrong'] / compared)}) are not the stated answer."
        found.append(Finding("box_differs_from_answer", True, said))
    teach = f"{percent(loose / compared)} of your answers teach a form that the strict grader rejects"
    means = f"{loose:,} of {compared:,} boxes equal the stated answer, but are not the same string"
    if loose:
        found.append(Finding("form", True, f"{teach}: {means}."))
    elif right := answers["strict"]:
        all_of = "The one right box is" if right == 1 else f"All {right:,} right boxes are"
        found.append(Finding("form", False, f"{all_of} the stated answer, letter for letter."))
    if answers["undecided"]:
        found.append(
            Finding("undecided", True, f"{answers['undecided']:,} boxes could not be compared with the stated answer.")
        )
    return found


def _boxes(figures: Figures) -> list[Finding]:
    missing, several = figures["no_box"], figures["boxes"].get("several", 0)
    found = []
    if missing:
        said = f"{_of(missing, figures['rows'])} have no closed last \\boxed{{}}; the grader reads nothing else."
        found.append(Finding("no_box", True, said))
    if figures["placeholder_boxes"]:
        said = (
            f"{_of(figures['placeholder_boxes'], figures['rows'])} box a placeholder such as proof, which is no answer."
        )
        found.append(Finding("placeholder", True, said))
    if stated := figures["placeholder_answers"]:
        words = ", ".join(f"{word} ({count:,})" for word, count in list(stated.items())[:4])
        said = f"{_of(sum(stated.values()), figures['rows'])} state a placeholder and no answer: {words}."
        found.append(Finding("placeholder_answers", True, said))
    if several:
        found.append(
            Finding("several", False, f"{_of(several, figures['rows'])} have several boxes, of which the last counts.")
        )
    return found


def _lengths(figures: Figures) -> list[Finding]:
    if figures["too_long"] is None:
        said = "Tokens were not counted, for lack of a tokenizer: pass --tokenizer with a model's folder or hub id."
        return [Finding("too_long", True, said)]
    if not figures["too_long"]:
        return [
            Finding(
                "too_long",
                False,
                f"No row is longer than {MAX_TOKENS:,} tokens; the longest has {figures['tokens']['longest']:,}.",
            )
        ]
    said = f"{_of(figures['too_long'], figures['rows'])} are longer than {MAX_TOKENS:,} tokens, which training refuses."
    return [Finding("too_long", True, said)]


def _duplicates(figures: Figures) -> list[Finding]:
    exact, near = figures["duplicates"], figures["near_duplicates"]
    found = []
    if exact:
        found.append(
            Finding(
                "duplicates", True, f"{_of(exact, figures['rows'])} repeat the problem of an earlier row word for word."
            )
        )
    if near:
        found.append(
            Finding("near_duplicates", True, f"{_of(near, figures['rows'])} nearly repeat one, with the same numbers.")
        )
    return found


def _left_out(figures: Figures) -> list[Finding]:
    columns = figures["reasoning_left_out"]
    said = (
        f"{name} left out in {_of(count, figures['rows'])}: the solution beside it is taken as complete."
        for name, count in columns.items()
    )
    return [Finding("reasoning_left_out", False, sentence) for sentence in said]


def _marked(figures: Figures) -> list[Finding]:
    marks = [f"{mark} ({count:,})" for mark, count in figures["marked_invalid"].items()]
    if not marks:
        return []
    rows = sum(figures["marked_invalid"].values())
    said = f"{rows:,} more are left out, because their data set marks them: {', '.join(marks[:4])}."
    return [Finding("marked_invalid", False, said)]


def _unreadable(figures: Figures) -> list[Finding]:
    reasons = [f"{reason} ({count:,})" for reason, count in figures["unreadable"].items()]
    if not reasons:
        return []
    lines = sum(figures["unreadable"].values())
    return [Finding("unreadable", True, f"{lines:,} more could not be read as rows: {', '.join(reasons[:4])}.")]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _of(count: int, rows: int) -> str:
    return f"{count:,} of {rows:,} rows ({percent(count / rows)})"


# Parts of the page and of the terminal


def _headlines(figures: Figures) -> list[tuple[str, str, str]]:
    """(label, figure, share) of the boxes at the top of the page."""
    rows, answers = figures["rows"], figures["answers"]
    loose = answers["equivalent"] - answers["strict"]
    counts = [
        ("give away benchmark problems", figures["contaminated_rows"] if figures["contamination"] else None),
        ("without a closed box", figures["no_box"]),
        ("box another answer", figures["box_differs_from_answer"] if answers["compared"] else None),
        ("right, but not strictly", loose if answers["compared"] else None),
        (f"longer than {MAX_TOKENS:,} tokens", figures["too_long"]),
        ("repeat a problem", figures["duplicates"] + figures["near_duplicates"]),
    ]
    shown = [
        (label, "not checked", "") if count is None else (label, f"{count:,}", percent(count / rows))
        for label, count in counts
    ]
    return [("rows", f"{rows:,}", ""), *shown]


def _token_plots(figures: Figures) -> list[str]:
    if not figures["tokens"]:
        return []
    bins = figures["tokens"]["histogram"]
    said = f"Rows by tokens in steps of {bins['bin']}: {', '.join(f'{count:,}' for count in bins['counts'])}."
    return charts.histogram(bins["counts"], bins["bin"], "Tokens of a row", said, "tokens of a row")


def _contamination_plots(figures: Figures) -> list[str]:
    hit = {name: found for name, found in figures["contamination"].items() if any(found.values())}
    if not hit:
        return []
    parts = {kind: [found[kind] for found in hit.values()] for kind in ("exact", "near")}
    said = "; ".join(
        f"{name}: {found['exact']:,} word for word, {found['near']:,} nearly" for name, found in hit.items()
    )
    return charts.stacked_bars(
        [printable(name)[:40] for name in hit],
        parts,
        "Benchmark problems given away",
        said,
        "problems of the benchmark",
    )


def _answer_types(figures: Figures) -> list[tuple[str, ...]]:
    counts = list(figures["answer_types"].items())[:SHOWN_LINES]
    return [(name, f"{count:,}", percent(count / figures["rows"])) for name, count in counts]


def _sources(figures: Figures) -> list[tuple[str, ...]]:
    shown = list(figures["sources"].items())[:SHOWN_LINES]
    tokens = ["" if found["tokens"] is None else f"{found['tokens']:,}" for _, found in shown]
    return [(name or "(none)", f"{found['rows']:,}", count) for (name, found), count in zip(shown, tokens, strict=True)]


def _leaks(figures: Figures) -> list[tuple[str, ...]]:
    sizes = figures["benchmark_problems"]
    hit = {name: found for name, found in figures["contamination"].items() if any(found.values())}
    return [(name, f"{sizes[name]:,}", f"{one['exact']:,}", f"{one['near']:,}") for name, one in hit.items()]


def _show_tokens(figures: Figures, console: Console) -> None:
    tokens = figures["tokens"]
    counts, width = tokens["histogram"]["counts"], tokens["histogram"]["bin"]
    bars = [Text("█" * round(30 * count / max(counts)) or "▏", justify="left") for count in counts]
    lines = [
        (f"{number * width:,} to {(number + 1) * width - 1:,}", f"{count:,}", bar)
        for number, (count, bar) in enumerate(zip(counts, bars, strict=True))
        if count
    ]
    _print_counts("tokens", ("rows", ""), lines, console)
    quartiles = f"half of the rows have at most {tokens['median']:,}, 95% at most {tokens['p95']:,}"
    console.print(f"{tokens['total']:,} tokens under {printable(tokens['tokenizer'])}; {quartiles}", markup=False)


def _print_counts(first: str, others: Sequence[str], rows: Sequence[Sequence[str | Text]], console: Console) -> None:
    """A table of names and counts; nothing where there is no row."""
    if rows:
        # A range of tokens is a figure, and is not shortened.
        name = Column(first, no_wrap=first != "tokens")
        print_table(console, [name, *(Column(other, justify="right") for other in others)], rows)
