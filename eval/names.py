"""What folders are called: the shortest end of each path that no other shares."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable

DIGEST_DIGITS = 6


def label_paths(paths: Iterable[str], whole: Collection[str] = ()) -> dict[str, str]:
    """{path: its shortest suffix of whole names that is no suffix of another}; for those in `whole` (hub ids) all of it.

    Characters that cannot be printed are left out. Paths that then read alike get digits of a digest.
    """
    parts = {path: printable_parts(path) for path in dict.fromkeys(paths)}
    times = Counter(suffix for each in parts.values() for suffix in suffixes(each))
    labels = {path: join_parts(each) if path in whole else _shortest(each, times) for path, each in parts.items()}
    taken = Counter(labels.values())
    return {path: label if taken[label] == 1 else f"{label} ({_digest(path)})" for path, label in labels.items()}


def suffixes(parts: tuple[str, ...]) -> list[str]:
    """Every end of a path, the last name first, the whole path last."""
    return [join_parts(parts[start:]) for start in range(len(parts) - 1, -1, -1)]


def join_parts(parts: tuple[str, ...]) -> str:
    """The parts as a path."""
    return "/".join(parts) or "/"


def printable_parts(path: str) -> tuple[str, ...]:
    """The names in a path, "" first where it is absolute, without what a terminal would not print."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    shown = [printable(name) for name in names]
    return ("", *shown) if path.startswith("/") else tuple(shown)


def printable(name: str) -> str:
    """One line without control characters: a folder's name may hold line breaks or terminal codes."""
    shown = "".join(character for character in name if character.isprintable())
    return shown if shown.strip(". ") else f"_{shown}"


def _shortest(parts: tuple[str, ...], times: Counter[str]) -> str:
    ends = suffixes(parts)
    return next((end for end in ends if end and times[end] == 1), ends[-1] if ends else "/")


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:DIGEST_DIGITS]
