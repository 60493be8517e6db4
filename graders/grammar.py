r"""One grammar for LaTeX and for plain text (`\frac{3}{4}\pi R^2`, `3*pi*R**2/4`).

The parser only builds a tree. It evaluates nothing, calls nothing by name, and refuses by size before it starts, so
model text can be given to it in any process. Its input has gone through `normalize`.
"""

import re
from fractions import Fraction

from graders.exact import exact_value
from graders.expression import Node, TooLarge, Unreadable, function, number

MAX_CHARS = 8_000  # of one formula; the longest gold answer of the public math benchmarks has fewer than 1,000
MAX_TOKENS = 800  # of one formula, each of which is visited some twenty times; longer ones are not read
MAX_NESTING = 60  # open brackets; Python's recursion limit is 1,000 frames and one level of nesting costs about 8
MAX_LITERAL_DIGITS = 2_000  # of one number inside a formula; longer plain numbers are compared as strings


def _table(names: str) -> frozenset[str]:
    return frozenset(names.split())


FUNCTIONS = _table(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh exp ln log sqrt root abs floor ceil binom min max gcd"
    " lcm"
)
_FUNCTION_SPELLINGS = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10", "cbrt": "cbrt", "tg": "tan", "ctg": "cot",
    "arctg": "arctan", "cosec": "csc",
}  # fmt: skip
_GREEK = _table(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon"
    " phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar reals integers naturals"
    " rationals complexes"
)
_OF_SEVERAL = _table("min max gcd lcm")
# Greek letters that are read without a backslash; shorter names (`mu`, `xi`, `ell`) occur inside words.
_GREEK_WORDS = _table("alpha beta gamma delta theta lambda sigma omega phi rho tau")
_WORDS = sorted(FUNCTIONS | _FUNCTION_SPELLINGS.keys() | _GREEK_WORDS | {"pi"}, key=lambda word: (-len(word), word))
_WORD = re.compile("|".join(_WORDS) + "|[A-Za-z]")
# A run of this many letters that are no known name is prose, not a product of variables.
_PROSE_LETTERS = 4
_PROSE_RUNS = 3  # and so are more than this many runs of three letters ("the sum and the")

_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d+(?:\.\d+)?|\.\d+)|(?P<cmd>\\(?:[A-Za-z]+|[{}|]))"
    r"|(?P<word>[A-Za-z]+'*)|(?P<op>\*\*|[-+*/^_()\[\]{}|!=,]))"
)
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "|": "|"}
_STOPS_PRODUCT = frozenset(
    ["+", "-", ")", "]", "}", "\\}", ",", "=", "^", "_", "!", "*", "/", "\\rfloor", "\\rceil", ""]
)


def parse(text: str) -> Node:
    """The tree of a formula. Raises Unreadable with the reason, TooLarge when over a size limit."""
    if len(text) > MAX_CHARS:
        raise TooLarge(f"formula of {len(text)} characters, the limit is {MAX_CHARS}")
    parser = _Parser(_tokens(text))
    node = parser.sum()
    if parser.peek():
        raise Unreadable(f"cannot read on at {parser.peek()!r}")
    return node


def _tokens(text: str) -> list[str]:
    """The text cut into tokens; a run of letters is cut into known names and single letters."""
    tokens: list[str] = []
    pos, nesting, long_runs = 0, 0, 0
    text = text.rstrip()
    while pos < len(text):
        if len(tokens) > MAX_TOKENS:
            raise Unreadable(f"formula of more than {MAX_TOKENS} tokens")
        found = _TOKEN.match(text, pos)
        if found is None:
            raise Unreadable(f"unknown sign {text[pos : pos + 10]!r}")
        pos = found.end()
        token = found.group(found.lastgroup or 0)
        if found.lastgroup == "word":
            letters = _letters(token)
            long_runs += len(letters) > 2 and all(len(letter) == 1 for letter in letters)
            if long_runs > _PROSE_RUNS:
                raise Unreadable("reads as prose")
            tokens.extend(letters)
            continue
        if found.lastgroup == "num" and len(token) > MAX_LITERAL_DIGITS:
            raise TooLarge(f"number of {len(token)} digits inside a formula, the limit is {MAX_LITERAL_DIGITS}")
        nesting += (token in "([{") - (token in ")]}")
        if nesting > MAX_NESTING:
            raise TooLarge(f"brackets nested deeper than {MAX_NESTING}")
        tokens.append("^" if token == "**" else token)
    return tokens


def _letters(run: str) -> list[str]:
    """Known names and single letters of a run such as `xsin` or `pi`; primes stay with the last letter."""
    word = run.rstrip("'")
    pieces = _WORD.findall(word)
    unknown = 0
    for piece in pieces:
        unknown = unknown + 1 if len(piece) == 1 else 0
        if unknown >= _PROSE_LETTERS:
            raise Unreadable(f"{word!r} reads as a word")
    if len(run) > len(word):
        pieces[-1] += run[len(word) :]
    return ["\\" + piece if len(piece.rstrip("'")) > 1 else piece for piece in pieces]


def power(base: Node, exponent: Node) -> Node:
    """A power; of an exponent with an odd denominator the real one: `(-8)^{1/3}` is -2, as `\\sqrt[3]{-8}` is."""
    try:
        value = exact_value(exponent)
    except TooLarge:
        value = None
    if value is None or value.denominator % 2 == 0 or value.denominator == 1:
        return Node("pow", (base, exponent))
    root = function("root", base, number(value.denominator))
    return root if value.numerator == 1 else Node("pow", (root, number(value.numerator)))


def _is_differential(node: Node) -> bool:
    """Whether a part of a fraction is `dx`: the name d, then another name."""
    return (
        node.op == "mul"
        and len(node.children) == 2
        and all(child.op == "name" for child in node.children)
        and node.children[0].name == "d"
    )


class _Parser:
    """Recursive descent over a token list; each method reads one grammar level and returns its tree."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.pos = 0
        self.bars = 0  # absolute values open, where a `|` closes and does not open
        self.depth = 0

    def peek(self, ahead: int = 0) -> str:
        index = self.pos + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.pos += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise Unreadable(f"{token!r} is missing")

    def sum(self) -> Node:
        terms = [self.product()]
        while self.peek() in ("+", "-"):
            negative = self.take() == "-"
            term = self.product()
            terms.append(Node("neg", (term,)) if negative else term)
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def enter(self) -> None:
        """Count one level of recursion. Every cycle of the grammar passes here; the caller counts down again."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise TooLarge(f"formula nested deeper than {MAX_NESTING}")

    def product(self) -> Node:
        factors = [self.signed()]
        while True:
            token = self.peek()
            if token == "*":
                self.take()
                factors.append(self.signed())
            elif token == "/":
                self.take()
                factors.append(Node("div", (number(1), self.signed())))
            elif self.starts_factor():
                if factors[-1].op == "num" and (token[0].isdigit() or token[0] == "."):
                    raise Unreadable("two numbers stand side by side")
                factors.append(self.power())
                pair = factors[-2:]
                if any(f.op == "num" and not f.value for f in pair) and any(f.op != "num" for f in pair):
                    raise Unreadable("0 beside a name: nobody multiplies so, but prose such as `for 0` reads so")
            else:
                return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))

    def starts_factor(self) -> bool:
        token = self.peek()
        return token not in _STOPS_PRODUCT and not (token == "|" and self.bars)

    def signed(self) -> Node:
        signs = 0
        while self.peek() in ("+", "-"):
            signs += self.take() == "-"
        node = self.mixed_number() or self.power()
        return Node("neg", (node,)) if signs % 2 else node

    def mixed_number(self) -> Node | None:
        r"""`1\frac{1}{2}` and `1 1/2` mean the sum, where all three parts are plain integers."""
        whole, rest = self.peek(), self.tokens[self.pos + 1 : self.pos + 8]
        if not whole.isdigit():
            return None
        if len(rest) == 7 and rest[0] == "\\frac" and (rest[1], rest[3], rest[4], rest[6]) == ("{", "}", "{", "}"):
            above, below, used = rest[2], rest[5], 8
        elif len(rest) >= 3 and rest[1] == "/":
            above, below, used = rest[0], rest[2], 4
        else:
            return None
        if not (above.isdigit() and below.isdigit()) or int(below) == 0 or self.peek(used) in ("^", "!"):
            return None
        self.pos += used
        return number(int(whole) + Fraction(int(above), int(below)))

    def power(self) -> Node:
        return self.postfix(self.atom())

    def postfix(self, node: Node) -> Node:
        for _ in range(MAX_NESTING):
            token = self.peek()
            if token == "!":
                self.take()
                double = self.peek() == "!"
                self.pos += double
                node = Node("fact2" if double else "fact", (node,))
            elif token == "^":
                self.take()
                node = power(node, self.exponent())
            elif token == "\\degree":
                self.take()
                node = Node("mul", (node, Node("name", name="pi"), number(Fraction(1, 180))))
            else:
                return node
        raise TooLarge(f"more than {MAX_NESTING} signs after one term")

    def exponent(self) -> Node:
        self.enter()
        if self.peek() in ("+", "-"):
            node = Node("neg", (self.exponent(),)) if self.take() == "-" else self.exponent()
        else:
            node = self.atom()
            while self.peek() == "!" and node.op != "fact":
                self.take()
                node = Node("fact", (node,))
            if self.peek() == "^":  # towers associate to the right
                self.take()
                node = power(node, self.exponent())
        self.depth -= 1
        return node

    def atom(self) -> Node:
        self.enter()
        node = self.bare_atom()
        self.depth -= 1
        return node

    def bare_atom(self) -> Node:
        token = self.take()
        if token and (token[0].isdigit() or token[0] == "."):
            return number(int(token) if token.isdigit() else Fraction(token))
        if token == "|":
            return self.absolute_value()
        if token in _CLOSING:
            node = self.sum()
            self.expect(_CLOSING[token])
            return node
        if token.startswith("\\"):
            return self.command(token[1:])
        if token and token[0].isalpha():
            return self.variable(token)
        raise Unreadable(f"a term is missing before {token!r}" if token else "a term is missing at the end")

    def absolute_value(self) -> Node:
        self.bars += 1
        node = self.sum()
        self.bars -= 1
        self.expect("|")
        return function("abs", node)

    def variable(self, name: str) -> Node:
        name += self.subscript()
        if self.peek() == "(" and (name.rstrip("'") in ("f", "g", "h") or self.is_applied(name)):
            return Node("call", self.arguments(), name=name)
        return Node("name", name=name)

    def is_applied(self, name: str) -> bool:
        """Whether a name stands before a lone number in brackets: `P(1)` and `T(0)` are values, products go `2x`."""
        return name not in ("e", "i") and self.peek(1)[:1].isdigit() and self.peek(2) == ")"

    def subscript(self) -> str:
        """A subscript is a part of the name: its tokens, joined."""
        if self.peek() != "_":
            return ""
        self.take()
        if self.peek() != "{":
            return "_" + self.take()
        end = self.pos
        while end < len(self.tokens) and self.tokens[end] != "}":
            end += 1
        text = "".join(self.tokens[self.pos + 1 : end])
        self.pos = end + 1
        return "_" + text

    def command(self, name: str) -> Node:
        if name == "frac":
            above, below = self.argument(), self.argument()
            if _is_differential(above) and _is_differential(below):
                return Node(
                    "name", name=f"d({above.children[1:]})/d({below.children[1:]})"
                )  # a derivative, no quotient
            return Node("div", (above, below))
        if name == "binom":
            return function("binom", self.argument(), self.argument())
        if name == "sqrt":
            return self.radical()
        if name in ("lfloor", "lceil"):
            node = self.sum()
            self.expect("\\r" + name[1:])
            return function("floor" if name == "lfloor" else "ceil", node)
        if name == "vec":  # of two points; their order matters
            self.expect("{")
            letters = self.take() + self.take()
            self.expect("}")
            return Node("name", name=f"vec {letters}")
        bare = name.rstrip("'")
        if bare == "pi":
            return Node("name", name="pi")
        if bare in _GREEK:
            return Node("name", name=name + self.subscript())
        spelled = _FUNCTION_SPELLINGS.get(name, name)
        if spelled in FUNCTIONS or spelled in ("cbrt", "log10"):
            return self.function_call(spelled)
        raise Unreadable(f"unknown command \\{name}")

    def radical(self) -> Node:
        if self.peek() == "[":
            self.take()
            index = self.sum()
            self.expect("]")
            return function("root", self.argument(), index)
        return function("sqrt", self.argument())

    def argument(self) -> Node:
        r"""One argument of `\frac` and the like: a group, or a single token."""
        if self.peek() == "{":
            return self.atom()
        if self.peek().startswith("\\") or self.peek()[:1].isalnum() or self.peek() == "(":
            return self.atom()
        raise Unreadable(f"an argument is missing before {self.peek()!r}")

    def function_call(self, name: str) -> Node:
        power = None
        base = None
        while self.peek() in ("^", "_"):
            if self.take() == "^":
                power = self.exponent()
            else:
                base = self.argument()
        arguments = self.arguments() if self.peek() in _CLOSING.keys() - {"|"} else (self.bare_argument(),)
        if name in _OF_SEVERAL and len(arguments) < 2:
            raise Unreadable(f"{name} of a single value")
        if name == "log" and base is not None:
            node = Node("div", (function("ln", *arguments), function("ln", base)))
        elif base is not None:
            raise Unreadable(f"{name} takes no subscript")
        elif power == Node("neg", (number(1),)) and name in ("sin", "cos", "tan"):
            return function("arc" + name, *arguments)
        else:
            node = function(name, *arguments)
        return node if power is None else Node("pow", (node, power))

    def arguments(self) -> tuple[Node, ...]:
        closing = _CLOSING[self.take()]
        found = [self.sum()]
        while self.peek() == ",":
            self.take()
            found.append(self.sum())
        self.expect(closing)
        return tuple(found)

    def bare_argument(self) -> Node:
        r"""`\sin 2x` reads the product up to the next sign or function: `\sin 2x \cos x` has two factors."""
        self.enter()
        if self.peek() in ("+", "-"):
            node = Node("neg", (self.bare_argument(),)) if self.take() == "-" else self.bare_argument()
        else:
            factors = [self.power()]
            while self.starts_factor() and self.peek() != "(" and self.peek()[1:] not in FUNCTIONS - {"sqrt"}:
                factors.append(self.power())
            if self.peek() == "/" and self.peek(1).isdigit():
                self.take()
                factors.append(Node("div", (number(1), self.power())))
            node = factors[0] if len(factors) == 1 else Node("mul", tuple(factors))
        self.depth -= 1
        return node
