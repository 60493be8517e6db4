"""HTML pages of a reports folder: index, one page an evaluation, one that compares two, one for a problem, the ledger of
training data, one page an ablation.

What they show of outputs is in data files beside them (`data`), which a page loads as it needs them: a hundred
checkpoints on five thousand problems open as soon as one on ten. How a page looks and what it may do is in `look`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from markupsafe import Markup

from eval import words
from eval.outcomes import CLASSES
from eval.report import ablation, plots, ranking
from eval.report.changes import pairs
from eval.report.conditions import Section, make_sections, measured_with
from eval.report.data import write_answers, write_data, write_outputs, write_problems
from eval.report.items import Columns, graded_of, load_problems, problems_file
from eval.report.ledger import make_ledger
from eval.report.load import Evaluation, load_evaluations, load_unfinished
from eval.report.look import render, replace_file
from eval.report.overview import cells as overview_cells
from eval.report.overview import make_overviews
from eval.report.seeds import merge_columns
from eval.report.tables import COLUMNS, markdown_overviews, markdown_table, table_cells
from eval.report.views import View, breakdowns, classes_of, make_view, strict_points
from eval.scores import Graded

# Processes take two seconds to start; below so many new outputs one is faster.
OUTPUTS_FOR_PROCESSES = 30_000
MOST_PROCESSES = 4
SORT = ("sort.js",)  # tables sort by their heads
SHARED: Mapping[str, Any] = {
    "ranking": ranking,
    "percent": ranking.percent,
    "table_cells": table_cells,
    "run_colours": plots.run_colours,
    "measured_with": measured_with,
    "classes": CLASSES,
    "words": words,
}


def write_report(reports_dir: Path) -> Path:
    """Writes index.html, compare.html, problem.html, ledger.html, report.md, and a page for each evaluation and ablation.

    Returns the path of index.html.

    The same folder gives the same bytes, and what has not changed is not made again. A page is replaced whole or not at
    all. Raises UserError, naming the file, where a finished evaluation can't be read, and OSError where a page can't be
    written.
    """
    evaluations = load_evaluations(reports_dir)
    shown = [evaluation for evaluation in evaluations if not evaluation.summary.get("repeat")]
    columns = dict(zip((e.folder.name for e in shown), _write_all_outputs(shown), strict=True))
    sections = make_sections(evaluations, _graded(shown, columns))
    views = [_write_section(reports_dir, section, columns) for section in sections]
    write_data(reports_dir / "pages" / "sections.js", "pages/sections", [_listed(view.section) for view in views])
    overviews = make_overviews(sections)
    told = "\n".join(filter(None, (markdown_table(sections), markdown_overviews(overviews))))
    replace_file(reports_dir / "report.md", f"# Evaluation\n\n{told}")
    for page, script in (("compare", "compare.js"), ("problem", "problem.js")):
        replace_file(reports_dir / f"{page}.html", render(f"{page}.html.j2", ("common.js", script), root=""))
    ablations = [_write_ablation(found) for found in ablation.load_ablations(reports_dir)]
    ledger = make_ledger(sections, ablations)
    replace_file(reports_dir / "ledger.html", render("ledger.html.j2", SORT, root="", ledger=ledger, **SHARED))
    values: dict[str, Any] = {
        "views": views,
        "overviews": overviews,
        "overview_cells": overview_cells,
        "data_of": ledger.by_key,
        "ablations": ablations,
        "unfinished": load_unfinished(reports_dir),
        "columns": COLUMNS,
        "curve": _curve,
    }
    replace_file(reports_dir / "index.html", render("index.html.j2", SORT, root="", **SHARED, **values))
    return reports_dir / "index.html"


def _write_ablation(found: ablation.Ablation) -> ablation.Ablation:
    ablation.write_result(found)
    values: dict[str, Any] = {"ablation": found, "cells": ablation.cells, "plot": _arms}
    page = render("ablation.html.j2", SORT, root="../../", **values, **SHARED)
    replace_file(found.folder / "index.html", page)
    return found


def _arms(table: ablation.Table) -> Markup:
    """Both drawings of an ablation's arms; names of recipes were escaped by the XML writer."""
    drawings = (
        plots.arms_plot(table.rows, table.control, table.benchmark, table.title, size)
        for size in (plots.WIDE, plots.NARROW)
    )
    return Markup("").join(map(Markup, drawings))


def _write_all_outputs(evaluations: Sequence[Evaluation]) -> list[Columns]:
    """The data files of every evaluation; several at a time where there is much to do."""
    new = [e for e in evaluations if not (e.folder / "pages" / "outcomes.js").exists()]
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)), len(new))
    if processes < 2 or sum(int(e.summary["n"]) for e in new) < OUTPUTS_FOR_PROCESSES:
        return [write_outputs(evaluation) for evaluation in evaluations]
    # Spawned: a process that holds an engine has threads, which a fork would leave in the middle of what they do.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(write_outputs, evaluations, chunksize=1))


def _graded(evaluations: Sequence[Evaluation], columns: Mapping[str, Columns]) -> dict[str, Graded]:
    problems = {path: load_problems(path) for path in {problems_file(evaluation) for evaluation in evaluations}}
    return {e.folder.name: graded_of(e, columns[e.folder.name], problems[problems_file(e)]) for e in evaluations}


def _write_section(reports_dir: Path, section: Section, columns: Mapping[str, Columns]) -> View:
    path = problems_file(section.current[0])
    problems = load_problems(path)
    write_problems(problems, reports_dir / "pages" / path.stem)
    folder = reports_dir / "pages" / section.id
    by_key = {section.key_of(row.summary): columns[section.key_of(row.summary)] for row in section.group.rows}
    write_answers(folder, by_key, len(problems))
    write_data(folder / "pairs.js", f"{section.id}/pairs", pairs(section))
    merged = {
        section.key_of(row.summary): merge_columns([columns[e.folder.name] for e in section.members_of(row.summary)])
        for row in section.group.rows
    }
    view = make_view(section, merged, problems)
    for evaluation in (*section.members, *section.superseded):
        page = _evaluation_page(view, evaluation, columns[evaluation.folder.name], problems)
        replace_file(evaluation.folder / "index.html", page)
    return view


def _evaluation_page(
    view: View, evaluation: Evaluation, columns: Columns, problems: Sequence[Mapping[str, Any]]
) -> str:
    # A superseded evaluation has no row in the section: it is labelled as if it stood alone.
    rows = (*view.section.group.rows, *ranking.make_group([evaluation.summary], naming=view.section.naming).rows)
    key = evaluation.folder.name
    of_seeds = {member.folder.name: place for place, one in view.section.seeds.items() for member in one}
    row = next(r for r in rows if r.summary is evaluation.summary or of_seeds.get(key) == r.summary["key"])
    tallies = classes_of(columns) if key in of_seeds else view.classes.get(key) or classes_of(columns)
    change = view.changes.get(evaluation.summary["key"]) if row in view.section.group.rows else None
    return render(
        "evaluation.html.j2",
        ("common.js", *SORT, "outputs.js"),
        root="../",
        section=view.section,
        evaluation=evaluation,
        benchmark=problems_file(evaluation).stem,
        row=row,
        change=change,
        before=next((r for r in rows if change and r.summary["key"] == change.before), None),
        sentences=(
            *ranking.sampled_sentences_of(row),
            *ranking.seeds_sentences([row]),
            *ranking.asked_sentences([row]),
        ),
        seed=evaluation.manifest["decoding"]["seed"] if key in of_seeds else None,
        tallies=tallies.values(),
        numbers={kind: [columns.positions[place] + 1 for place in one.examples] for kind, one in tallies.items()},
        strict_points=strict_points(evaluation.summary),
        breakdowns=breakdowns(columns, problems),
        **SHARED,
    )


def _listed(section: Section) -> dict[str, Any]:
    """What the pages that compare know of a section."""
    rows = [
        {"key": section.key_of(row.summary), "label": row.label, "share": ranking.percent(row.summary["equivalent"])}
        for row in section.group.rows
    ]
    title = f"{section.title} ({section.note})" if section.note else section.title
    return {"id": section.id, "title": title, "benchmark": problems_file(section.current[0]).stem, "rows": rows}


def _curve(group: ranking.Group, tokens: Mapping[str, int] | None = None) -> Markup:
    """Both drawings of the curve; the style sheet shows the one that fits. Their text was escaped by the XML writer."""
    drawings = (plots.accuracy_curve(group, size, tokens) for size in (plots.WIDE, plots.NARROW))
    return Markup("").join(map(Markup, drawings))
