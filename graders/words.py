"""Answers that are words: a choice's letter, or a short text."""

import re

_CHOICE = re.compile(r"\(?([A-Ja-j])\)?[.):]?")
# After the letter comes what it stands for: no operator, no "or" or "is wrong", and no other letter of a choice.
_CHOICE_WITH_TEXT = re.compile(
    r"(?:\(([A-J])\)|([A-J])[.):])\s*(?!(?:or|and|but|is|was|may|might|could)(?![A-Za-z])|[A-J](?![A-Za-z])|[-,;/+*^=<>&|!])(?:(?!\([A-J]\))[\s\S])+"
)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def same_choice(gold: str, answer: str) -> bool:
    """`A`, `(A)`, `A.` and `A. text` are choice A."""
    letters = [_choice_letter(text) for text in (gold, answer)]
    lone = [_CHOICE.fullmatch(text) is not None for text in (gold, answer)]
    return letters[0] is not None and letters[0] == letters[1] and any(lone)


def _choice_letter(text: str) -> str | None:
    found = _CHOICE.fullmatch(text) or _CHOICE_WITH_TEXT.fullmatch(text)
    return next(group for group in found.groups() if group).upper() if found else None


def same_words(gold: str, answer: str) -> bool:
    """Words are compared without case, articles and full stops; texts without any word are not compared here."""
    if not re.search(r"[A-Za-z]{2}", gold) or "\\" in gold or re.search(r"[=+*/^_<>]", gold):
        return False
    return _words(gold) == _words(answer)


def _words(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().rstrip(".")).split())
