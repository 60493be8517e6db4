r"""Few-shot examples: solved problems that stand before the asked one, so that a base model sees what form is wanted.

They come from a file of JSON lines, or from the benchmark's own training split. Which ones are drawn depends on their
content and a seed alone, not on their order, so the same file gives the same prompt on every machine.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.console import printable
from eval.golds import without_thousands
from eval.records import Benchmark, UserError, first_line
from graders import find_box

MARK = "####"  # GSM8K's solutions end in "#### 72"
NOTE = re.compile(r"<<[^<>\n]{0,200}>>")  # GSM8K's calculator notes
ENDING = "The answer is $\\boxed{{{answer}}}$."
KEPT = 10_000  # examples in memory while a long file is read


@dataclass(frozen=True)
class TrainSplit:
    """Where a benchmark's training split is: NAME.jsonl(.gz) beside the benchmark, or a split on the hub."""

    file: str
    hub_id: str
    config: str | None


TRAIN = {
    "gsm8k-test": TrainSplit("gsm8k-train", "openai/gsm8k", "main"),
    "math500": TrainSplit("math-train", "DigitalLearningGmbH/MATH-lighteval", None),
    "math-test": TrainSplit("math-train", "DigitalLearningGmbH/MATH-lighteval", None),
}


@dataclass(frozen=True)
class Shots:
    """The (problem, solution) pairs that stand before each problem, in order, and where they come from.

    `in_benchmark` examples of the source were passed over because the benchmark asks the same problem, `unboxed` ones
    because their solution does not end in a closed box. `sha256` is that of the pairs.
    """

    source: str
    seed: int
    examples: tuple[tuple[str, str], ...]
    in_benchmark: int
    unboxed: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.examples).encode()).hexdigest()

    def described(self) -> dict[str, Any]:
        """What a manifest keeps: enough to ask the same prompt again without the file."""
        return {
            "count": len(self.examples),
            "source": self.source,
            "sha256": self.sha256,
            "seed": self.seed,
            "in_benchmark": self.in_benchmark,
            "unboxed": self.unboxed,
            "examples": [list(pair) for pair in self.examples],
        }


def draw_shots(
    benchmark: Benchmark, count: int, file: Path | None, benchmarks_dir: Path | None = None, seed: int = 0
) -> Shots:
    """`count` examples from `file`, else from the benchmark's training split; none that the benchmark itself asks.

    Raises UserError for a file that cannot be read, a line that is no example, and where there are too few.
    """
    source, rows = _rows_of(benchmark.name, file, benchmarks_dir)
    asked = {same_problem(problem.problem) for problem in benchmark.problems}
    drawn: dict[str, tuple[str, str]] = {}
    in_benchmark = unboxed = 0
    for problem, solution in rows:
        key = same_problem(problem)
        if key in asked:
            in_benchmark += 1
        elif find_box(solution) is None:
            unboxed += 1
        else:
            rank = hashlib.sha256(json.dumps([seed, key]).encode()).hexdigest()
            drawn[rank] = min(drawn.get(rank, (problem, solution)), (problem, solution))
        if len(drawn) > KEPT + count:
            drawn = dict(sorted(drawn.items())[:count])
    examples = tuple(drawn[rank] for rank in sorted(drawn)[:count])
    if len(examples) < count:
        raise UserError(_too_few(source, count, len(examples), in_benchmark, unboxed, benchmark.name))
    return Shots(source, seed, examples, in_benchmark, unboxed)


def same_problem(text: str) -> str:
    """What two typings of one problem share: the text without case, spaces, dollar signs and forms of letters."""
    return re.sub(r"[\s$]+", "", unicodedata.normalize("NFKC", text)).casefold()


def words(shots: Mapping[str, Any]) -> str:
    """ "4-shot from train.jsonl (sha256 0123456789ab)", for people."""
    return f"{shots['count']}-shot from {shots['source']} (sha256 {str(shots['sha256'])[:12]})"


def note(shots: Shots, benchmark: str) -> str:
    """One line that says what stands before each problem, and what was passed over."""
    told = f"{benchmark}: {words(shots.described())}"
    if shots.in_benchmark:
        told += f"; passed over {shots.in_benchmark:,} of its examples, which {benchmark} asks itself"
    if shots.unboxed:
        told += f"; passed over {shots.unboxed:,} whose solution has no closed box"
    return f"{told}."


def _rows_of(name: str, file: Path | None, benchmarks_dir: Path | None) -> tuple[str, Iterator[tuple[str, str]]]:
    if file is None and benchmarks_dir is not None:
        file = _file_beside(name, benchmarks_dir)
    if file is not None:
        return printable(str(file)), _from_file(file)
    if name not in TRAIN:
        raise UserError(
            f"--shots: no training split of {name!r} is known (known: {', '.join(sorted(TRAIN))}); name a file of solved "
            "problems with --shots-from FILE."
        )
    return f"{TRAIN[name].hub_id}, train", _from_hub(TRAIN[name])


def _file_beside(name: str, folder: Path) -> Path:
    wanted = dict.fromkeys([f"{name}-train", f"{name.removesuffix('-test')}-train"])
    wanted |= dict.fromkeys([TRAIN[name].file] if name in TRAIN else [])
    for stem in wanted:
        for suffix in (".jsonl", ".jsonl.gz"):
            if (path := folder / f"{stem}{suffix}").is_file():
                return path
    looked = " or ".join(f"{stem}.jsonl" for stem in wanted)
    raise UserError(f"--shots: {folder} has no {looked}; name a file of solved problems with --shots-from FILE.")


def _from_file(path: Path) -> Iterator[tuple[str, str]]:
    if path.is_dir():
        inside = path / "train.jsonl"
        hint = f"name {inside}" if inside.is_file() else "name a file of JSON lines"
        raise UserError(f"--shots-from {path} is a folder; {hint}.")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _example(_parsed(line, f"{path}:{number}"), f"{path}:{number}")
    except FileNotFoundError:
        raise UserError(f"--shots-from {path}: there is no such file{_nearest(path)}.") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(
            f"--shots-from {path} cannot be read ({first_line(error)}); it must be UTF-8 JSON lines, gzipped if it ends in .gz."
        ) from None


def _from_hub(split: TrainSplit) -> Iterator[tuple[str, str]]:
    # Imported late: reading files needs no `datasets`.
    from datasets import load_dataset

    try:
        rows: Iterable[Any] = load_dataset(split.hub_id, split.config, split="train")
    except Exception as error:  # the hub's client raises a dozen unrelated types
        raise UserError(
            f"--shots: {split.hub_id} could not be loaded from the hub ({first_line(error)}); "
            "name a file of solved problems with --shots-from FILE."
        ) from None
    for number, row in enumerate(rows, start=1):
        yield _example(row, f"{split.hub_id}, row {number}")


def _parsed(line: str, place: str) -> Any:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a character, such as \ud800, is JSON but no text
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: {line[:40]!r} is not JSON ({first_line(error)}); write one object a line.") from None
    return row


def _example(row: Any, place: str) -> tuple[str, str]:
    """(problem, solution) of {problem, solution}, {question, answer} as in GSM8K, or {messages}."""
    if isinstance(row, dict):
        turns = row.get("messages")
        if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
            if [turn.get("role") for turn in turns] == ["user", "assistant"]:
                pair = turns[0].get("content"), turns[1].get("content")
            else:
                pair = None, None
        elif "question" in row:
            pair = row["question"], row.get("answer")
        else:
            pair = row.get("problem"), row.get("solution")
        problem, solution = pair
        if isinstance(problem, str) and isinstance(solution, str) and problem.strip():
            return problem.strip(), boxed_ending(solution.strip())
    raise UserError(
        f"{place} is no solved problem; write texts as problem and solution, or as messages: a user turn, an assistant turn."
    )


def boxed_ending(solution: str) -> str:
    r"""The solution with GSM8K's ending "#### 1,234" as a sentence that boxes 1234; others stay as they are."""
    before, mark, answer = solution.rpartition(MARK)
    answer = answer.strip()
    if not mark or not answer or "\n" in answer or find_box(answer) is not None:
        return solution
    ending = ENDING.format(answer=without_thousands(answer))
    return NOTE.sub("", f"{before.rstrip()}\n{ending}".strip())


def _too_few(source: str, wanted: int, found: int, in_benchmark: int, unboxed: int, benchmark: str) -> str:
    why = [f"{unboxed:,} have no closed \\boxed{{}} in their solution"] if unboxed else []
    why += [f"{in_benchmark:,} are problems of {benchmark} itself"] if in_benchmark else []
    because = f" ({', '.join(why)})" if why else ""
    fix = f"pass --shots {found}, or add solved problems" if found else "name another file with --shots-from"
    return f"--shots {wanted}: {source} has {found} different examples that can be used{because}; {fix}."


def _nearest(path: Path) -> str:
    try:
        names = [one.name for one in path.parent.iterdir() if one.is_file()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
