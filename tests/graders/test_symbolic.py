"""Many digits at several points: identities hold, near misses do not, size is refused."""

import pytest

from graders.expression import TooLarge
from graders.grammar import parse
from graders.normalize import normalize
from graders.symbolic import judge


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2", True),
        (r"\ln 8", r"3\ln 2", True),
        (r"\sin^2 x+\cos^2 x", "1", True),
        (r"\ln x^2", r"2\ln x", True),
        (r"\sin(2x)", r"2\sin x\cos x", True),
        (r"\sqrt[3]{7+5\sqrt2}", r"1+\sqrt2", True),
        (r"\cos(\frac{\pi}{5})", r"\frac{1+\sqrt5}{4}", True),
        (r"e^{i\pi}", "-1", True),
        (r"\sqrt{x-20}\sqrt{x-20}", "x-20", True),
        (r"\sqrt{x^2}", "x", False),
        (r"\sin x", "x", False),
        (r"\sqrt{2^{900}+1}", "2^{450}", False),
        (r"\ln 8", r"3\ln 2+\frac{1}{10^{50}}", False),
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{10}", False),
        (r"\sqrt{-x^2-1}", "i", False),
        (r"\frac{1}{x-x}", "1", None),
        (r"\frac{1}{2004!}", r"8\pi-16", False),
        (r"\frac{\sqrt2}{2004!}", r"\frac{\sqrt3}{2004!}", False),
    ],
)
def test_equal(gold: str, answer: str, expected: bool | None) -> None:
    left, right = parse(normalize(gold)), parse(normalize(answer))
    assert judge(left, right, "equal") is expected
    assert judge(right, left, "equal") is expected


@pytest.mark.parametrize(
    ("gold", "answer", "question", "expected"),
    [
        (r"\sin(2x)", r"\sin x\cos x", "proportional", True),
        (r"\sin(2x)", r"-\sin x\cos x", "positive", False),
        (r"\sin(2x)", r"\sin x", "proportional", False),
        ("y+355025908", "y+355025907", "proportional", False),  # a ratio of 1 and a bit in the 18th digit
        ("y+355025908", "2y+710051816", "proportional", True),
    ],
)
def test_ratio(gold: str, answer: str, question: str, expected: bool) -> None:
    assert judge(parse(normalize(gold)), parse(normalize(answer)), question) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [r"\sqrt{10^{9000}}+\pi", r"e^{e^{e^{e}}}", r"(\pi^2)!^{9999}", r"2^{2^{\sqrt{400}}}"])
def test_sizes_are_refused(text: str) -> None:
    with pytest.raises(TooLarge):
        judge(parse(normalize(text)), parse(r"\pi"), "equal")
