"""The embedded default: arithmetic word problems with worked solutions that end in a box, from a seeded generator.

Eight kinds at three difficulties. The numbers are drawn, the sentences are templates, and every solution computes its
answer in the order in which a small model can: one operation a sentence. The same (counts, seed) gives the same bytes.

    python -m data synthetic models/demo-data --train 2000 --test 100 --seed 0
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

NAMES = (
    "Ada",
    "Ben",
    "Chloe",
    "Dev",
    "Elif",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Liam",
    "Mona",
    "Noor",
)
THINGS = ("pencils", "apples", "stickers", "marbles", "books", "cards", "shells", "buttons", "coins", "tickets")
# Difficulty scales the operands: level 1 stays in the tables up to ten, level 3 needs carrying across three digits.
LARGEST = {1: 9, 2: 20, 3: 60}

BENCHMARK = "synthetic-test"


@dataclass(frozen=True)
class WordProblem:
    """A problem, its worked solution (ending in one box), the boxed answer, and what kind and level it is."""

    problem: str
    solution: str
    answer: str
    kind: str
    level: int

    @property
    def id(self) -> str:
        """Content identity: the first 12 hex digits of the sha256 of the problem's text."""
        return "syn-" + hashlib.sha256(self.problem.encode()).hexdigest()[:12]


def _number(rng: random.Random, level: int, least: int = 2) -> int:
    return rng.randint(least, LARGEST[level])


def _spend(rng: random.Random, level: int) -> tuple[str, str, str]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    count, price = _number(rng, level), _number(rng, min(level, 2))
    return (
        f"{name} buys {count} {thing} at {price} dollars each. How many dollars does {name} pay?",
        f"Each costs {price} dollars and there are {count}, so {name} pays {count} * {price} = {count * price} dollars.",
        str(count * price),
    )


def _change(rng: random.Random, level: int) -> tuple[str, str, str]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    count, price = _number(rng, level), _number(rng, 1)
    cost = count * price
    bill = cost + _number(rng, level, least=1)
    return (
        f"{name} has {bill} dollars and buys {count} {thing} at {price} dollars each. How many dollars are left?",
        f"The {thing} cost {count} * {price} = {cost} dollars. So {bill} - {cost} = {bill - cost} dollars are left.",
        str(bill - cost),
    )


def _collect(rng: random.Random, level: int) -> tuple[str, str, str]:
    name, friend = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    first, second = _number(rng, level), _number(rng, level)
    total = first + second
    given = rng.randint(1, min(total - 1, LARGEST[1]))
    return (
        f"{name} has {first} {thing}, finds {second} more and gives {given} to {friend}. "
        f"How many {thing} does {name} have now?",
        f"After finding more, {name} has {first} + {second} = {total} {thing}. "
        f"After giving some away, {name} has {total} - {given} = {total - given} {thing}.",
        str(total - given),
    )


def _share(rng: random.Random, level: int) -> tuple[str, str, str]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    friends, each = _number(rng, min(level, 2)), _number(rng, level)
    total = friends * each
    return (
        f"{name} shares {total} {thing} equally among {friends} friends. How many {thing} does each friend get?",
        f"Each friend gets {total} / {friends} = {each} {thing}.",
        str(each),
    )


def _travel(rng: random.Random, level: int) -> tuple[str, str, str]:
    name = rng.choice(NAMES)
    speed, hours, extra = 10 * _number(rng, 1), _number(rng, 1), _number(rng, level)
    ridden = speed * hours
    return (
        f"{name} drives {hours} hours at {speed} km per hour and then walks {extra} km. How many km is that in all?",
        f"Driving covers {hours} * {speed} = {ridden} km. Together that is {ridden} + {extra} = {ridden + extra} km.",
        str(ridden + extra),
    )


def _discount(rng: random.Random, level: int) -> tuple[str, str, str]:
    thing = rng.choice(("coat", "lamp", "bike", "chair", "radio"))
    percent, price = rng.choice((10, 20, 25, 50)), 20 * _number(rng, level)
    saved = price * percent // 100
    return (
        f"A {thing} costs {price} dollars and is sold at {percent}% off. What is the new price in dollars?",
        f"The discount is {price} * {percent} / 100 = {saved} dollars. So the price is {price} - {saved} = {price - saved} dollars.",
        str(price - saved),
    )


def _fraction(rng: random.Random, level: int) -> tuple[str, str, str]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    whole = _number(rng, level, least=3)
    part = rng.randint(1, whole - 1)
    reduced = Fraction(part, whole)
    shortened = f" = {reduced.numerator}/{reduced.denominator}" if reduced.denominator < whole else ""
    answer = f"\\frac{{{reduced.numerator}}}{{{reduced.denominator}}}"
    return (
        f"{name} has {whole} {thing} and {part} of them are red. What fraction of the {thing} is red?",
        f"The fraction is {part} out of {whole}, so it is {part}/{whole}{shortened}.",
        answer,
    )


def _age(rng: random.Random, level: int) -> tuple[str, str, str]:
    younger, older = rng.sample(NAMES, 2)
    age, times, years = _number(rng, level), rng.randint(2, 4), _number(rng, level)
    now = age * times
    return (
        f"{younger} is {age} years old and {older} is {times} times as old. How old is {older} in {years} years?",
        f"Now {older} is {times} * {age} = {now} years old. In {years} years it is {now} + {years} = {now + years}.",
        str(now + years),
    )


KINDS: dict[str, Callable[[random.Random, int], tuple[str, str, str]]] = {
    "spend": _spend,
    "change": _change,
    "collect": _collect,
    "share": _share,
    "travel": _travel,
    "discount": _discount,
    "fraction": _fraction,
    "age": _age,
}


def generate(seed: int, levels: tuple[int, ...] = (1, 2, 3)) -> Iterator[WordProblem]:
    """Endless distinct problems, kinds and levels in turn at random; no text comes twice."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        kind, level = rng.choice(tuple(KINDS)), rng.choice(levels)
        problem, working, answer = KINDS[kind](rng, level)
        if problem in seen:
            continue
        seen.add(problem)
        yield WordProblem(problem, f"{working} The answer is $\\boxed{{{answer}}}$.", answer, kind, level)


def write_dataset(
    folder: Path, train: int, test: int, validation: int = 20, seed: int = 0, levels: tuple[int, ...] = (1, 2, 3)
) -> dict[str, int]:
    """Writes train.jsonl, validation.jsonl (rows with `messages`) and synthetic-test.jsonl (a benchmark); returns their counts.

    The three come from one stream of distinct problems, so no problem is in two of them. Each file appears whole or
    not at all.
    """
    stream = generate(seed, levels)
    counts = {BENCHMARK: test, "validation": validation, "train": train}
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        line = _benchmark_line if split == BENCHMARK else _training_line
        text = "".join(line(next(stream)) for _ in range(count))
        partial = folder / f".{split}.jsonl.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / f"{split}.jsonl")
    return counts


def _training_line(item: WordProblem) -> str:
    messages = [{"role": "user", "content": item.problem}, {"role": "assistant", "content": item.solution}]
    return json.dumps({"id": item.id, "source": f"synthetic/{item.kind}", "messages": messages}) + "\n"


def _benchmark_line(item: WordProblem) -> str:
    row = {"id": item.id, "problem": item.problem, "answer": item.answer, "solution": item.solution}
    return json.dumps(row | {"subject": item.kind, "level": f"Level {item.level}", "source": "synthetic"}) + "\n"
