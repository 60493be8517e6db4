"""A person's decision on a pair, kept as a line of the case tables, which are tests from then on."""

import json
from pathlib import Path

from graders.batch import grade_answer
from graders.files import UsageError, refuse_surrogates

TABLES = Path("tests/graders/cases")  # from the root of the project
TABLE = "labelled.jsonl"


def label(gold: str, answer: str, equal: bool, family: str, one_way: bool, table: Path | None) -> str:
    """Append the decision to a case table and say whether the grader agrees with it.

    Refuses a pair that some table beside it already decides.
    """
    path = TABLES / TABLE if table is None else table
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist; run from the project's root or give --table FILE")
    for name, text in (("GOLD", gold), ("ANSWER", answer)):
        refuse_surrogates(text, name)
    known = _known(path.parent).get((gold, answer))
    if known is not None:
        raise UsageError(f"{known} decides this pair already; edit that line to change it")
    case = {"family": family, "gold": gold, "answer": answer, "equal": equal} | ({"one_way": True} if one_way else {})
    try:
        ended = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
        with path.open("a", encoding="utf-8") as file:
            file.write(("" if ended else "\n") + json.dumps(case, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give --table FILE") from None
    return f"{path}: {'equal' if equal else 'different'} recorded; {_opinion(gold, answer, equal)}"


def _known(folder: Path) -> dict[tuple[str, str], str]:
    """Where each pair of the tables in a folder is decided: `file, line n`."""
    places = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(_text(path).split("\n"), start=1):
            if line.strip():
                pair = _pair(line, f"{path}, line {number}")
                places[pair] = f"{path}, line {number}"
    return places


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the table {path}: {error}; give --table FILE") from None


def _pair(line: str, place: str) -> tuple[str, str]:
    """(gold, answer) of a line of a table."""
    try:
        case = json.loads(line)
        return case["gold"], case["answer"]
    except (ValueError, RecursionError, KeyError, TypeError):
        fix = "correct it, or give --table FILE in a folder of tables"
        raise UsageError(f"{place} is not a case with a gold and an answer; {fix}") from None


def _opinion(gold: str, answer: str, equal: bool) -> str:
    verdict = grade_answer(answer, gold)
    if verdict.correct == equal and verdict.judged:
        return f"the grader agrees ({verdict.rule})"
    return f"the grader says {verdict.status} ({verdict.rule}), so the tests fail until a rule is changed"
