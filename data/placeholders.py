r"""Placeholders: words that data sets write where an answer belongs and there is none.

NuminaMath-1.5 states `proof` or `notfound` as the answer of about 143,000 rows. A model that is
taught to box such a word has lost the problem.

Two fields can say it. In the column of stated answers every placeholder means that no answer is
stated. A word such as `none` can also be the answer: it is one where the solution itself boxes it,
because a box is what its author calls the answer. `proof` and its like are no answer anywhere.
"""

from __future__ import annotations

import re

from graders import gold_from_solution

# Never an answer, also not inside a box. Compared without spaces.
NEVER_WORDS = (
    "proof notfound answernotfound noanswerfound proofnotgiven proofomitted proofneeded "
    "proofrequired proofproblem proofbased seesolution seeproof seeabove seeexplanation "
    "noanswer noanswergiven noanswerprovided answernotgiven answernotprovided notprovided "
    "notgiven notavailable unanswered placeholder tbd qed q.e.d proved proven seesolutionabove "
    "seethesolution seebelow seesolutionbelow nofinalanswer notapplicable answernotavailable "
    "noanswerneeded isproved isproven proofcomplete"
)
NEVER = frozenset(NEVER_WORDS.split())
# No answer, unless the solution itself boxes it.
UNLESS_BOXED_WORDS = "none null nan nil unknown n/a n.a #n/a \\#n/a <na> nat - -- --- – — ? ?? ???"
UNLESS_BOXED = frozenset(UNLESS_BOXED_WORDS.split())
LONGEST = 60
# Characters of a solution's end in which its box is looked for: it is stated at the end.
LONGEST_ENDING = 10_000
WRAPPERS = re.compile(
    r"\\(?:text\w{0,6}|math\w{1,6}|mbox|hbox|boxed|fbox|emph|operatorname)\s*\{([^{}]*)\}"
    r"|\{([^{}]*)\}|\\\((.*)\\\)|\\\[(.*)\\\]|([$\"'`*“”]+)(.*)|\[(.*)\]|\((.*)\)",
    re.S,
)
SPACES = re.compile(r"(?:\s|_|~|\\[ ,;:!]|(?<=[a-z])-(?=[a-z]))+")


def is_placeholder(answer: str, solution: str = "") -> bool:
    """Whether a stated answer stands for no answer at all; `solution` may box it and so mean it.

    An empty text is one, too.
    """
    word = word_of(answer)
    if word in UNLESS_BOXED:
        return word_of(gold_from_solution(solution[-LONGEST_ENDING:]) or "") != word
    return word is not None and (word in NEVER or not word)


def is_never_an_answer(box: str) -> bool:
    """Whether the content of a box is `proof`, `not found` or the like."""
    return word_of(box) in NEVER


def word_of(text: str) -> str | None:
    r"""The text in lower case without `\text{}`, dollar signs, quotes and spaces; None if long."""
    plain = text.strip().casefold()
    if len(plain) > LONGEST:
        return None
    while plain and (found := WRAPPERS.fullmatch(plain)):
        inner = next((part for part in found.groups() if part is not None), "")
        plain = inner.strip() if found[5] is None else (found[6] or "").strip(found[5]).strip()
    return SPACES.sub("", plain).rstrip(".!:;,")
