"""The ladder: each pair is decided by the cheapest rule that can decide it, and the verdict names that rule.

exact -> normalized -> numeric -> structure (with exact algebra on its parts) -> symbolic. Everything but the symbolic
rung is a pure, bounded function of the two strings and runs anywhere; a Step with `equal` None asks for the symbolic
rung, which runs in a worker process (see `pool`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from graders import algebra
from graders.compare import Question, compare, some
from graders.expression import LOG_BASES, Node, TooLarge, Unreadable, names, with_log_base
from graders.grammar import parse
from graders.normalize import drop_units, normalize, same_format
from graders.numeric import canonical_decimal, decimal_places, same_number

# An answer longer than this is compared as a string only. The longest gold answer of the public math benchmarks has
# fewer than 1,000 characters, and the time of the rules is linear in this number.
MAX_ANSWER_CHARS = 8_000

Judge = Callable[[Node, Node, Question], bool | None]


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
    return len(gold) > MAX_ANSWER_CHARS or bool(normalize(gold).strip())


def climb(answer: str, gold: str, judge: Judge | None = None) -> Step:
    """Compare an answer with a reference answer, rung by rung, and stop at the first rule that decides.

    `judge` answers questions about two formulas that the cheap readings leave open; without one they stay open.
    """
    if _trimmed(answer) == _trimmed(gold):
        return Step(True, True, True, "exact")
    if max(len(answer), len(gold)) > MAX_ANSWER_CHARS:
        return _climb_long(answer, gold)
    left, right = normalize(gold), normalize(answer)
    if same_format(left, right):
        return Step(True, False, True, "normalized")
    decided = same_number(left, right)
    if decided is not None:
        return Step(decided, False, False, "numeric")
    formulas = _Formulas(judge)
    decision = compare(left, right, formulas)
    rule = formulas.rule if decision.rule == "structure:formula" and formulas.rule else decision.rule
    if decision.equal is None and formulas.refused:
        return Step(None, False, False, f"refused: {formulas.refused}", refused=True)
    return Step(decision.equal, False, False, rule)


def _climb_long(answer: str, gold: str) -> Step:
    """Long answers: plain numbers of any length still compare, anything else is not read."""
    left, right = canonical_decimal(gold.strip()), canonical_decimal(answer.strip())
    if left is not None and right is not None:
        return Step(left == right, False, False, "numeric")
    return Step(False, False, False, f"longer than {MAX_ANSWER_CHARS} characters")


def _trimmed(text: str) -> str:
    """Outer spaces and one pair of dollar signs do not count, even for the strict level."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "$" and not text.endswith("\\$"):
        text = text[1:-1].strip()
    return text


class _Formulas:
    """Answers the questions of `compare` about two formulas, and remembers what decided or refused."""

    def __init__(self, judge: Judge | None) -> None:
        self.judge = judge
        self.rule = ""
        self.refused = ""

    def __call__(self, gold: str, answer: str, question: Question) -> bool | None:
        try:
            left, right = parse(_readable(gold)), parse(_readable(answer))
        except (TooLarge, RecursionError) as error:  # a caller's own stack may leave less room than a formula needs
            self.refused = str(error)
            return None
        except Unreadable:
            self.rule = "unreadable"
            return False
        left, right = without_constant(left, right)
        if "log" not in gold and "log" not in answer:
            return self.decide(left, right, gold, question)
        # A logarithm without a base is natural to some books and decimal to others: either reading will do.
        readings = ((with_log_base(left, base), with_log_base(right, base)) for base in LOG_BASES)
        return some(self.decide(*reading, gold, question) for reading in readings)

    def decide(self, left: Node, right: Node, gold: str, question: Question) -> bool | None:
        self.rule = "algebra"
        try:
            equal = _ask(left, right, gold, question)
        except (TooLarge, RecursionError) as error:
            self.refused = str(error)
            return None
        if equal is None and self.judge is not None:
            self.rule = "symbolic"
            equal = self.judge(left, right, question)
        return equal


def _ask(gold: Node, answer: Node, gold_text: str, question: Question) -> bool | None:
    if question == "equal":
        return algebra.equal(gold, answer)
    if question == "rounds":
        return algebra.rounds_to(answer, Fraction(gold_text), decimal_places(gold_text))
    return algebra.proportional(gold, answer, positive=question == "positive")


def _readable(text: str) -> str:
    r"""A normalized text as the grammar wants it: degrees as a factor, other units gone."""
    return drop_units(text.replace("\\unit{degree}", "\\degree "))


def without_constant(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Both formulas without a `+C` of integration, which is optional on both sides."""
    left, right = _split_constant(gold), _split_constant(answer)
    return (left or gold, right or answer) if left or right else (gold, answer)


def _split_constant(node: Node) -> Node | None:
    """The formula without its `+C`, if it has one and varies without it."""
    constant = Node("name", name="C")
    if node.op != "add" or constant not in node.children:
        return None
    rest = tuple(child for child in node.children if child != constant)
    varies = names(Node("add", rest)) - {"pi", "e", "i", "C"}
    return (rest[0] if len(rest) == 1 else Node("add", rest)) if rest and varies else None
