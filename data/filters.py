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

from data.placeholders import is_never_an_answer, word_of
from data.rows import Row
from graders import extract_boxed
from graders.boxed import box_starts

Filter = Callable[..., str | None]


def has_box(row: Row) -> str | None:
    r"""The last \boxed{} is there, closed, and holds an answer: the grader reads nothing else."""
    box = extract_boxed(row["solution"])
    if box is not None:
        return "last box holds a placeholder, not an answer" if is_never_an_answer(box) else None
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
PROVED = re.compile(r"proved?\b|proven|q\.?e\.?d|\\(?:black)?square(?![a-z])|as required", re.I)


def not_proof(row: Row) -> str | None:
    """The problem asks for something that can stand in a box, rather than for a proof."""
    box = extract_boxed(row["solution"])
    if box is not None and (PROVED.search(box) or word_of(box) == "proof"):
        return "proof in the box"
    if (word_of(row.get("placeholder", "")) or "").startswith("proof"):
        return "states a proof for an answer"
    problem = row["problem"]
    if not any(word in problem.lower() for word in ("prove ", "show ", "demonstrate ", "verify ")):
        return None  # what nearly every row is: plain search is ten times as fast as the expression
    return "asks for a proof" if PROOF.search(problem) and not ASKS.search(problem) else None


IN_BRACKETS = r"(?<![A-Za-z}])\(\s*(?:\\\w+\s*(?:\{\s*)?)?%s\s*(?:\}\s*)?\)"
# (A) … (B) … (C) anywhere, or A. … B. … C. … D. …, each label as a word of its own.
CHOICES = (
    [re.compile(IN_BRACKETS % letter) for letter in "ABC"],
    [re.compile(rf"(?:^|\s)(?:\\\w+\{{)?{letter}(?:[.:、)]|\}}\))(?![A-Za-z])", re.M) for letter in "ABCD"],
)
PARTS = re.compile(
    r"(?:^|\n)[^\S\n]*(?:\*\*)?(?:\(|（|Part\s+|Question\s+)?"
    r"(?:[1-9]|[a-hA-H]|i{1,3})[).）:]",
    re.I,
)
LISTED = re.compile(r"\\text\s*\{\s*(?:,\s*)?(?:and|or)\s*\}|\s(?:and|or)\s|;|\\\\")
BRACKETS = re.compile(r"\\[A-Za-z]+|\\.|[([{}\])]|,(?!\\!|\s*\d{3}(?!\d))", re.S)
DRAWING = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.S)


def one_answer(row: Row, *, multiple_choice: bool = False, several: bool = False) -> str | None:
    """One answer in free form; `true` lets problems with choices, or with several answers or questions, pass."""
    problem, box = DRAWING.sub("", row["problem"]), extract_boxed(row["solution"]) or ""
    if not multiple_choice and _has_choices(problem):
        return "multiple choice"
    if several:
        return None
    if sum(ASKS.search(part) is not None for part in PARTS.split(problem)[1:]) > 1:
        return "several questions"
    return "several answers" if _is_list(box) else None


def _has_choices(problem: str) -> bool:
    return any(_in_order(labels, problem) for labels in CHOICES)


def _in_order(labels: list[re.Pattern[str]], problem: str) -> bool:
    end = 0
    for label in labels:
        found = label.search(problem, end)
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
    "the of is and in that are we for be with as by if it at from can have so which has each what then find how let an there "
    "one two three many all when or not number where his her she he they will was were than more less this to on does did do "
    "had its if also only after before into out same per total given since thus therefore ago day year time"
)
FUNCTION_WORDS = {"en": frozenset(ENGLISH.split())}
LATEX = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)|\$[^$]{0,2000}\$|\\[A-Za-z]+", re.S)
WORD = re.compile(r"[^\W\d_]{2,}")
READ_CHARS = 1000  # of a solution, which say what the rest is written in
# Letters of neither the Latin nor the Greek alphabet, which mathematics uses.
OTHER_SCRIPT = re.compile(r"[\u0400-\u1dff\u2e80-\ud7ff\uf900-\ufdff\uff66-\uffdc]")
FEWEST_WORDS = 20  # below that, a text says too little about its language


def language(row: Row, *, keep: str = "en", other_script: float = 0.02, function_words: float = 0.1) -> str | None:
    """Written in the language `keep` (known: en): hardly a letter of another script, and enough of its commonest words.

    English prose has 30 to 50 % of these words, French or Spanish below 5 %; formulas do not count.
    """
    text = (row["problem"] + "\n" + row["solution"][:READ_CHARS]).lower()
    words = WORD.findall(LATEX.sub(" ", text))
    if not text.isascii() and len(OTHER_SCRIPT.findall(text)) > other_script * max(1, sum(map(len, words))):
        return "another script"
    known = sum(map(FUNCTION_WORDS[keep].__contains__, words))
    return "another language" if len(words) >= FEWEST_WORDS and known < function_words * len(words) else None


def not_empty(row: Row, *, problem_characters: int = 10, working_characters: int = 20) -> str | None:
    """Problem and solution say something; a solution that is little beyond its box teaches no way to the answer."""
    if len(row["problem"].strip()) < problem_characters:
        return "empty or tiny problem"
    box = extract_boxed(row["solution"]) or ""
    working = len(row["solution"].strip()) - len(box) - (len("$\\boxed{}$.") if box else 0)
    return "solution without a way to the answer" if working < working_characters else None


LINKS = ("http://", "https://", "www.", "![", "\\includegraphics", "<img ")


def no_links(row: Row, *, drawings: bool = True) -> str | None:
    """No URL and no image, which a model can neither read nor write; `drawings: false` also drops Asymptote code."""
    text = f"{row['problem']}\n{row['solution']}".lower()
    if any(link in text for link in LINKS):
        return "link or image"
    return "drawing as code" if not drawings and "[asy]" in text else None


# Looked for as plain text in lower case, which is ten times as fast as one expression for all.
BOILERPLATE = {
    "translator's instruction": (
        "translate the above",
        "translate the following",
        "translate the text",
        "retain the original text",
    ),
    "assistant's phrases": (
        *("as an ai ", "as an ai,", "language model", "i hope this helps", "i hope it helps", "i hope it is correct"),
        *("let me know if", "feel free to ask", "sure! ", "certainly! "),
    ),
    "forum signature": ("alcumus user", "edited by ", "click here"),
    "refers to another text": ("see the original solution", "see the previous solution", "see the above solution"),
    "code": ("```python", "```output", "print("),
}
# The author's name after the last sentence: "~someone", "- someone", "(Solution by someone.)".
SIGNATURE = re.compile(r"(?:[.$}\])]|\n)\s*[~-]\s?\w[\w ]{1,30}(?:\(edited[^)]*\))?\s*\Z|solution by \w+\W*\Z", re.I)
LONGEST_SIGNATURE = 80


def no_boilerplate(row: Row, *, code: bool = False) -> str | None:
    """No phrases of translators, assistants or forums, and (without `code: true`) no programs."""
    text = f"{row['problem']}\n{row['solution']}".lower()
    for name, phrases in BOILERPLATE.items():
        if not (code and name == "code") and any(phrase in text for phrase in phrases):
            return f"boilerplate: {name}"
    return "boilerplate: forum signature" if SIGNATURE.search(row["solution"][-LONGEST_SIGNATURE:]) else None


SENTENCE = re.compile(r"[.!?]\s|\n")
FEWEST_WORDS_OF_A_SENTENCE, SHORTEST_TEXT = 5, 600  # words, characters


def no_repeats(row: Row, *, times: int = 3, compression: float = 7.0) -> str | None:
    """No sentence more than `times` times, and no text that zlib shrinks by more than `compression`: a loop."""
    solution = DRAWING.sub("", row["solution"])
    sentences = Counter(part.strip() for part in SENTENCE.split(solution))
    if any(count > times and len(text.split()) >= FEWEST_WORDS_OF_A_SENTENCE for text, count in sentences.items()):
        return "repeats a sentence"
    if len(solution) >= SHORTEST_TEXT:
        data = solution.encode("utf-8", "replace")
        if len(data) > compression * len(zlib.compress(data, 1)):
            return "repeats itself"
    return None


NEXT_PROBLEM = re.compile(
    r"###? ?(?:problem|question|instruction)"
    r"|\n[^\S\n]*(?:problem|question)(?: \d+)?\s*:",
    re.I,
)


def no_runaway(row: Row, *, characters_after_box: int = 300) -> str | None:
    """The solution ends after its answer, instead of beginning another problem or going on for long."""
    solution = DRAWING.sub("", row["solution"])
    if NEXT_PROBLEM.search(solution):
        return "begins another problem"
    starts = box_starts(solution)
    allowed = characters_after_box + len(extract_boxed(solution) or "")
    if starts and len(solution) - starts[-1] > allowed:
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
