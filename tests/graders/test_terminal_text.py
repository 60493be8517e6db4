"""Text that is not fit for UTF-8 or for a terminal, and what it becomes."""

import pytest

from graders.text import for_terminal, has_controls, without_surrogates


@pytest.mark.parametrize(
    ("text", "replaced", "shown"),
    [
        ("a ½ √ 😀\n\tb", "a ½ √ 😀\n\tb", "a ½ √ 😀\n\tb"),
        ("\ud800a\udfff", "\ufffda\ufffd", "\ufffda\ufffd"),
        ("\ud7ff\ue000", "\ud7ff\ue000", "\ud7ff\ue000"),
        ("\x1b[31m\r\0", "\x1b[31m\r\0", r"\x1b[31m\x0d\x00"),
        ("\x7f\x9b", "\x7f\x9b", r"\x7f\x9b"),
        ("", "", ""),
    ],
)
def test_text(text: str, replaced: str, shown: str) -> None:
    assert without_surrogates(text) == replaced
    assert for_terminal(text) == shown
    assert has_controls(text) == (replaced != shown)
