"""Any text gets a verdict: no crash, no hang, and cost in proportion to length."""

import random
import time

import pytest

from graders import grade_answer, grade_answers

PIECES = [
    "1", "9", "x", "+", "-", "(", ")", "[", "]", "{", "}", r"\{", r"\}", r"\frac", r"\frac{1}", r"\sqrt", r"\sqrt[",
    "^",
    "^{", "_", "_{", "1,", ", ", "and ", "or ", r"\text{", r"\text{ cm}", r"\left(", r"\\", "\\", "$", "|", "=", "<",
    r"\pm", r"\cup", "U", ":", "1 1", "000,", "{,}", r"\,", "cm ", "5 cm,", "ab", r"\begin{pmatrix}", "&", r"\in", ".",
    "...", "!", "e1", "1e5", r"\$5", "%", "°", "½", "√2", "π", r"\sin", r"\sin x", "x*", "1/", r"\over", "A.", r"\log_",
    r"\binom", "f(x", r"\infty", "the ", "\n", "   ", "12_3", r"\unit{cm}", r"\overline{", "0.", "|x", "e^{i",
    r"^\circ",
    r"\color{", "per ", "m/s/", "x=1,", "x>1 or ", "(1,2),", r"\{1,2\},",
]  # fmt: skip
CPU_SECONDS_FOR_8000_CHARACTERS = (
    3.0  # of this process, whatever else the machine does; workers have limits of their own
)


def test_random_text_gets_a_verdict() -> None:
    source = random.Random(20)
    texts = ["".join(source.choice(PIECES) for _ in range(source.randint(1, 9))) for _ in range(3_000)]
    verdicts = grade_answers([*zip(texts, reversed(texts), strict=True), *((text, text) for text in texts)])
    assert [v for v in verdicts if v.status == "error"] == []
    assert {v.status for v in verdicts[len(texts) :]} <= {"correct", "unparsed_gold"}


@pytest.mark.parametrize("piece", PIECES)
def test_long_repetition_is_bounded(piece: str) -> None:
    answer = piece * (8_000 // len(piece))
    started = time.process_time()
    assert grade_answer(answer, "7").status in ("wrong", "timeout")
    assert time.process_time() - started < CPU_SECONDS_FOR_8000_CHARACTERS


@pytest.mark.parametrize("piece", ["1+", "(", r"\frac{1}{", "1,", r"\\", " ", "x"])
def test_a_million_characters_cost_no_more_than_reading_them(piece: str) -> None:
    answer = piece * (1_000_000 // len(piece))
    started = time.process_time()
    assert not grade_answer(answer, "7").correct
    assert time.process_time() - started < 1.0
