r"""The cost of every string rule and of every rung grows in proportion to the length of the text.

A shape is one piece repeated, alone or between other signs. Most slow patterns show on such a text:
where a pattern may begin anywhere and fail late, its cost is the square of the length.
Bounds are CPU time of this process on the machine that a fixed loop describes; a slower one gets more in proportion.
Each has room for a disturbed run, and none for a square.
"""

import importlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache as cache_result
from functools import partial

import pytest

from graders import cache, extract_boxed, grade, grade_answer
from graders.expression import Unreadable
from graders.ladder import MAX_ANSWER_CHARS, climb
from graders.normalize import RULES

SECONDS_PER_CHAR, SECONDS_BEFORE = 2e-6, 1e-3  # of one rule or one function
SHORT_CHARS = 8_000  # where a square shows, whatever the ladder reads: at 2,000 it hides in the bound
READER_SECONDS_PER_CHAR = 8e-6  # of what builds a tree or parts
PASS_SECONDS_PER_CHAR = 16e-6  # of all rules together, which may make a sign a dozen characters
PAIR_SECONDS = {MAX_ANSWER_CHARS: 0.05, 8_000: 0.05, 1_000_000: 1.0}  # of a whole pair, by its characters
GROWTH, GROWTH_FLOOR = 1.5, 0.05  # times the ratio of two lengths, and seconds added to it
LOOP, LOOP_SECONDS = 100_000, 0.006  # of the machine that the bounds above were set on
TRIES = 5  # the fastest counts: another process may disturb one run
SHOWN = 12  # shapes over a bound before the search ends
GUARD = 3  # a run is ended at this many times its bound

PIECES = (
    "9", "0", "x", "ab ", "1 ", "cm ", "the ", "A.", "(A)", "and ", "or ", "x'", "'", "xsin", "U ",
    ".", "...", "1.", "0.", ",", "1,", "1,000", "000,", ",000", "{,}", ", ", ";", ":", "1:", "!",
    "{", "}", "{}", "{{", "{x}", "(", ")", "()", "(1,", "[", "]", "[1,2]", "|", "|x", "\\{", "\\}",
    "+", "-", "+-", "*", "**", "/", "1/", "=", "x=", "x=1,", "<", "x<", ">=", "!=", "^", "^{", "_",
    "_{", "x^", "x_1", "10^", "e1", "1e", "1e5", "1e5 ", "%", "\\%", " %", "$", "\\$", "\\$5", "\\",
    "\\\\", "\\\\x", "\\ ", "\\,", "\\!", "\\;", "\\quad ", "~", " ", "\n", "\t1", "&", "&nbsp;",
    "\\text{", "\\text{}", "\\text{ }", "\\mathrm{ }", "\\text{a}", "\\text{ cm}", "\\text ", "\\textbf{\\text{a}}", "\\mbox{a}^",
    "\\unit{", "\\unit{m}", "\\unit{degree}", "\\unit{dollar}", "\\color{", "\\color ", "\\hspace{",
    "\\left", "\\left(", "\\left.", "\\right)", "\\big", "\\(", "\\)", "\\[", "\\]", "\\[1pt\\]",
    "\\frac", "\\frac{", "\\frac1", "\\frac{1}", "\\frac12", "\\frac{x}{", "\\binom", "\\sqrt",
    "\\sqrt[", "\\sqrt[3]", "\\sqrt{", "\\sqrt2", "\\over", "{\\over", "{1\\over", "\\choose",
    "\\begin{", "\\begin{pmatrix}", "\\end{pmatrix}", "\\boxed{", "\\boxed", "\\boxed{1}", "\\fbox",
    "\\pm", "\\pm ", "\\mp1", "\\circ", "^\\circ", "^{\\circ}", "^ ", "\\infty", "\\infty ", "\\in ",
    "x\\in ", "\\cup ", "(1,2)\\cup ", "\\overline{", "\\overline{3}", "\\ldots", "\\cdot", "\\le ",
    "\\sin", "\\sin ", "\\log_", "\\pi", "\\operatorname{", "matrix}", "inf", "oo", "infinity ",
    "\\angle A,", "\\angleA,", "sin", "x,", "square ", " squared", "cubic ", "per ", "m/s ", "/ ", "5 cm,", "5 cm^2", "1 1/2", "12_3",
    "\u0301", "e\u0301", "\u00e9", "\u2212", "\u221a", "\u221a2", "\u221a ", "\u00bd", "\uff05",
    "\uff11", "\uff41", "\u3001", "\u00b0", "\u03c0", "\u200b", "\u7c73", "\u00a5", "\u00a55",
)  # fmt: skip

FORMS = ("{}", "{}x", "1{}", "({})", "x{}y")
# Openings that some pattern follows to the end, closings that one tries from everywhere, and dress.
MORE_FORMS = (
    "{{{}", "\\sqrt{}", "\\sqrt[{}", "\\frac{}", "\\frac{{{}", "\\frac{{1}}{}", "\\text{}",
    "\\text{{{}", "\\unit{}", "\\left{}", "^{}", "_{}", "x{}", "A.{}", "(A){}", "x={}", "-{}",
    "\\begin{{pmatrix}}{}", "\\begin{{pmatrix}}{}\\end{{pmatrix}}", "\\text{{{}}}", "\\sqrt{{{}}}",
    "{{{}}}", "\\{{{}\\}}", "\\{{x|{}\\}}", "[{}]", "{}\\over2", "{{{}\\over2}}", "{},", "{}%",
    "{}}}", "{}x}}", "{}\\unit{{m}}", "{}-\\unit{{degree}}", "0.{}\\ldots", "({})!=x", "({})!\\in x",
)  # fmt: skip


# Pieces that patterns run along, for the forms above; and arithmetic that costs more than its text.
RUNS = (
    "9", "0", "x", " ", ",", "1,", ".", "-", "+", "{", "}", "(", "[", "|", "'", ":", "=", "<", "^",
    "\\", "\\over", "\\choose", "sin", "U ", "ab ", "\\unit{m}", "\\text{ }", "\\angleA,", "\\boxed{",
)  # fmt: skip
ARITHMETIC = (
    "5000!+", "|5000!|+", "\\sin(5000!)+", "\\ln(5000!)+", "\\binom{5000}{2500}+", "x^{5000!}+",
    "x^{3^{30000}}+", "3^{30000}+", "1.5^{30000}+", "\\frac{3^{18000}}{7^{9000}}+", "\\max(5000!,2)+",
    "\\sqrt{7^{21000}}+", "\\sqrt{2*3^{30000}}+", "\\sqrt[3]{3^{36000}}+", "\\sqrt[63]{5000!}+",
    "\\gcd(3^{30000},7^{20000})+", "(x+1)^{5000}+", f"{'9' * 1900}+", f"\\frac{{1}}{{{'9' * 1900}}}+",
)  # fmt: skip


def shapes(size: int, forms: Sequence[str] = FORMS, pieces: Sequence[str] = PIECES) -> Iterator[tuple[str, str]]:
    """Name and text of every shape, at about so many characters."""
    for piece in pieces:
        for form in forms:
            room = size - len(form.format(""))  # the ladder reads no text that is longer
            yield f"{form} of {piece!r}", form.format(piece * (room // len(piece)))


# Parts that are all different, which no repetition gives: the ladder compares each with each.
VARIED: dict[str, Callable[[int], str]] = {
    "list": lambda k: f"{k},",
    "list of fractions": lambda k: f"\\frac{{{k}}}{{7}},",
    "list of formulas": lambda k: f"x^{k}+\\sqrt{{{k}}},",
    "list of words": lambda k: f"word{k},",
    "assignments": lambda k: f"x_{k}={k},",
    "union": lambda k: f"({k},{k + 1})\\cup",
    "inequalities": lambda k: f"x<{k} or ",
    "chain": lambda k: f"x_{k}<",
    "ratio": lambda k: f"{k}:",
    "sum": lambda k: f"x^{k}+",
    "sum of fractions": lambda k: f"1/{k + 1}+",
    "sum of names": lambda k: f"x_{k}+",
    "sum of roots": lambda k: f"\\sqrt{{{k}}}+",
    "sum of sines": lambda k: f"\\sin({k}x)+",
    "sum of factorials": lambda k: f"{k % 4000}!+",
    "sum of powers": lambda k: f"{k + 2}^{{{k}}}+",
    "product": lambda k: f"(x+{k})",
    "product of factorials": lambda k: f"{3000 + k}!/",
    "binomials": lambda k: f"\\binom{{4000}}{{{k}}}+",
    "roots of powers": lambda k: f"\\sqrt[{2 + k % 60}]{{{k + 2}^{{900}}}}+",
    "logarithms": lambda k: f"\\log({k}x)+",
    "powers of names": lambda k: f"(x+{k})^{{{k}}}+",
}


def varied(name: str, size: int, start: int = 1) -> str:
    """A text of different parts, closed where a part is open."""
    text, k = "", start
    while len(text) < size - 30:
        text += VARIED[name](k)
        k += 1
    return text + VARIED[name](k).rstrip(" ,:<+/").removesuffix("\\cup").removesuffix(" or")


def varied_pairs(name: str, size: int) -> list[tuple[str, str]]:
    """Answers and golds: against a number, against itself with one more part, and against others."""
    text, other = varied(name, size), varied(name, size, 2000)
    longer = VARIED[name](12345) + text
    return [(text, "7"), ("7", text), (text, longer[:MAX_ANSWER_CHARS]), (text, other)]


def changed(text: str) -> str:
    """The text with another last character."""
    return text[:-1] + ("8" if text[-1] == "7" else "7")


# What takes one text, what takes two, and what looks for boxes.
ONE = (
    "normalize.normalize", "ladder.is_usable_gold", "numeric.canonical_decimal",
    "numeric.parse_number", "numeric.decimal_places", "units.canonical_unit", "structure.read",
    "structure.is_name", "grammar.parse", "boxed.extract_boxed", "boxed.gold_from_solution",
)  # fmt: skip
TWO = (
    "numeric.same_number", "words.same_choice", "words.same_words", "normalize.same_format",
    "units.units_differ", "compare.compare",
)  # fmt: skip
# These are given no more than this many characters by the ladder, and need not be quick beyond.
SEVERAL_PASSES = ("normalize.normalize", "ladder.is_usable_gold", "compare.compare")
CAPPED = ("structure.read", "compare.compare", "grammar.parse")

Run = Callable[[str], object]


def subject(name: str) -> list[Run]:
    """The ways to give one text to a function of the grader, or to a rule."""
    for rule in RULES:
        if name == f"rule {rule.name}":
            return [rule.apply]
    module, _, function = name.partition(".")
    call = getattr(importlib.import_module(f"graders.{module}"), function)
    if name in TWO:
        extra = [_nothing_open] if name == "compare.compare" else []
        return [_on_a_side(call, pair, extra) for pair in SIDES.values()]
    return [call]


def _on_a_side(call: Callable[..., object], pair: Callable[[str], tuple[str, str]], extra: Sequence[object]) -> Run:
    return lambda text: call(*pair(text), *extra)


def _nothing_open(gold: str, answer: str, question: str) -> bool:
    return False


SIDES: dict[str, Callable[[str], tuple[str, str]]] = {
    "answer": lambda text: (text, "7"),
    "gold": lambda text: ("7", text),
    "both": lambda text: (text, changed(text)),
}


class TooSlow(BaseException):
    """A run was ended at its guard."""


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raises TooSlow inside when the CPU time is used up; patterns look for signals as well."""

    def stop(signum: int, frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _loop_seconds() -> float:
    began = time.thread_time()
    total = 0
    for k in range(LOOP):
        total += k * k % 7
    return time.thread_time() - began


@cache_result
def slowness() -> float:
    """How many times longer this machine takes than the one that the bounds were set on, at least 1."""
    return max(1.0, min(_loop_seconds() for _ in range(2 * TRIES)) / LOOP_SECONDS)


def cost(run: Run, text: str, bound: float) -> float:
    """CPU seconds of one run as the bounds count them: the fastest of TRIES unless the first is within the bound."""
    best, bound = float("inf"), bound * slowness()
    for _ in range(TRIES):
        cache.forget()
        began = time.thread_time()
        with suppress(TooSlow, Unreadable), ended_after(GUARD * bound):
            run(text)
        best = min(best, time.thread_time() - began)
        if best <= bound:
            break
    return best / slowness()


def bound_of(name: str, size: int) -> float:
    """CPU seconds that a rule or function may take for so many characters."""
    per_char = READER_SECONDS_PER_CHAR if name in CAPPED else SECONDS_PER_CHAR
    per_char = PASS_SECONDS_PER_CHAR if name in SEVERAL_PASSES else per_char
    return SECONDS_BEFORE + per_char * size


def too_slow(runs: Sequence[Run], texts: Iterable[tuple[str, str]], bound: float) -> list[tuple[str, int]]:
    """Names of the first shapes over the bound, with their milliseconds."""
    found = []
    for name, text in texts:
        spent = max(cost(run, text, bound) for run in runs)
        if spent > bound:
            found.append((name, round(1000 * spent)))
        if len(found) == SHOWN:
            break
    return found


EVERY = (*(f"rule {rule.name}" for rule in RULES), *ONE, *TWO)
ALONE = [name for name in EVERY if name not in CAPPED]
NO_LIMIT = [name for name in ALONE if name != "normalize.normalize"]  # its rules are there
LONG = FORMS[1:2]


@pytest.mark.parametrize("name", ALONE)
def test_a_short_text_costs_in_proportion(name: str) -> None:
    forms = LONG if name in SEVERAL_PASSES else FORMS  # each rule is given all of them by itself
    texts = [*shapes(SHORT_CHARS, forms), *shapes(SHORT_CHARS, MORE_FORMS, RUNS)]
    assert too_slow(subject(name), texts, bound_of(name, SHORT_CHARS)) == []


@pytest.mark.parametrize("name", NO_LIMIT)
def test_a_long_text_costs_in_proportion(name: str) -> None:
    assert too_slow(subject(name), shapes(100_000, LONG), bound_of(name, 100_000)) == []


@pytest.mark.parametrize("name", NO_LIMIT)
def test_ten_times_the_text_costs_ten_times_as_much(name: str) -> None:
    size = 10_000
    pairs = zip(shapes(size, LONG, RUNS), shapes(10 * size, LONG, RUNS), strict=True)
    limit = bound_of(name, 10 * size)
    for (shape, short), (_, long) in pairs:
        for run in subject(name):
            assert not _grows(run, short, long, limit), shape


def _grows(run: Run, short: str, long: str, limit: float) -> bool:
    """Whether the cost grows faster than the length, each time that it is measured."""
    for _ in range(TRIES):
        bound = 10 * GROWTH * cost(run, short, limit / 10) + GROWTH_FLOOR
        if cost(run, long, min(bound, limit)) <= bound:
            return False
    return True


@pytest.mark.parametrize("name", CAPPED)
def test_a_reader_costs_little(name: str) -> None:
    size = MAX_ANSWER_CHARS
    assert too_slow(subject(name), shapes(size, LONG), bound_of(name, size)) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [MAX_ANSWER_CHARS, 8_000])
def test_a_pair_costs_little(side: str, size: int) -> None:
    texts = [*shapes(size, LONG), *shapes(size, ("x+{}1", "{}1"), ARITHMETIC)]
    texts += [("doubled names", "(" + "\\angleA," * 100 + "x)!\\in x")]
    run = [lambda text: climb(*SIDES[side](text))]
    assert too_slow(run, texts, PAIR_SECONDS[size]) == []


@pytest.mark.parametrize("form", ["[{}]", "{}\\in x", "{}=x", "x={}", "{}\\unit{{degree}}", "{{{}"])
def test_a_pair_in_a_form_costs_little(form: str) -> None:
    texts = shapes(MAX_ANSWER_CHARS, (form,), RUNS)
    assert too_slow([lambda text: climb(text, "7")], texts, PAIR_SECONDS[MAX_ANSWER_CHARS]) == []


@pytest.mark.parametrize("name", VARIED)
def test_parts_that_all_differ_cost_little(name: str) -> None:
    bound = PAIR_SECONDS[MAX_ANSWER_CHARS]
    pairs = varied_pairs(name, MAX_ANSWER_CHARS)
    spent = [cost(partial(climb, answer), gold, bound) for answer, gold in pairs]
    assert max(spent) <= bound, [round(1000 * seconds) for seconds in spent]


@pytest.mark.parametrize("side", SIDES)
def test_a_million_characters_cost_no_more_than_reading_them(side: str) -> None:
    texts = shapes(1_000_000, LONG, RUNS)
    run = [lambda text: climb(*SIDES[side](text)), extract_boxed]
    assert too_slow(run, texts, PAIR_SECONDS[1_000_000]) == []


def test_a_graded_pair_costs_this_process_little() -> None:
    """The symbolic rung has limits of its own, in another process."""
    texts = shapes(MAX_ANSWER_CHARS, LONG, RUNS)
    run = [lambda text: grade_answer(text, "7"), lambda text: grade(f"\\boxed{{{text}}}", "7")]
    assert too_slow(run, texts, PAIR_SECONDS[MAX_ANSWER_CHARS]) == []
