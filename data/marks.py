"""The answer that a solution states in words: `#### 5` or `The answer is: 5` in its last line.

A mark higher up is a heading or a step. Commas go out of numbers only: `1,234` is one number,
`3, 4` and `(1,2)` are lists.
"""

from __future__ import annotations

import re

from graders import gold_from_solution

MARK, STATED = "####", "The answer is:"
HEADING = re.compile(r"(?<!#)####(?!#)")
THOUSANDS = re.compile(r"(?:\\?\$)?(-?\d{1,3}(?:(?:,|\{,\})\d{3})+(?:\.\d+)?)")
IN_DOLLARS = re.compile(r"\$\$?([^$]+)\$\$?")
# What follows an answer: another sentence, or the phrase of MATH's solutions.
SENTENCE_END = re.compile(r"(?<=[^\s.])\.(?=\s+[A-Z])")
HOPE = re.compile(r"\s*I hope (?:it|this) is correct\.?\s*$", re.IGNORECASE)
# An answer alone is no solution. Longer ones, and those that have a verb, work something out.
LONGEST_ANSWER = 100
LEAD = re.compile(r"^(?:so |thus |hence |therefore )?(?:the )?(?:final )?answer(?: is)?:?\s+", re.I)
WORKED = re.compile(
    r"\b(?:is|are|was|were|has|have|had|gets?|gives?|makes?|equals|we|there|because|since|so|then"
    r"|therefore|thus|hence)\b",
    re.IGNORECASE,
)


def marked_answer(solution: str) -> tuple[int, str] | None:
    """Where the mark of a solution's last line begins, and the answer after it; None without one.

    `The answer is: N` may follow on a line of its own, whose answer then counts. A pattern for all
    of it would read the rest of the text again from each mark.
    """
    body = solution.rstrip()
    before, _, last = body.rpartition("\n")
    stated = plain_answer(last.removeprefix(STATED)) if last.startswith(STATED) else ""
    line = before.rpartition("\n")[2]
    if stated and line.partition(MARK)[2] and (mark := HEADING.search(line)):
        return len(before) - len(line) + mark.start(), stated
    found = HEADING.search(last)
    rest = last[found.end() :] if found else ""
    if found is None or _works_out(rest):
        return None
    answer = plain_answer(rest)
    return (len(body) - len(last) + found.start(), answer) if answer else None


def stated_answer(solution: str) -> str:
    """What follows `The answer is:` in the last line of a solution; "" without it."""
    _, mark, rest = solution.rstrip().rpartition("\n")[2].rpartition(STATED)
    return plain_answer(rest) if mark else ""


def plain_answer(text: str) -> str:
    """A stated answer without a box, dollar signs and what follows it: a sentence, a full stop."""
    answer = SENTENCE_END.split(HOPE.sub("", LEAD.sub("", text.strip(), count=1)))[0].strip()
    if boxed := gold_from_solution(answer):
        return boxed.strip()
    if answer.endswith(".") and not answer.endswith(".."):
        answer = answer[:-1].strip()
    if dollars := IN_DOLLARS.fullmatch(answer):
        answer = dollars[1].strip()
    return without_thousands(answer)


def without_thousands(answer: str) -> str:
    """`1234` for `1,234` and `$1,234`; anything else as it is."""
    number = THOUSANDS.fullmatch(answer)
    return number[1].replace("{,}", "").replace(",", "") if number else answer


def is_bare(text: str) -> bool:
    """Whether a text is an answer and nothing that leads to one."""
    plain = text.strip()
    return bool(plain) and "\n" not in plain and MARK not in plain and not _works_out(plain)


def _works_out(text: str) -> bool:
    plain = text.strip()
    lead = LEAD.match(plain)
    return len(plain) > LONGEST_ANSWER or bool(WORKED.search(plain[lead.end() :] if lead else plain))
