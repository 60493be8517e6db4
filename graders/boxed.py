"""Reading the answer out of a solution text."""

import re

_BOX = re.compile(r"\\boxed(?![A-Za-z])\s*\{")
# Inside a box an escaped character (`\{`, `\}`, `\\`) is one unit, so its brace is literal.
_BRACE = re.compile(r"\\[\s\S]|[{}]")
_GOLD_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BARE_ARGUMENT = re.compile(r"[^\s$]+")
_BLANK = re.compile(r"(?:\s|\\[,;:! ]|~|\$|\\q?quad(?![A-Za-z]))*")


def extract_boxed(output: str) -> str | None:
    r"""Content of the last box of a model's output, outer spaces trimmed; None where there is no answer.

    The rule: take the last `\boxed` that has a brace argument (spaces before the brace are allowed), with braces
    balanced and `\{ \}` literal. If that last box never closes, there is no answer, even if an earlier box was
    complete: the model had not finished. An empty box is no answer. `\fbox`, an unbraced `\boxed 5` and the bare word
    "boxed" are not boxes. A later box overrides an earlier one; of nested boxes the inner one begins last, so it is
    the answer. Prose is never searched. Time is linear in the length of the output.
    """
    last = max(_BOX.finditer(output), key=re.Match.start, default=None)
    return None if last is None else _braced(output, last.end())


def gold_from_solution(solution: str) -> str | None:
    r"""Reference answer of a dataset's solution text, outer spaces trimmed; None where it has none.

    Solutions of datasets also write `\fbox{5}` and `\boxed 5$`. Those are accepted here, and only here. The last box
    with content wins.
    """
    for opener in reversed(list(_GOLD_BOX.finditer(solution))):
        if solution.startswith("{", opener.end()):
            content = _braced(solution, opener.end() + 1)
        else:
            bare = _BARE_ARGUMENT.match(solution, opener.end())
            content = (bare.group().rstrip(".,;") or None) if bare else None
        if content is not None:
            return content
    return None


def _braced(text: str, start: int) -> str | None:
    """Text from `start` to the brace that closes the one before `start`; None if it never closes or holds nothing."""
    depth = 1
    for token in _BRACE.finditer(text, start):
        mark = token.group()
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            content = text[start : token.start()].strip()
            return None if _BLANK.fullmatch(content) else content
    return None
