r"""`proof`, `notfound` and the like are no answers: not taught, not compared, and counted; what is an answer stays one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from data.__main__ import main
from data.audit import audit
from data.audit_report import findings
from data.dedup import rank
from data.examine import Instruments
from data.filters import has_box, not_proof
from data.placeholders import is_never_an_answer, is_placeholder
from data.rewrite import box_answer, gsm8k_ending
from data.rows import Drop
from data.sources import Source, batches, read
from data.submission.checks import rows as linted
from data.tools import Tools, answer_matches

NEVER = [
    *("proof", "Proof", "PROOF", " proof. ", "\\text{proof}", "$\\text{Proof}$", "\\textbf{proof}", "**proof**", "(proof)"),
    *("notfound", "not found", "Not Found", "NOT_FOUND", "not-found", "\\text{not found}", "Answer not found."),
    *("proof not given", "see solution", "See Solution.", "\\mathrm{see\\ solution}", "no answer", "No answer given"),
    *("QED", "Q.E.D.", "proved", "Proven", "See solution above", "not applicable", "no final answer", "No final answer."),
]  # fmt: skip
UNLESS_BOXED = [
    "none",
    "None",
    "\\text{none}",
    "n/a",
    "N/A",
    "#N/A",
    "N / A",
    "null",
    "nan",
    "NaN",
    "-",
    "--",
    "unknown",
    "?",
    "`null`",
]
EMPTY = ["", " ", "$$", "\\text{ }"]
# Answers in words, and names that look like the above.
ANSWERS = [
    *("5", "0", "-1", "\\text{no}", "no solution", "No solutions", "does not exist", "undefined", "NA", "na", "x", "DNE"),
    *("\\text{infinitely many}", "\\emptyset", "\\frac{n}{a}", "p", "proofs of 3", "-x", "\\text{proof by } x", "(1,2)"),
]  # fmt: skip


@pytest.mark.parametrize("answer", [*NEVER, *UNLESS_BOXED, *EMPTY])
def test_a_placeholder_is_none_of_an_answer(answer):
    assert is_placeholder(answer) and is_placeholder(answer, "Nothing is boxed.")
    assert is_placeholder(answer, "It is $\\boxed{7}$.")


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_none_of_a_placeholder(answer):
    assert not is_placeholder(answer) and not is_never_an_answer(answer)


@pytest.mark.parametrize("answer", UNLESS_BOXED)
def test_the_solution_itself_may_mean_the_word(answer):
    assert not is_placeholder(answer, f"So the answer is $\\boxed{{{answer}}}$.")
    assert not is_never_an_answer(answer)


@pytest.mark.parametrize("answer", NEVER)
def test_some_words_mean_nothing_in_a_box_either(answer):
    assert is_placeholder(answer, f"So it is $\\boxed{{{answer}}}$.") and is_never_an_answer(answer)
    row = {"problem": "P", "solution": f"It is $\\boxed{{{answer}}}$.", "answer": ""}
    assert has_box(row) == "last box holds a placeholder, not an answer"
    assert rank(row["solution"], None)[0] == 2 and rank("It is $\\boxed{5}$.", None)[0] == 1


def read_rows(raw: list[dict[str, Any]], tmp_path: Path) -> list[Any]:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in raw))
    source = Source("set", path=str(tmp_path / "a.jsonl"))
    return [row for batch in batches(source) for row in read(batch, source)]


SOLUTIONS = "First we see it, then we prove it."
# A row as NuminaMath-1.5 has it -> (its answer, what `box_answer` makes of its solution).
STATED = [
    ({"answer": "proof"}, "", SOLUTIONS),
    ({"answer": "notfound"}, "", SOLUTIONS),
    ({"answer": "notfound", "solution": "It is $\\boxed{7}$."}, "7", "It is $\\boxed{7}$."),
    ({"answer": "proof", "solution": "It is $\\boxed{\\text{proof}}$."}, "", "It is $\\boxed{\\text{proof}}$."),
    ({"answer": "None"}, "", SOLUTIONS),
    ({"answer": "\\text{none}", "solution": "So $\\boxed{\\text{none}}$."}, "\\text{none}", "So $\\boxed{\\text{none}}$."),
    ({"answer": None}, "", SOLUTIONS),
    ({"answer": float("nan")}, "", SOLUTIONS),
    ({"answer": 7}, "7", f"{SOLUTIONS}\nThe answer is $\\boxed{{7}}$."),
    ({"answer": "\\text{no}"}, "\\text{no}", f"{SOLUTIONS}\nThe answer is $\\boxed{{\\text{{no}}}}$."),
    ({"answer": " ", "expected_answer": "5"}, "5", f"{SOLUTIONS}\nThe answer is $\\boxed{{5}}$."),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "answer", "taught"), STATED)
def test_no_placeholder_is_boxed(raw, answer, taught, tmp_path):
    (row,) = read_rows([{"problem": "Is it so?", "solution": SOLUTIONS} | raw], tmp_path)
    assert row["answer"] == answer and box_answer(row)["solution"] == taught
    unread = {"answer": str(raw["answer"]), "solution": row["solution"]}
    assert box_answer(row | unread)["solution"] == taught or answer == "5"


def test_other_steps_take_a_placeholder_for_no_answer():
    row = {"problem": "P", "solution": "We count.\n#### proof", "answer": "proof"}
    assert gsm8k_ending(row)["solution"] == row["solution"]
    boxed = [row | {"solution": "$\\boxed{7}$"}, row | {"answer": "", "solution": "$\\boxed{7}$"}]
    assert answer_matches(boxed, Tools("unused")) == [None, None]
    assert answer_matches(boxed, Tools("unused"), require=True) == [Drop("states no answer")] * 2
    assert (
        not_proof({"problem": "What is it?", "solution": "x", "placeholder": "Proof."})
        == "states a proof for an answer"
    )
    assert not_proof({"problem": "What is it?", "solution": "$\\boxed{\\text{Proof}}$"}) == "proof in the box"
    assert not_proof({"problem": "What is it?", "solution": "x", "placeholder": "notfound"}) is None


def test_the_linter_names_boxes_with_placeholders(tmp_path):
    def line(solution: str) -> str:
        turns = [{"role": "user", "content": solution}, {"role": "assistant", "content": solution}]
        return json.dumps({"messages": turns}) + "\n"

    (tmp_path / "train.jsonl").write_text(line("$\\boxed{5}$") + line("$\\boxed{\\text{notfound}}$"))
    (found,) = [one for one in linted.findings(tmp_path) if one.check == "placeholder"]
    assert found.fatal and "line 2" in found.problem and "`proof`" in found.problem


# What NuminaMath-1.5 says of a row -> the reason for which it goes.
MARKS = [
    ({"problem_is_valid": "Yes", "solution_is_valid": "Yes"}, None),
    ({"problem_is_valid": "yes ", "solution_is_valid": None}, None),
    ({"problem_is_valid": "", "solution_is_valid": True}, None),
    ({"problem_is_valid": "Incomplete", "solution_is_valid": "Yes"}, "problem_is_valid Incomplete"),
    ({"problem_is_valid": "Yes", "solution_is_valid": "Problem not solved"}, "solution_is_valid Problem not solved"),
    ({"problem_is_valid": "No", "solution_is_valid": "No"}, "problem_is_valid No"),
    ({"Problem_Is_Valid": "no"}, "problem_is_valid No"),
    ({"solution_is_valid": False}, "solution_is_valid No"),
    ({"solution_is_valid": "\x1b[2J" * 20}, "solution_is_valid has another value than Yes"),
]


@pytest.mark.parametrize(("marks", "reason"), MARKS)
def test_what_a_data_set_says_of_its_rows_is_honoured(marks, reason, tmp_path):
    (row,) = read_rows([{"problem": "P", "solution": "$\\boxed{5}$", "answer": "5"} | marks], tmp_path)
    assert (row.reason if isinstance(row, Drop) else None) == (reason and f"marked by its data set: {reason}")


def numinamath(count: int = 30) -> list[dict[str, Any]]:
    """Rows as NuminaMath-1.5 has them: valid ones, ones that it marks, ones with a placeholder."""
    good = {"problem_is_valid": "Yes", "solution_is_valid": "Yes", "question_type": "math-word-problem"}
    rows = [
        {"problem": f"What is {n} + {n}?", "solution": f"{n} and {n} are {2 * n}.", "answer": str(2 * n)} | good
        for n in range(count)
    ]
    proofs = [{"problem": f"Is {n} odd? Prove it.", "solution": SOLUTIONS, "answer": "proof"} | good for n in range(7)]
    lost = [{"problem": f"How many are {n}?", "solution": SOLUTIONS, "answer": "notfound"} | good for n in range(3)]
    bad = [rows[n] | {"problem": f"Bad {n}?", "problem_is_valid": "Incomplete"} for n in range(5)]
    worse = [rows[n] | {"problem": f"Worse {n}?", "solution_is_valid": "Problem not solved"} for n in range(2)]
    return [*rows, *proofs, *lost, *bad, *worse]


def test_a_build_drops_what_is_marked_and_teaches_no_placeholder(tmp_path, tiny_tokenizer, capsys):
    """More than `bad_rows` are marked, and that stops nothing: those rows can be read."""
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in numinamath()))
    (tmp_path / "recipe.yaml").write_text(
        f"name: t\ntokenizer: {tiny_tokenizer}\nsources: [{{name: numina, path: {tmp_path / 'a.jsonl'}}}]\n"
        "steps: [box_answer, has_box, answer_matches, validation: {rows: 5}]\n"
    )
    command = ["build", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out"), "--workers", "0", "--json"]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    dropped = {entry["step"]: entry["dropped"] for entry in made["funnel"]}
    assert dropped["read"] == {
        "marked by its data set: problem_is_valid Incomplete": 5,
        "marked by its data set: solution_is_valid Problem not solved": 2,
    }
    assert dropped["has_box"] == {"no box": 10} and not dropped["answer_matches"]
    assert made["splits"]["train"]["rows"] + made["splits"]["validation"]["rows"] == 30
    text = (Path(made["folder"]) / "train.jsonl").read_text()
    assert "proof" not in text and "notfound" not in text
    assert '"placeholder": "proof"' in (Path(made["folder"]) / "dropped.jsonl").read_text()


def test_an_audit_counts_placeholders_and_marks(tmp_path):
    rows = [*numinamath(), {"problem": "What?", "solution": "$\\boxed{\\text{Proof}}$", "answer": "\\text{Proof}"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures = audit(str(tmp_path / "a.jsonl"), Instruments(), Console(quiet=True))
    assert (figures["rows"], figures["no_box"], figures["placeholder_boxes"]) == (41, 40, 1)
    assert figures["placeholder_answers"] == {"proof": 8, "notfound": 3}
    assert figures["marked_invalid"] == {"problem_is_valid Incomplete": 5, "solution_is_valid Problem not solved": 2}
    assert not figures["unreadable"] and figures["answer_types"]["none stated"] == 11
    assert figures["answers"]["compared"] == 0 and figures["box_differs_from_answer"] == 0
    (example,) = figures["examples"]["placeholder"]
    assert example["row"] == 41
    said = {finding.name: finding.sentence for finding in findings(figures)}
    assert "11 of 41 rows" in said["placeholder_answers"] and "proof (8), notfound (3)" in said["placeholder_answers"]
    assert "1 of 41 rows" in said["placeholder"] and "7 more are left out" in said["marked_invalid"]


def test_of_the_answers_of_the_real_files_one_is_a_placeholder(shared):
    found = {}
    for path in sorted((shared / "data/sft").glob("*.jsonl.gz")):
        source = Source("set", path=str(path))
        rows = [row for batch in batches(source) for row in read(batch, source, derive=False)]
        found[path.name.split(".")[0]] = [row["placeholder"] for row in rows if "placeholder" in row]
    assert {name: words for name, words in found.items() if words} == {"jiuzhang3_cot_pretrain_sample": ["$"]}
