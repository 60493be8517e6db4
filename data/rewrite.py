r"""Rewrites: each returns the row as it shall be taught. None drops a row, none touches a problem.

A recipe's step `- one_box: {last_sentence: true}` calls `one_box(row, last_sentence=True)`. The last box of a rewritten
solution is read back by the grader's own rule; where it would not hold what was meant, the row stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from data.rows import Row
from graders import extract_boxed, gold_from_solution, grade_answer

OPENER = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
# A box, an escaped sign (whose brace is literal), or a brace.
TOKEN = re.compile(rf"(?P<box>{OPENER.pattern})|\\[\s\S]|[{{}}]")
BARE = re.compile(r"(?!\\(?:boxed|fbox))[^\s${}]{1,200}")
ENDING = "The answer is $\\boxed{{{answer}}}$."


class Box(NamedTuple):
    """Where a box begins and ends in a text, and what it holds."""

    start: int
    end: int
    content: str


def boxes(solution: str) -> list[Box]:
    r"""Every closed \boxed{} and \fbox{} and every unbraced `\boxed 5`, in order; of nested ones the outer one.

    One pass with a stack of open braces, so that thousands of boxes that never close cost no more than others.
    """
    found: list[Box] = []
    opened: list[
        tuple[int | None, int]
    ] = []  # of each open brace where its box begins, if it is one's, and its content
    begins: int | None = None
    for token in TOKEN.finditer(solution):
        mark = token.group()
        if token["box"]:
            begins = token.start() if solution.startswith("{", token.end()) else None
            bare = BARE.match(solution, token.end()) if begins is None else None
            if bare and (content := bare.group().rstrip(".,;")):
                found.append(Box(token.start(), token.end() + len(content), content))
        elif mark == "{":
            opened.append((begins, token.end()))
            begins = None
        elif mark == "}" and opened:
            start, inside = opened.pop()
            if start is not None:
                while found and found[-1].start > start:
                    found.pop()
                found.append(Box(start, token.end(), solution[inside : token.start()].strip()))
    return found


def gsm8k_ending(row: Row) -> Row:
    r"""`#### N` (and MetaMath's `The answer is: N` after it) becomes a boxed ending; <<calculator notes>> go."""
    solution = re.sub(r"<<[^<>\n]{0,200}>>", "", row["solution"])
    found = re.search(r"\n?####[ \t]*([^\n]+)(?:\nThe answer is: *([^\n]+))?\s*$", solution)
    if found is None:
        return row | {"solution": solution}
    answer = (found[2] or found[1]).strip().rstrip(".").replace(",", "" if not found[2] else ",")
    return _checked(row, f"{solution[: found.start()].rstrip()}\n{ENDING.format(answer=answer)}", answer)


def box_answer(row: Row) -> Row:
    """A solution without any box gets a last sentence that boxes the stated answer, where there is one."""
    if not row["answer"] or OPENER.search(row["solution"]):
        return row
    stripped = re.sub(r"\s*The (?:final )?answer is:? [^\n]{1,80}$", "", row["solution"].rstrip())
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
    if len(found) > 1 and "\\boxed" not in solution[last.start : last.end] and extract_boxed(solution):
        last = [box for box in found if solution.startswith("\\boxed", box.start)][-1]
    answer = gold_from_solution(solution[last.start : last.end]) or ""
    goes_on = last_sentence and len(solution[last.end :].strip(" \n$.)]\\}")) > 0
    pieces, position = [], 0
    for box in found:
        kept = f"\\boxed{{{answer}}}" if box == last and not goes_on else box.content
        pieces += [solution[position : box.start], kept]
        position = box.end
    changed = "".join([*pieces, solution[position:]])
    return _checked(row, f"{changed.rstrip()}\n{ENDING.format(answer=answer)}" if goes_on else changed, answer)


# In order; each is typography, or a word round a value, that strict comparison would hold against the answer.
FORM: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^\$+|\$+$|^\\\(|\\\)$", ""),
    (r"\\[dt]frac(?![A-Za-z])", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    (r"\\sqrt\s*(\d)(?!\d)", r"\\sqrt{\1}"),
    (r"\\displaystyle\s*|\\[,;!:]", ""),
    (r"(?<=\d)\{,\}(?=\d{3}(?!\d))", ","),
    (r"^(-?\d{1,3}(?:,\d{3})+(?:\.\d+)?)$", lambda found: found[1].replace(",", "")),
    (r"^\\\$\s*(?=[-\d.])", ""),
    (r"(?<=[\d}])\s*\\(?:text|mbox|mathrm)\s*\{\s*[a-zA-Z ]{1,30}\.?\s*\}(?:\^\{?[23]\}?)?$", ""),
    (r"^\\(?:text|mbox)\s*\{\s*([-\d.]+)\s*\}$", r"\1"),
    (r"[.,;\s]+$", ""),
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
    box = extract_boxed(row["solution"])
    if box is None or not row["answer"]:
        return row
    if box == row["answer"] == plain_form(box):
        return row
    verdict = grade_answer(box, row["answer"])
    target = plain_form(row["answer"] if verdict.normalized else box)
    if not verdict.correct or not target or not grade_answer(target, box).correct:
        return row
    last = boxes(row["solution"])[-1]
    solution = f"{row['solution'][: last.start]}\\boxed{{{target}}}{row['solution'][last.end :]}"
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
