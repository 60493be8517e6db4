"""Text that a stranger's file or a model may hold, made fit for files in UTF-8 and for terminals."""

import re

REPLACEMENT = "\ufffd"  # what stands for something that is not a character
_SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters but line feed and tab, among them those that begin a terminal's commands.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which no file in UTF-8 can hold."""
    return text if text.isascii() else _SURROGATE.sub(REPLACEMENT, text)


def for_terminal(text: str) -> str:
    r"""The text with control characters spelt out (`\x1b`), so that it cannot command a terminal."""
    spelt = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
    return without_surrogates(spelt)


def has_controls(text: str) -> bool:
    """Whether `for_terminal` would spell out a character of the text."""
    return _CONTROL.search(text) is not None
