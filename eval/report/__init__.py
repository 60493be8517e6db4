"""Reports over a folder of evaluations: tables for the terminal and Markdown, HTML pages with the curve over steps."""

from eval.report.conditions import make_sections
from eval.report.load import find_evaluations, load_evaluations, load_graded, load_summaries
from eval.report.overview import print_overviews
from eval.report.pages import write_report
from eval.report.tables import markdown_table, terminal_table

__all__ = [
    "find_evaluations",
    "load_evaluations",
    "load_graded",
    "load_summaries",
    "make_sections",
    "markdown_table",
    "print_overviews",
    "terminal_table",
    "write_report",
]
