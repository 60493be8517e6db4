"""The ladder: each pair is decided by the cheapest rule that can decide it, and the verdict names that rule.

exact -> normalized -> numeric -> structure (with exact algebra on its parts) -> symbolic. Everything but the symbolic
rung is a pure, bounded function of the two strings and runs anywhere; a Step with `equal` None asks for the symbolic
rung, which runs in a worker process (see `pool`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from graders import algebra
from graders.boxed import gold_from_solution, solution_boxes
from graders.compare import compare
from graders.exact import limited_work
from graders.expression import LOG_BASES, Node, TooLarge, Unreadable, names, with_log_base
from graders.grammar import parse
from graders.logic import Question, some
from graders.normalize import drop_units, normalize, same_format, without_units
from graders.numeric import canonical_decimal, decimal_places, parse_number, same_number
from graders.separators import number_in_brackets

# An answer longer than this is compared as a string only. The longest gold answer of the public math benchmarks has
# fewer than 1,000 characters, and the time of the rules is linear in this number.
MAX_ANSWER_CHARS = 2_000
MAX_NORMAL_CHARS = 3_000  # of a normalized text: a sign such as a root is spelled in several characters
# Questions about two formulas that one pair may ask. Real pairs ask fewer than ten; a list of lists asks thousands.
MAX_QUESTIONS = 300

Judge = Callable[[Node, Node, Question], bool | None]
# Called with each rung that was climbed and what it found, in order.
Trace = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What one climb of the ladder found. `equal` None: only the symbolic rung can tell."""

    equal: bool | None
    strict: bool
    normalized: bool
    rule: str
    refused: bool = False  # a size limit left the question open: no rung may go on


def is_usable_gold(gold: str) -> bool:
    """Whether a reference answer holds anything to compare with."""
    gold = unbox(gold)
    return len(gold) > MAX_ANSWER_CHARS or bool(normalize(gold).strip())


def unbox(gold: str) -> str:
    r"""The reference answer without the boxes that some data sets leave around it."""
    if "\\boxed" not in gold and "\\fbox" not in gold:
        return gold
    boxes = [box for box in solution_boxes(gold) if not box.is_empty]
    if len(boxes) < 2 or any(first.end > second.start for first, second in pairwise(boxes)):
        return gold_from_solution(gold) or ""
    pieces = [gold[: boxes[0].start]]
    for box, following in zip(boxes, [*boxes[1:], None], strict=True):
        pieces += [box.content, gold[box.end : following.start if following else len(gold)]]
    return "".join(pieces)  # several answers, each in its box


def climb(answer: str, gold: str, judge: Judge | None = None, trace: Trace | None = None) -> Step:
    """Compare an answer with a reference answer, rung by rung, and stop at the first rule that decides.

    `judge` answers questions about two formulas that the cheap readings leave open; without one they stay open.
    """
    note = trace or _ignore
    equal = _trimmed(answer) in (_trimmed(gold), _trimmed(unbox(gold)))
    note("exact", _word(equal))
    if equal:
        return Step(True, True, True, "exact")
    gold = unbox(gold)
    if max(len(answer), len(gold)) > MAX_ANSWER_CHARS:
        return _climb_long(answer, gold)
    left, right = normalize(gold), normalize(answer)
    equal = same_format(left, right)
    note("normalized", f"{_word(equal)}: {left} | {right}")
    if equal:
        return Step(True, False, True, "normalized")
    if parse_number(without_units(left)[0]) is not None:
        right = number_in_brackets(_trimmed(answer)) or right
    decided = same_number(left, right)
    note("numeric", "not two numbers" if decided is None else _word(decided))
    if decided is not None:
        return Step(decided, False, False, "numeric")
    if max(len(left), len(right)) > MAX_NORMAL_CHARS:
        return Step(False, False, False, f"longer than {MAX_NORMAL_CHARS} characters when normalized")
    with limited_work():
        return _climb_parts(left, right, _Formulas(judge, note), note)


def _climb_parts(left: str, right: str, formulas: "_Formulas", note: Trace) -> Step:
    """The rungs that read structure and formulas, on two normalized texts."""
    decision = compare(left, right, formulas)
    equal = decision.equal
    rule = formulas.rule if decision.rule == "structure:formula" and formulas.rule else decision.rule
    if equal is not True and formulas.refused:
        note("refused", formulas.refused)
        return Step(None, False, False, f"refused: {formulas.refused}", refused=True)
    note("structure", f"{_word(equal)}, by {rule}")
    return Step(equal, False, False, rule)


def _climb_long(answer: str, gold: str) -> Step:
    """Long answers: plain numbers of any length still compare, anything else is not read."""
    left, right = canonical_decimal(gold.strip()), canonical_decimal(answer.strip())
    if left is not None and right is not None:
        return Step(left == right, False, False, "numeric")
    return Step(False, False, False, f"longer than {MAX_ANSWER_CHARS} characters")


def _ignore(rung: str, found: str) -> None:
    """The trace of a climb that nobody watches."""


def _word(equal: bool | None) -> str:
    return "cannot tell" if equal is None else "equal" if equal else "differs"


def _trimmed(text: str) -> str:
    """Outer spaces and one pair of dollar signs do not count, even for the strict level."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "$" and not text.endswith("\\$"):
        text = text[1:-1].strip()
    return text


class _Formulas:
    """Answers the questions of `compare` about two formulas, and remembers what decided or refused."""

    def __init__(self, judge: Judge | None, note: Trace) -> None:
        self.judge = judge
        self.note = note
        self.rule = ""
        self.refused = ""
        self.asked: dict[tuple[str, str, Question], bool | None] = {}
        self.trees: dict[str, Node] = {}  # a list compares each of its formulas with each

    def __call__(self, gold: str, answer: str, question: Question) -> bool | None:
        key = gold, answer, question
        if key not in self.asked:
            if len(self.asked) >= MAX_QUESTIONS:
                self.refused = f"more than {MAX_QUESTIONS} pairs of formulas"
                return None
            self.asked[key] = self.read(gold, answer, question)
            self.note(self.rule, f"{gold} | {answer}: {_ANSWERS[question][self.asked[key]]}")
        return self.asked[key]

    def read(self, gold: str, answer: str, question: Question) -> bool | None:
        try:
            left, right = self.tree(gold), self.tree(answer)
        except (TooLarge, RecursionError) as error:  # a caller's own stack may leave less room than a formula needs
            self.refused = str(error)
            return None
        except Unreadable:
            self.rule = "unreadable"
            return None if question == "less" else False
        if question == "equal":
            left, right = drop_integration_constant(left, right)
        if "log" not in gold and "log" not in answer:
            return self.decide(left, right, gold, answer, question)
        # A logarithm without a base is natural to some books and decimal to others: either reading will do.
        readings = ((with_log_base(left, base), with_log_base(right, base)) for base in LOG_BASES)
        return some(self.decide(*reading, gold, answer, question) for reading in readings)

    def tree(self, text: str) -> Node:
        if text not in self.trees:
            self.trees[text] = parse(_readable(text))
        return self.trees[text]

    def decide(self, left: Node, right: Node, gold: str, answer: str, question: Question) -> bool | None:
        self.rule = "algebra"
        try:
            equal = _ask(left, right, gold, answer, question)
        except (TooLarge, RecursionError) as error:
            self.refused = str(error)
            return None
        if equal is None and self.judge is not None and question != "less":
            self.rule = "symbolic"
            equal = self.judge(left, right, question)
        return equal


_NO, _OPEN = "differs", "cannot tell"
_ANSWERS: dict[Question, dict[bool | None, str]] = {
    "equal": {True: "equal", False: _NO, None: _OPEN},
    "proportional": {True: "multiples", False: "no multiples", None: _OPEN},
    "positive": {True: "positive multiples", False: "no positive multiples", None: _OPEN},
    "rounds": {True: "rounds to it", False: "does not round to it", None: _OPEN},
    "near": {True: "approximated by it", False: "not approximated by it", None: _OPEN},
    "less": {True: "less", False: "greater", None: "not ordered"},
}


def _ask(gold: Node, answer: Node, gold_text: str, answer_text: str, question: Question) -> bool | None:
    if question == "equal":
        return algebra.equal(gold, answer)
    if question == "rounds":
        return algebra.rounds_to(answer, Fraction(gold_text), decimal_places(gold_text))
    if question == "near":
        is_decimal = canonical_decimal(answer_text) is not None
        return is_decimal and algebra.is_near(gold, answer, decimal_places(answer_text))
    if question == "less":
        return algebra.is_less(gold, answer)
    return algebra.proportional(gold, answer, positive=question == "positive")


def _readable(text: str) -> str:
    r"""A normalized text as the grammar wants it: degrees and percents as factors, other units gone."""
    return drop_units(text.replace("\\unit{degree}", "\\degree ").replace("\\unit{percent}", "*\\frac{1}{100}"))


def drop_integration_constant(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Both formulas without a `+C` of integration, which is optional on both sides."""
    left, right = _split_constant(gold), _split_constant(answer)
    if left and not right:
        right = _split_constant(answer, _OTHER_CONSTANTS)
    elif right and not left:
        left = _split_constant(gold, _OTHER_CONSTANTS)
    return (left or gold, right or answer) if left or right else (gold, answer)


# What else a constant of integration may be called, beside an answer that calls it C.
_OTHER_CONSTANTS = ("c", "K", "k", "C_1")
_INTEGRATED = frozenset(["x", "t", "u", "y", "z", "s", "r", "theta"])


def _split_constant(node: Node, called: tuple[str, ...] = ("C",)) -> Node | None:
    """The formula without its `+C`, if it has one and is an antiderivative without it.

    It varies with a lower-case name and holds no other capital, which would be a parameter: C is one too, then.
    """
    rest = tuple(child for child in node.children if not (child.op == "name" and child.name in called))
    if node.op != "add" or len(rest) != len(node.children) - 1:
        return None
    inside = names(Node("add", rest)) - {"pi", "e", "i"}
    if called != ("C",) and not inside & _INTEGRATED:
        return None
    if not any(name[:1].islower() for name in inside) or any(name[:1].isupper() for name in inside):
        return None
    return rest[0] if len(rest) == 1 else Node("add", rest)
