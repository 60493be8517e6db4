r"""Training rows that give away a benchmark's problems: the same text, most of it, or the same one with other numbers.

Three rules, each with what keeps it from crying wolf:

- exact: equal once case, punctuation, layout of LaTeX, and wrappers such as "Question:" or "think step by step" are gone.
  For problems that runs of tokens can't find, any wrapper: whatever adds no mathematics to them (`data.wrappers`).
- template: equal with numbers masked, where at least 13 tokens are no numbers: "Compute $\sin 30^\circ$" is no leak of
  "Compute $\sin 45^\circ$", but a word problem with other numbers teaches the test's problem.
- 13-gram: runs of 13 equal tokens cover at least COVERED of the problem's own tokens. Runs that several problems of the
  benchmarks share are boilerplate ("Enter your answer in the form ..."), and count for neither side.

Problems of fewer than 13 tokens, or without enough of their own, leak by the first rule alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from data.text import is_number, masked_tokens, normalised
from data.wrappers import Heads, add, find_wrapped
from eval import benchmarks
from eval.records import Problem

TOKENS = 13
COVERED = 0.5
# A run in so many problems, counted once a template, says nothing about any of them.
BOILERPLATE_TEMPLATES = 3
# So few tokens of its own, and a problem is not told apart from another one of its kind.
OWN_TOKENS = 6
# Beyond so many characters a row is no problem: a bound for rows of megabytes.
LONGEST_ROW = 100_000

Reason = Literal["exact", "template", "13-gram"]
REASONS: tuple[Reason, ...] = get_args(Reason)

# Figures are code: their tokens would outnumber the problem's own, and one figure's code is much like another's.
FIGURE = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL)
# What surrounds a problem in training sets, as normalised tokens.
BEFORE = re.compile(
    r"^(?:(?:question|problem|q|exercise|instruction)(?: \d+)? |(?:please )?(?:solve|answer) the following "
    r"(?:math |maths |mathematics |mathematical )?(?:problem|question)(?: step by step| carefully)? )+"
)
LONGEST_WRAPPER = 200
AFTER = re.compile(
    r"(?: (?:let s think step by step|(?:please )?(?:reason|think|solve it) step by step"
    r"(?: and put your (?:final )?answer (?:with)?in boxed)?|(?:please )?put your (?:final )?answer (?:with)?in boxed|"
    r"(?:code|step by step) solution|answer|solution))+$"
)


@dataclass(frozen=True)
class Leak:
    """A benchmark's problem that a row gives away. `share` is the part of its tokens that runs cover, 1 where all are equal."""

    benchmark: str
    id: str
    reason: Reason
    share: float
    problem: str


@dataclass(frozen=True)
class Index:
    """Benchmark problems prepared for `find`; `build` makes one. Texts that several benchmarks have are kept once.

    `owners[i]` are the problems with text i, `own[i]` has 1 for each of its tokens that is no boilerplate, and `runs`
    maps 13 tokens to (text, position of the first one). Templates leave figures out; `drawn[i]` is the whole one of a
    text that has a figure, as problems that differ in it alone are different ones. `short` has the texts without enough runs.
    """

    owners: list[list[Problem]]
    own: list[bytearray]
    drawn: dict[int, str]
    exact: dict[str, int]
    templates: dict[str, list[int]]
    runs: dict[str, tuple[tuple[int, int], ...]]
    short: Heads

    def find(self, text: str) -> Leak | None:
        """The strongest leak of a row's problem; None where there is none."""
        return next(iter(self.find_all(text)), None)

    def find_all(self, text: str) -> list[Leak]:
        """Every benchmark problem that a row's problem gives away, each once: exact, then templates, then by share."""
        text = text[:LONGEST_ROW]
        whole = unwrapped(text)
        shares: dict[int, tuple[Reason, float]] = {}
        if (same := self.exact.get(whole)) is not None:
            shares[same] = ("exact", 1.0)
        for number in find_wrapped(text, normalised(text).split(), self.short):
            shares[number] = ("exact", 1.0)
        drawn = "[asy]" in text
        spoken = (unwrapped(FIGURE.sub(" ", text)) if drawn else whole).split()
        if says_enough(spoken):
            for number in self.templates.get(masked_tokens(spoken), ()):
                if not drawn or self.drawn.get(number) in (None, masked_tokens(whole.split())):
                    shares.setdefault(number, ("template", 1.0))
        for number, share in self._covered(spoken):
            shares.setdefault(number, ("13-gram", share))
        leaks = [
            Leak(owner.benchmark, owner.id, reason, share, owner.problem)
            for number, (reason, share) in shares.items()
            for owner in self.owners[number]
        ]
        return sorted(leaks, key=lambda leak: (REASONS.index(leak.reason), -leak.share))

    def _covered(self, tokens: list[str]) -> Iterable[tuple[int, float]]:
        hits: dict[int, set[int]] = {}
        for run in runs_of(tokens):
            for number, position in self.runs.get(run, ()):
                hits.setdefault(number, set()).add(position)
        for number, positions in hits.items():
            own = self.own[number]
            covered = {place for position in positions for place in range(position, position + TOKENS) if own[place]}
            if sum(own) >= OWN_TOKENS and (share := len(covered) / sum(own)) >= COVERED:
                yield number, share


def load_problems(folder: Path | None) -> list[Problem]:
    """The problems of every benchmark in `folder`, or of those the hub has; UserError where one can't be had."""
    return [problem for name in benchmarks.names(folder) for problem in benchmarks.load(name, folder).problems]


def build(problems: Iterable[Problem]) -> Index:
    """An index over the problems of any number of benchmarks."""
    index = Index([], [], {}, {}, {}, {}, {})
    spoken: list[list[str]] = []
    for problem in problems:
        whole = unwrapped(problem.problem)
        if whole in index.exact:
            index.owners[index.exact[whole]].append(problem)
            continue
        if not whole:
            continue
        number = index.exact[whole] = len(index.owners)
        index.owners.append([problem])
        spoken.append(unwrapped(FIGURE.sub(" ", problem.problem)).split())
        if says_enough(spoken[-1]):
            index.templates.setdefault(masked_tokens(spoken[-1]), []).append(number)
        if "[asy]" in problem.problem:
            index.drawn[number] = masked_tokens(whole.split())
    _index_runs(index, spoken)
    for number, whole in enumerate(index.exact):
        if len(spoken[number]) < TOKENS or sum(index.own[number]) < OWN_TOKENS:  # runs can't find these
            add(index.short, whole.split(), number)
    return index


def unwrapped(text: str) -> str:
    """`normalised` without what training sets put before and after a problem."""
    plain = BEFORE.sub("", normalised(text))
    return plain[:-LONGEST_WRAPPER] + AFTER.sub("", plain[-LONGEST_WRAPPER:])


def runs_of(tokens: Sequence[str]) -> Iterable[str]:
    """Every 13 tokens in a row, joined by spaces."""
    return map(" ".join, zip(*(tokens[start:] for start in range(TOKENS)), strict=False))


def says_enough(tokens: Sequence[str]) -> bool:
    """Whether at least 13 tokens are no numbers, so that the rest is a problem and not a kind of exercise."""
    return sum(not is_number(token) for token in tokens) >= TOKENS


def _index_runs(index: Index, spoken: list[list[str]]) -> None:
    """Fills `runs` and `own`."""
    counts: dict[str, int] = {}
    last: dict[str, str] = {}
    for template, tokens in sorted((masked_tokens(tokens), tokens) for tokens in spoken):
        for run in runs_of(tokens):
            if last.get(run) != template:
                last[run], counts[run] = template, counts.get(run, 0) + 1
    common = {run for run, count in counts.items() if count >= BOILERPLATE_TEMPLATES}
    places: dict[str, list[tuple[int, int]]] = {}
    for number, tokens in enumerate(spoken):
        own = bytearray(b"\1" * len(tokens))
        for position, run in enumerate(runs_of(tokens)):
            if run in common:
                own[position : position + TOKENS] = bytes(TOKENS)
            else:
                places.setdefault(run, []).append((number, position))
        index.own.append(own)
    index.runs.update((run, tuple(found)) for run, found in places.items())
