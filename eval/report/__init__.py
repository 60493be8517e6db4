"""Reports over a folder of evaluations: tables for the terminal and Markdown, HTML pages with the curve over steps."""

from eval.report.load import load_graded, load_summaries
from eval.report.pages import write_report
from eval.report.tables import markdown_table, terminal_table

__all__ = ["load_graded", "load_summaries", "markdown_table", "terminal_table", "write_report"]
