"""The record that every check gives."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass

_bounded = reprlib.Repr()
_bounded.maxstring = _bounded.maxother = 80


@dataclass(frozen=True)
class Finding:
    """One problem: which check, where (file, line or row), what, and how to fix it.

    A fatal one fails the submission; the others cost something that its owner should know.
    """

    check: str
    where: str
    problem: str
    fix: str
    fatal: bool = True


def shown(value: object) -> str:
    """`repr`, bounded: values come from files of any size."""
    return _bounded.repr(value)
