"""HTML pages of a reports folder: index.html with headline, curves and tables, and one page of outputs an evaluation.

Each page is one file that loads nothing: style and script are inlined and admitted by their digest in a content
security policy, which forbids everything else. Model text is hostile; Jinja2 escapes it, and the policy stands behind.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.report import plots, ranking
from eval.report.conditions import Section, make_sections, measured_with
from eval.report.load import Evaluation, Item, load_evaluations, load_items, load_unfinished
from eval.report.tables import COLUMNS, markdown_table, table_cells

TEMPLATES = Path(__file__).parent / "templates"
ITEMS_PER_PAGE = 100  # keeps a page of long outputs below 2 MB
# An output that ran on is shown by its two ends: what it began with and where it stopped.
TEXT_LIMIT = 12_000


@dataclass(frozen=True)
class Output:
    """A text cut at the box that was graded; `box` and `after` are empty where there is none."""

    before: str
    box: str
    after: str


def write_report(reports_dir: Path) -> Path:
    """Writes index.html, report.md and <key>/index.html under `reports_dir`; returns the path of index.html.

    The same folder gives the same bytes. A page is replaced whole or not at all. Raises UserError, naming the file,
    where a finished evaluation can't be read, and OSError where a page can't be written.
    """
    sections = make_sections(load_evaluations(reports_dir))
    environment = _environment()
    for section in sections:
        for evaluation in (*section.current, *section.superseded):
            page = _evaluation_page(environment, section, evaluation)
            _replace(evaluation.folder / "index.html", page)
    summaries = [evaluation.summary for section in sections for evaluation in section.current]
    graded = {key: verdicts for section in sections for key, verdicts in section.graded.items()}
    _replace(reports_dir / "report.md", f"# Evaluation\n\n{markdown_table(summaries, graded)}")
    page = environment.get_template("index.html.j2").render(
        sections=sections, unfinished=load_unfinished(reports_dir), columns=COLUMNS
    )
    _replace(reports_dir / "index.html", page)
    return reports_dir / "index.html"


def split_at_box(text: str, extracted: str | None) -> Output:
    """`text` cut around the last box that holds `extracted`, each part clipped to TEXT_LIMIT characters.

    What is highlighted is what the grader says it read, so a page can't disagree with a verdict about which box counts.
    """
    pattern = r"\\boxed\s*\{\s*" + re.escape(extracted) + r"\s*\}" if extracted else r"(?!)"
    box = max(re.finditer(pattern, text), key=lambda match: match.start(), default=None)
    if box is None:
        return Output(clip(text), "", "")
    return Output(clip(text[: box.start()]), clip(box.group()), clip(text[box.end() :]))


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text`, or its two ends with a note between them of how many characters are left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
        "ranking": ranking,
        "table_cells": table_cells,
        "curve": _curve,
        "run_colours": plots.run_colours,
        "measured_with": measured_with,
    }
    environment.filters |= {"urlpath": lambda text: quote(text, safe="")}
    return environment


def _policy(style: str, script: str) -> str:
    """The content security policy under which only these two texts may style the page or run in it."""
    allowed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{allowed[0]}'; script-src 'sha256-{allowed[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _curve(group: ranking.Group) -> Markup:
    """Both drawings of the curve; the style sheet shows the one that fits. Their text was escaped by the XML writer."""
    return Markup("").join(Markup(plots.accuracy_curve(group, size)) for size in (plots.WIDE, plots.NARROW))


def _evaluation_page(environment: Environment, section: Section, evaluation: Evaluation) -> str:
    items = load_items(evaluation, ITEMS_PER_PAGE)
    # A superseded evaluation has no row in the section: it is labelled as if it stood alone.
    rows = (*section.group.rows, *ranking.make_group([evaluation.summary]).rows)
    row = next(row for row in rows if row.summary is evaluation.summary)
    return environment.get_template("evaluation.html.j2").render(
        section=section,
        evaluation=evaluation,
        row=row,
        items=[(item, split_at_box(item.text, item.extracted)) for item in items],
        filters=_filters(items),
    )


def _filters(items: Sequence[Item]) -> Mapping[str, int]:
    """The words an item can be filtered by, with how many items each keeps; statuses first, then truncation."""
    counts: dict[str, int] = dict(sorted(Counter(item.status for item in items).items()))
    truncated = sum(item.truncated for item in items)
    return counts | ({"truncated": truncated} if truncated else {})


def _replace(path: Path, text: str) -> None:
    """Writes `text` beside `path`, then moves it there, so that a reader or a full disk never meets half a page."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Model text may hold half of a surrogate pair, which UTF-8 can't.
        temporary.write_bytes(text.encode("utf-8", errors="replace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
