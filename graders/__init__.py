r"""Grading of math answers: the last `\boxed{}` of an output against a reference answer.

>>> from graders import grade
>>> grade(r"... so the area is $\boxed{\frac{1}{2}}$.", "0.5").rule
'numeric'

Importing this package is light: no SymPy, no torch. Formulas that need many digits go to worker processes with CPU
and memory limits, which are started on first need.
"""

from graders.batch import GRADER_VERSION, grade, grade_answer, grade_answers, grade_many
from graders.boxed import Box, extract_boxed, find_box, gold_from_solution
from graders.verdict import NOT_JUDGED, Verdict

__all__ = [
    "GRADER_VERSION",
    "NOT_JUDGED",
    "Box",
    "Verdict",
    "extract_boxed",
    "find_box",
    "gold_from_solution",
    "grade",
    "grade_answer",
    "grade_answers",
    "grade_many",
]
