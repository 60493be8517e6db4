r"""Rewrites: each returns the row as it shall be taught. None drops a row, none touches a problem.

A recipe's step `- one_box: {last_sentence: true}` calls `one_box(row, last_sentence=True)`. The last box of a rewritten
solution is read back by the grader's own rule; where it would not hold what was meant, the row stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from data.marks import marked_answer
from data.placeholders import is_placeholder
from data.rows import Row
from graders import Box, extract_boxed, find_box, gold_from_solution, grade_answer
from graders.boxed import SOLUTION_BOX, solution_boxes

ENDING = "The answer is $\\boxed{{{answer}}}$."


def boxes(solution: str) -> list[Box]:
    r"""Every closed \boxed{} and \fbox{} and every `\boxed 5`, in order; of nested ones the outer."""
    found: list[Box] = []
    for box in solution_boxes(solution):
        if not found or box.start >= found[-1].end:
            found.append(box)
    return found


def replace_boxes(solution: str, found: Iterable[Box], text_of: Callable[[Box], str]) -> str:
    """The solution with `text_of(box)` in place of each box, in order and none inside another."""
    pieces, position = [], 0
    for box in found:
        pieces += [solution[position : box.start], text_of(box)]
        position = box.end
    return "".join([*pieces, solution[position:]])


def gsm8k_ending(row: Row) -> Row:
    r"""`#### N` (and MetaMath's `The answer is: N` after it) becomes a boxed ending; <<calculator notes>> go."""
    solution = re.sub(r"<<[^<>\n]{0,200}>>", "", row["solution"])
    found = marked_answer(solution)
    if found is None or is_placeholder(found[1]):
        return row | {"solution": solution}
    start, answer = found
    return _checked(row, f"{solution[:start].rstrip()}\n{ENDING.format(answer=answer)}", answer)


# The last sentence of a solution that states its answer in words.
STATEMENT = re.compile(r"(?<!\s)\s*The (?:final )?answer is:? [^\n]{1,80}$")


def box_answer(row: Row) -> Row:
    """A solution without any box gets a last sentence that boxes the stated answer, if any.

    `proof`, `not found` and the like are no answers (`data.placeholders`).
    """
    if is_placeholder(row["answer"]) or SOLUTION_BOX.search(row["solution"]):
        return row
    stripped = STATEMENT.sub("", row["solution"].rstrip())
    answer = row["answer"]
    return _checked(row, f"{stripped or row['solution']}\n{ENDING.format(answer=answer)}", answer)


def one_box(row: Row, *, last_sentence: bool = False) -> Row:
    r"""One box a solution, its last one, with braces: earlier boxes keep their content only.

    With `last_sentence: true` a solution that goes on after its box loses that box too and ends in a sentence with one.
    """
    solution, found = row["solution"], boxes(row["solution"])
    if not found:
        return row
    last = found[-1]
    if extract_boxed(solution):  # then an \fbox does not count
        last = next(b for b in reversed(found) if "\\boxed" in solution[b.start : b.end])
    answer = gold_from_solution(solution[last.start : last.end]) or ""
    goes_on = last_sentence and len(solution[last.end :].strip(" \n$.)]\\}")) > 0

    def kept(box: Box) -> str:
        return f"\\boxed{{{answer}}}" if box == last and not goes_on else box.content

    changed = replace_boxes(solution, found, kept)
    return _checked(row, f"{changed.rstrip()}\n{ENDING.format(answer=answer)}" if goes_on else changed, answer)


# In order; each is typography, or a word round a value, that strict comparison would hold against the answer.
FORM: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^\$+|(?<!\$)\$+$|^\\\(|\\\)$", ""),
    (r"\\[dt]frac(?![A-Za-z])", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    (r"\\sqrt\s*(\d)(?!\d)", r"\\sqrt{\1}"),
    (r"\\displaystyle\s*|\\[,;!:]", ""),
    (r"(?<=\d)\{,\}(?=\d{3}(?!\d))", ","),
    (r"^(-?\d{1,3}(?:,\d{3})+(?:\.\d+)?)$", lambda found: found[1].replace(",", "")),
    (r"^\\\$\s*(?=[-\d.])", ""),
    (
        r"(?<=[\d}])\s*\\(?:text|mbox|mathrm)\s*"
        r"\{(?!\})(?:\s*[a-zA-Z][a-zA-Z ]{0,29}\.?)?\s*\}(?:\^\{?[23]\}?)?$",
        "",
    ),
    (r"^\\(?:text|mbox)\s*\{\s*([-\d.]+)\s*\}$", r"\1"),
    (r"(?<![.,;\s])[.,;\s]+$", ""),
)
COMPILED_FORM = [(re.compile(pattern), replacement) for pattern, replacement in FORM]


def plain_form(answer: str) -> str:
    r"""The answer as reference answers are mostly written: \frac with braces, no dollar signs, separators or units."""
    for pattern, replacement in COMPILED_FORM:
        answer = pattern.sub(replacement, answer.strip())
    return answer


def normal_answer(row: Row) -> Row:
    """The box in the form that a strict grader accepts: `plain_form` of the stated answer where that differs by its
    formatting alone, else of the box itself. Box and answer agree afterwards, letter for letter.

    Only where the grader calls old and new equal; a box that differs from the stated answer is left to `answer_matches`.
    """
    box = find_box(row["solution"])
    if box is None or not row["answer"]:
        return row
    if box.content == row["answer"] == plain_form(box.content):
        return row
    verdict = grade_answer(box.content, row["answer"])
    target = plain_form(row["answer"] if verdict.normalized else box.content)
    if not verdict.correct or not target or not grade_answer(target, box.content).correct:
        return row
    solution = replace_boxes(row["solution"], [box], lambda _: f"\\boxed{{{target}}}")
    return _checked(row, solution, target)


def _checked(row: Row, solution: str, answer: str) -> Row:
    if extract_boxed(solution) != answer.strip():
        return row
    return row | {"solution": solution, "answer": answer.strip()}


REWRITES: dict[str, Callable[..., Row]] = {
    "gsm8k_ending": gsm8k_ending,
    "box_answer": box_answer,
    "one_box": one_box,
    "normal_answer": normal_answer,
}
