r"""Filters: each looks at a row and returns None to keep it, or the reason to drop it.

A recipe's step `- one_answer: {multiple_choice: true}` calls `one_answer(row, multiple_choice=True)`; the keyword
parameters and their defaults are what a recipe may say. To add a filter, write a function and name it in FILTERS.
All are linear in the length of the text, since a row may be hostile.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase

from data.rows import Row
from graders import extract_boxed

Filter = Callable[..., str | None]


def has_box(row: Row) -> str | None:
    r"""The last \boxed{} is there, closed, and holds something: the grader reads nothing else."""
    if extract_boxed(row["solution"]) is not None:
        return None
    if "\\boxed" not in row["solution"]:
        return "no box"
    return "last box never closes, has no braces, or is empty"


PROOF = re.compile(
    r"(?:^|[.;:!?)\n$])[\s\d(a-z).,]{0,12}(?:then |hence |also |and |to )?(?:prove|show|demonstrate|verify) ", re.I
)
ASKS = re.compile(
    r"\?|\b(?:find|determine|compute|calculate|evaluate|what|which|how (?:many|much|long|far|old)|solve|simplify)\b",
    re.I,
)
PROVED = re.compile(r"proved?\b|proven|q\.?e\.?d|blacksquare|square(?![a-z])|statement|as required|true$", re.I)


def not_proof(row: Row) -> str | None:
    """The problem asks for something that can stand in a box, rather than for a proof."""
    box = extract_boxed(row["solution"])
    if box is not None and "text" in box and PROVED.search(box):
        return "proof in the box"
    return "asks for a proof" if PROOF.search(row["problem"]) and not ASKS.search(row["problem"]) else None


# (A) … (B) … (C), \textbf{(A)}, A. … B. … C. …: three labels in order.
LABEL = r"(?:\(\s*(?:\\\w+\s*\{{?)?\s*{0}\s*\}}?\s*\)|(?:^|[\s$}}]){0}\s*[.:)．、](?!\w))"
CHOICES = [re.compile(LABEL.format(letter), re.M) for letter in "ABC"]
PARTS = re.compile(r"(?:^|\n)\s*(?:\(|（|Part\s+)?(?:([1-9]|[a-h]|i{1,3})[).）:])\s", re.I)
LISTED = re.compile(r"\\text\s*\{\s*(?:,\s*)?(?:and|or)\s*\}|\s(?:and|or)\s|;|\\\\")
BRACKETS = re.compile(r"\\[A-Za-z]+|\\.|[([{}\])]|,(?!\\!|\s*\d{3}(?!\d))", re.S)


def one_answer(row: Row, *, multiple_choice: bool = False, several: bool = False) -> str | None:
    """One answer in free form; `true` lets problems with choices, or with several answers or questions, pass."""
    problem, box = row["problem"], extract_boxed(row["solution"]) or ""
    if not multiple_choice and _has_choices(problem):
        return "multiple choice"
    if several:
        return None
    if len({found[1].casefold() for found in PARTS.finditer(problem)}) > 1:
        return "several questions"
    return "several answers" if _is_list(box) else None


def _has_choices(problem: str) -> bool:
    end = 0
    for choice in CHOICES:
        found = choice.search(problem, end)
        if found is None:
            return False
        end = found.end()
    return True


def _is_list(box: str) -> bool:
    """Several values side by side; a point, an interval or a set in brackets is one."""
    if "\\begin" in box:
        return False
    depth = 0
    for token in BRACKETS.finditer(box):
        mark = token.group()
        depth += (mark in ("(", "[", "{", "\\{", "\\lbrace")) - (mark in (")", "]", "}", "\\}", "\\rbrace"))
        if mark == "," and depth == 0:
            return True
    return LISTED.search(box) is not None


# The commonest words of prose about mathematics.
ENGLISH = (
    "the of is a to and in that are we for be with as by on this if it at from can have so which has each what then find "
    "how let an there one many all when or not number where his her she he they will was were"
)
FUNCTION_WORDS = {"en": frozenset(ENGLISH.split())}
LATEX = re.compile(r"\$[^$]{0,2000}\$|\\[A-Za-z]+|\\[()\[\]]")
WORD = re.compile(r"[^\W\d_]+")
FEWEST_WORDS = 12  # below that, a text says too little about its language


def language(row: Row, *, keep: str = "en", other_letters: float = 0.05, function_words: float = 0.12) -> str | None:
    """Written in the language `keep` (known: en): few letters beyond ASCII, and enough of its function words.

    English prose has about 40 % of these words, French or Spanish below 8 %; formulas do not count.
    """
    words = WORD.findall(LATEX.sub(" ", row["problem"])) + WORD.findall(LATEX.sub(" ", row["solution"][:2000]))
    letters = sum(map(len, words))
    foreign = sum(len(word) for word in words if not word.isascii())
    if foreign > other_letters * letters:
        return "another script or accented words"
    prose = [word.casefold() for word in words if len(word) > 1]
    known = sum(word in FUNCTION_WORDS[keep] for word in prose)
    return "another language" if len(prose) >= FEWEST_WORDS and known < function_words * len(prose) else None


def not_empty(row: Row, *, problem_characters: int = 10, working_characters: int = 20) -> str | None:
    """Problem and solution say something; a solution that is little beyond its box teaches no way to the answer."""
    if len(row["problem"].strip()) < problem_characters:
        return "empty or tiny problem"
    box = extract_boxed(row["solution"]) or ""
    working = len(row["solution"].strip()) - len(box) - (len("$\\boxed{}$.") if box else 0)
    return "solution without a way to the answer" if working < working_characters else None


LINK = re.compile(r"https?://|www\.[a-z]|!\[[^\]]{0,200}\]\(|\\includegraphics|<img\b", re.I)


def no_links(row: Row, *, drawings: bool = True) -> str | None:
    """No URL and no image, which a model can neither read nor write; `drawings: false` also drops Asymptote code."""
    text = row["problem"] + "\n" + row["solution"]
    if LINK.search(text):
        return "link or image"
    return "drawing as code" if not drawings and "[asy]" in text else None


BOILERPLATE = {
    "translator's instruction": r"translate the (?:above|following)? ?text|retain the original text|the translation (?:is|of)",
    "assistant's phrases": r"as an ai\b|language model|i hope (?:this|it) (?:helps|is correct)|let me know if|feel free to ask|sure[!,] ",
    "forum signature": r"\n\s*~\s?\w+\s*$|solution by \w+|\bedited by\b|click here",
    "refers to another text": r"see (?:the )?(?:original|previous|above) (?:solution|problem|answer)|solution \d+ (?:is|was) ",
    "code": r"```(?:python|output)|\bprint\(",
}
PHRASES = {name: re.compile(pattern, re.I) for name, pattern in BOILERPLATE.items()}


def no_boilerplate(row: Row, *, code: bool = False) -> str | None:
    """No phrases of translators, assistants or forums, and (without `code: true`) no programs."""
    for name, pattern in PHRASES.items():
        if not (code and name == "code") and pattern.search(row["solution"]):
            return f"boilerplate: {name}"
    return (
        "boilerplate: translator's instruction" if PHRASES["translator's instruction"].search(row["problem"]) else None
    )


SENTENCE = re.compile(r"[.!?]\s|\n")
SHORTEST_SENTENCE, SHORTEST_TEXT = 25, 600  # characters


def no_repeats(row: Row, *, times: int = 3, compression: float = 7.0) -> str | None:
    """No sentence more than `times` times, and no text that zlib shrinks by more than `compression`: a loop."""
    solution = row["solution"]
    sentences = Counter(part.strip() for part in SENTENCE.split(solution))
    if any(count > times and len(sentence) >= SHORTEST_SENTENCE for sentence, count in sentences.items()):
        return "repeats a sentence"
    if len(solution) >= SHORTEST_TEXT:
        data = solution.encode("utf-8", "replace")
        if len(data) > compression * len(zlib.compress(data, 1)):
            return "repeats itself"
    return None


NEXT_PROBLEM = re.compile(r"###? ?(?:problem|question|instruction)|\n\s*(?:problem|question)(?: \d+)?\s*:", re.I)


def no_runaway(row: Row, *, characters_after_box: int = 300) -> str | None:
    """The solution ends after its answer, instead of beginning another problem or going on for long."""
    solution = row["solution"]
    if NEXT_PROBLEM.search(solution):
        return "begins another problem"
    last = solution.rfind("\\boxed")
    if last >= 0 and len(solution) - last > characters_after_box + len(extract_boxed(solution) or ""):
        return "goes on after its box"
    return None


def style(row: Row, *, keep: str = "short", words: int = 150) -> str | None:
    """`keep: short` has at most so many words a solution, `keep: long` more."""
    is_short = len(row["solution"].split()) <= words
    return None if is_short == (keep == "short") else f"solution is {'short' if is_short else 'long'}"


def only(
    row: Row,
    *,
    source: list[str] | None = None,
    subject: list[str] | None = None,
    level: list[str] | None = None,
    difficulty: list[str] | None = None,
) -> str | None:
    """Rows whose field matches one of the patterns (`numinamath/*`); a field without patterns accepts everything."""
    for field, patterns in (("source", source), ("subject", subject), ("level", level), ("difficulty", difficulty)):
        if patterns and not any(fnmatchcase(row[field], pattern) for pattern in patterns):
            return f"{field} not selected"
    return None


def without(
    row: Row,
    *,
    source: list[str] | None = None,
    subject: list[str] | None = None,
    level: list[str] | None = None,
    difficulty: list[str] | None = None,
) -> str | None:
    """Rows none of whose fields matches one of the patterns: the opposite of `only`."""
    for field, patterns in (("source", source), ("subject", subject), ("level", level), ("difficulty", difficulty)):
        if any(fnmatchcase(row[field], pattern) for pattern in patterns or ()):
            return f"{field} excluded"
    return None


FILTERS: dict[str, Filter] = {
    "has_box": has_box,
    "not_proof": not_proof,
    "one_answer": one_answer,
    "language": language,
    "not_empty": not_empty,
    "no_links": no_links,
    "no_boilerplate": no_boilerplate,
    "no_repeats": no_repeats,
    "no_runaway": no_runaway,
    "style": style,
    "only": only,
    "without": without,
}
