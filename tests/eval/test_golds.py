"""Answers out of what benchmarks state: what is read, what stays as it is, what is refused out loud."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.benchmark_remarks import remarks
from eval.benchmarks import load, to_lines, ungradable
from eval.golds import read_gold
from eval.records import Benchmark
from graders import grade_answer

SHARED = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"

# Stated -> the answer that is read out of it.
READ = {
    "2+3=5\n#### 5": "5",
    "#### 5": "5",
    "He has 1,000 + 234.\n#### 1,234": "1234",
    "#### $1,234.50": "1234.50",
    "#### 12, 13": "12, 13",
    "It is\n#### Step 2\n2+3=5\nThe answer is: 5": "5",
    "2+3=5\n#### 5\nThe answer is: 5": "5",
    "The answer is 5": "5",
    "The answer is: 5.": "5",
    "Answer: 5": "5",
    "ANSWER: B": "B",
    "**Answer:** 5": "5",
    "**Answer**: $\\frac{1}{2}$": r"$\frac{1}{2}$",
    "Answer:\n5": "5",
    "We add. So the answer is 2.5.": "2.5",
    "2+3=5. The answer is 5. This is right.": "5",
    "2+3=5, the answers are 2, 3.": "2, 3",
    "The answer to this question is 5.": "5",
    "So the answer is therefore 5.": "5",
    "Answer: so, 5": "5",
    "The answer is thus $5$.": "$5$",
    "The answer is 5, not 6.": "5",
    "The answer is 5 and not 6.": "5",
    "The answer is $5$ rather than $6$.": "$5$",
    "The answer is 5. The answer is not 6.": "5",
    "The answer is: does not exist": "does not exist",
    "Answer: sometimes": "sometimes",
    "First the answer is 3.\nBut then, the answer is 5.": "5",
    "Final Answer: The final answer is $5$. I hope it is correct.": "$5$",
    "<think>hm</think>\n<answer> 5 </answer>": "5",
    r"So we get \boxed{5}.": "5",
    "So we get\n\\boxed{\\frac{1}{2}}": r"\frac{1}{2}",
    r"First \boxed{3}. Then \boxed{5}.": "5",
    r"First \boxed{3}, and after a long while \boxed{5}": "5",
    r"The answer is 4, no, \boxed{5}": "5",
    r"We find \fbox{5} here": "5",
    r"We find \boxed{5} and then \boxed{6": "5",
    "['2']": "2",
    '["2"]': "2",
    "['2', '3']": "2, 3",
    "['2' '3']": "2, 3",
    r"['\\frac{1}{2}']": r"\frac{1}{2}",
}


@pytest.mark.parametrize(("stated", "answer"), READ.items(), ids=map(repr, READ))
def test_an_answer_is_read_out_of_a_longer_statement(stated: str, answer: str) -> None:
    found, how = read_gold(stated)
    assert (found, bool(how)) == (answer, True)


AS_IT_STANDS = (
    "5", " 5 ", "5.0", "$5$", "$$\n5\n$$", r"\boxed{5}", r"$\boxed{5}$", r"\boxed{3}, \boxed{5}", r"\boxed{3} and \boxed{5}",
    r"x=\boxed{5}", "Wednesday", r"\text{east}", "x = 5", "A", "(A)", r"\text{(A)}", "no solution", "There is no solution.",
    "[1, 2]", r"\{1, 2\}", "1, 2", "(1, 2)", "5 apples", r"90\text{ square" + "\n" + "units}", r"\#5", "C", "none", "",
    "   ", r"\begin{pmatrix} 1 \\" + "\n" + r" 2 \end{pmatrix}", r"f(x)=x \text{ if } x>0", "Solution is: $x=5$",
    "The answer is not 6", "Answer: never",
)  # fmt: skip


@pytest.mark.parametrize("stated", AS_IT_STANDS)
def test_what_the_grader_reads_stays_as_it_stands(stated: str, write: Callable[..., Benchmark]) -> None:
    assert read_gold(stated) == (stated, "")
    benchmark = write(stated)
    assert (benchmark.problems[0].answer, benchmark.readings) == (stated, ())


# Stated -> a word of the reason.
UNREADABLE = {
    r"so \boxed{5": "closes",
    r"so \boxed{}": "empty",
    "2+3=5\n####": "####",
    "#### Step 1\nWe add.\n2+3": "####",
    "None": "missing",
    "nan": "missing",
    "N/A": "missing",
    "We add 2. The answer is not 6.": "solution",
    "We add two and three, and that is how we get there in the end.": "solution",
    "She has 5 apples.": "solution",
    "2+3=5\n5": "solution",
    "x^2 = 4\nx = 2": "solution",
}


@pytest.mark.parametrize(("stated", "reason"), UNREADABLE.items(), ids=map(repr, UNREADABLE))
def test_what_cannot_be_read_is_never_a_wrong_answer(stated: str, reason: str, write: Callable[..., Benchmark]) -> None:
    benchmark = write(stated)
    (problem,) = benchmark.problems
    assert grade_answer("5", problem.answer).status == "unparsed_gold"
    assert [status for _, status in ungradable(benchmark)] in (["unparsed_gold"], ["no_box"])
    ((sentence, red),) = remarks(benchmark)
    assert red and reason in sentence and repr(stated)[1:9] in sentence and "'p0'" in sentence


def test_a_few_sentences_are_answers_in_words(write: Callable[..., Benchmark]) -> None:
    sentence = "The graph is symmetric with respect to 2 lines."
    benchmark = write(*map(str, range(19)), sentence)
    assert benchmark.problems[-1].answer == sentence
    ((said, red),) = remarks(benchmark)
    assert not red and "the answer is a sentence in 1 of 20 problems" in said and "'p19'" in said


def test_a_tenth_of_sentences_are_solutions(write: Callable[..., Benchmark]) -> None:
    benchmark = write(*map(str, range(9)), "We take 3 of 9, which is a third of them.")
    assert [problem.answer for problem in benchmark.problems] == [*map(str, range(9)), ""]


def test_what_was_read_is_said_with_count_and_example(write: Callable[..., Benchmark]) -> None:
    said = [
        sentence
        for sentence, red in remarks(write("1+1=2\n#### 2", "2+2=4\n#### 4", "5", "The answer is 6"))
        if not red
    ]
    assert said == [
        "golds: the answer is what follows #### in 2 of 4 problems, such as 'p0' '1+1=2\\n#### 2': read as '2'.",
        "golds: the answer is what it announces in 1 of 4 problems, such as 'p3' 'The answer is 6': read as '6'.",
    ]


# Columns of a row -> the answer, and whether it is told to be read.
COLUMNS = {
    "a solution with a box": ({"solution": r"so \boxed{7}."}, "7"),
    "a null answer beside a solution": ({"answer": None, "solution": r"so \boxed{7}."}, "7"),
    "a blank answer beside a solution": ({"answer": " ", "solution": r"so \boxed{7}."}, "7"),
    "a solution as answer, a final answer": ({"answer": "We add 2, which is so.", "final_answer": "7"}, "7"),
    "two answers": ({"answer": "7", "solution": r"so \boxed{8}."}, "7"),
    "a solution that is an answer": ({"Solution": "7"}, "7"),
}


@pytest.mark.parametrize(("row", "answer"), COLUMNS.values(), ids=COLUMNS)
def test_the_first_column_with_an_answer_counts(row: dict[str, Any], answer: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"problem": "2 + 5?"} | row) + "\n")
    assert load("rows", tmp_path).problems[0].answer == answer


# The beginnings of a benchmark's sha256, by which evaluations are kept, and of its stored problems'.
REAL = {
    "aime24": ("552605139f5f", "613aaff7de63"),
    "aime25": ("c14831bc4c0f", "00e7af46104d"),
    "amc23": ("f4c36a01136a", "dc6f52d652dd"),
    "aqua": ("11a9514e9035", "cee14deac049"),
    "asdiv": ("657df241a853", "a50ad1a9dd03"),
    "college_math": ("a54ea489c7c2", "707e22ee2c2d"),
    "gaokao2023en": ("9df3667a1712", "295b9ec30f6c"),
    "gsm8k-test": ("559d1ffd87d6", "0cd5d0c94b9f"),
    "gsm_hard": ("54ff5a6963b1", "7385237557ec"),
    "math-test": ("b51955c7ed08", "b4c44b7e88d6"),
    "math500": ("e8ae1418f883", "7929db644695"),
    "mawps": ("5cb4fb2c8328", "54facc1a662f"),
    "minerva_math": ("16154035ebb8", "faa70a5d7939"),
    "olymmath_en_easy": ("5f80e5b5a52e", "17ab5998c94f"),
    "olymmath_en_hard": ("c5c9fcd99127", "cde68d38e366"),
    "olympiadbench": ("46c482268a10", "3537dccd8a77"),
    "sat_math": ("317d43bbf8ae", "bf301cb6df16"),
    "svamp": ("d1f78f67f494", "a3616cce8108"),
}


@pytest.mark.parametrize(("name", "digests"), REAL.items(), ids=REAL)
def test_a_real_benchmark_stays_the_one_that_was_scored(name: str, digests: tuple[str, str]) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: {name} is not looked at")
    benchmark = load(name, SHARED)
    stored = hashlib.sha256(to_lines(benchmark).encode()).hexdigest()
    assert (benchmark.sha256[:12], stored[:12]) == digests


def test_no_real_benchmark_gives_a_false_alarm() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: 18 real benchmarks are not looked at")
    read, red = [], []
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        benchmark = load(path.name.removesuffix(".jsonl.gz"), SHARED)
        read += [reading for reading in benchmark.readings if reading.answer != reading.stated]
        red += [problem.id for problem in benchmark.problems if not problem.answer.strip()]
    assert read == []
    assert red == ["gaokao2023en-0167", "gaokao2023en-0192"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Benchmark]:
    """write(*answers): the benchmark golds with these stated answers, ids p0, p1, …"""

    def write_golds(*answers: str) -> Benchmark:
        rows = [{"id": f"p{n}", "problem": f"Problem {n}?", "answer": answer} for n, answer in enumerate(answers)]
        (tmp_path / "golds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load("golds", tmp_path)

    return write_golds
