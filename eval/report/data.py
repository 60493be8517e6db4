r"""What the pages show of problems and outputs, as scripts that a page loads when it needs them.

A page that is opened from the file system may not fetch, but it may load a script, so each of these files is one call,
`pageData(name, value)`, with a JSON value. Nothing in them is markup: pages make elements of it.

reports/pages/<benchmark>/problems.js       ids, beginnings and groups of all problems: what lists and search need
                          problems-000.js   100 problems in full
reports/pages/<section>/answers-000.js      what every checkpoint of a section answered to 100 problems
reports/<key>/pages/outcomes.js             columns of all outputs; written last, it carries a digest of what it is made of
                    outputs-000.js          the outputs of 100 problems, fewer where there are several samples
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eval.report.items import (
    Columns,
    Item,
    columns_of,
    load_items,
    load_problems,
    problems_file,
    samples_of,
    verdicts_file,
)
from eval.report.load import Evaluation
from eval.report.look import replace_file
from eval.report.maths import FORMULA, formula_tree, pieces
from graders import find_box
from graders.text import without_surrogates

ITEMS_A_FILE = 100
LARGEST_FILE = 1_900_000  # bytes; what is larger is written without formulas, then with shorter texts
LISTED_CHARACTERS = 1_200_000  # of all problems together, for lists and search
EXCERPT, LONGEST_TEXT = 200, 12_000
# Outputs of larger evaluations stay source: parsing the formulas of 5,000 outputs takes about a minute.
OUTPUTS_WITH_FORMULAS = 1_000
PLAIN_NUMBER = re.compile(r"\d[\d.,]*")
GROUPS = ("subject", "level", "source")


def write_problems(problems: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """The problem files of a benchmark, unless they are there already."""
    digest = _digest(json.dumps(list(problems)).encode())
    index = folder / "problems.js"
    if _digest_in(index) == digest:
        return
    for start in range(0, len(problems), ITEMS_A_FILE):
        name = f"problems-{start // ITEMS_A_FILE:03}"
        rows = problems[start : start + ITEMS_A_FILE]
        _write_bounded(folder / f"{name}.js", f"{folder.name}/{name}", [_problem_parts(row) for row in rows])
    length = min(EXCERPT, LISTED_CHARACTERS // max(1, len(problems)))
    listed = {
        "ids": [row["id"] for row in problems],
        "texts": [_one_line(row["problem"])[:length] for row in problems],
        "golds": [str(row["answer"])[:length] for row in problems],
        **{group: [row.get(group) for row in problems] for group in GROUPS},
    }
    write_data(index, f"{folder.name}/problems", {"digest": digest} | listed)


def write_outputs(evaluation: Evaluation) -> Columns:
    """The files of an evaluation's outputs, unless they are there already; its columns."""
    folder = evaluation.folder / "pages"
    index = folder / "outcomes.js"
    problems = problems_file(evaluation)
    inputs = (evaluation.folder / "predictions.jsonl", verdicts_file(evaluation), problems)
    digest = _digest(*(path.read_bytes() for path in inputs if path.is_file()))
    if _digest_in(index) == digest:
        return Columns.from_object(read_data(index))
    rows = load_problems(problems)
    items = load_items(evaluation, rows)
    samples = samples_of(evaluation)
    step = problems_a_file(samples)
    files: dict[int, list[Item]] = {number: [] for number in range(-(-len(rows) // step))}
    for item in items:
        files[item.position // step].append(item)
    for number, members in files.items():
        texts = [_output_parts(item) for item in members]
        name = f"outputs-{number:03}"
        formulas = len(items) <= OUTPUTS_WITH_FORMULAS
        _write_bounded(folder / f"{name}.js", f"{evaluation.folder.name}/{name}", texts, formulas)
    columns = columns_of(items, samples)
    stored = {"digest": digest, "each": step} | columns.to_object()
    write_data(index, f"{evaluation.folder.name}/outcomes", stored)
    return columns


def write_answers(folder: Path, evaluations: Mapping[str, Columns], problems: int) -> None:
    """What every evaluation (by key) of a section answered, problem by problem, in files of 100 problems."""
    for number in range(-(-problems // ITEMS_A_FILE)):
        first, last = number * ITEMS_A_FILE, min(problems, (number + 1) * ITEMS_A_FILE)
        name = f"answers-{number:03}"
        rows = {key: _answers(columns, first, last) for key, columns in evaluations.items()}
        write_data(folder / f"{name}.js", f"{folder.name}/{name}", rows)


def _answers(columns: Columns, first: int, last: int) -> list[list[Any]]:
    """[class, status, answer] of each sample, for the problems from `first` to before `last`. Positions are in order."""
    rows: list[list[Any]] = [[] for _ in range(first, last)]
    for place in range(bisect_left(columns.positions, first), bisect_left(columns.positions, last)):
        answer = (columns.kinds[place], columns.statuses[place], columns.answers[place])
        rows[columns.positions[place] - first].append(answer)
    return rows


def problems_a_file(samples: int) -> int:
    """How many problems' outputs share a file."""
    return max(1, ITEMS_A_FILE // samples)


def write_data(path: Path, name: str, value: Any) -> None:
    """Writes the script that hands `value` to the page as `name`."""
    replace_file(path, _script(name, value))


def read_data(path: Path) -> dict[str, Any]:
    """The value of a file that `write_data` wrote."""
    text = path.read_text(encoding="utf-8")
    value: dict[str, Any] = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    return value


def box_span(text: str, extracted: str | None) -> tuple[int, int] | None:
    """Where the graded box begins and ends; None where the grader read none, or not this.

    The place is the grader's own, so a page can't disagree with a verdict about which box counts.
    """
    box = find_box(without_surrogates(text))  # as it was graded, character for character
    return (box.start, box.end) if box and box.content == extracted else None


def clip(text: str, limit: int = LONGEST_TEXT) -> str:
    """`text`, or its two ends with a note between them of how many characters are left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def _problem_parts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "parts": [row["problem"]], "gold": [str(row["answer"])[: EXCERPT * 5]]}


def _output_parts(item: Item) -> dict[str, Any]:
    span = box_span(item.text, item.extracted)
    cut = (item.text[: span[0]], item.text[slice(*span)], item.text[span[1] :]) if span else (item.text,)
    answer = [] if item.extracted is None else [item.extracted[: EXCERPT * 5]]
    return {"at": [item.position, item.sample], "parts": list(cut), "answer": answer}


def _write_bounded(path: Path, name: str, rows: list[dict[str, Any]], formulas: bool = True) -> None:
    """Writes the rows with their texts in pieces; without formulas, then with ever shorter texts, where it got too large."""
    limit = LONGEST_TEXT
    script = _script(name, [_in_pieces(row, formulas, limit) for row in rows])
    while len(script.encode(errors="replace")) > LARGEST_FILE and (formulas or limit > EXCERPT):
        formulas, limit = False, limit if formulas else limit // 2
        script = _script(name, [_in_pieces(row, False, limit) for row in rows])
    replace_file(path, script)


def _in_pieces(row: dict[str, Any], formulas: bool, limit: int) -> dict[str, Any]:
    """`parts` (before, box, after; or a whole text) as pieces, `gold` and `answer` (one text) as [source, tree or 0]."""
    shown = dict(row)
    parts = [clip(part, limit) for part in shown.pop("parts")]
    start = len(parts[0])
    shown["text"] = pieces("".join(parts), (start, start + len(parts[1])) if len(parts) > 1 else None, formulas)
    for name in ("gold", "answer"):
        if shown.get(name):
            shown[name] = [shown[name][0], _answer_tree(shown[name][0]) or 0]
    return shown


def _answer_tree(text: str) -> list[Any] | None:
    """An answer is a formula without delimiters; one that brings its own is its first formula; plain words are none."""
    if PLAIN_NUMBER.fullmatch(text):
        return None
    inside = FORMULA.fullmatch(text.strip())
    source = inside[str(inside.lastgroup)] if inside else text
    plain = re.fullmatch(r"[\w\s.,%:'-]*", source)
    return None if plain and re.search(r"[^\W\d_]{2}", source) else formula_tree(source)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _script(name: str, value: Any) -> str:
    # A line separator was no part of a JavaScript string before 2019; `<` cannot end a script that is no element.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"pageData({json.dumps(name)},{text})\n"


def _digest(*contents: bytes) -> str:
    """Of what goes into a file, and of the code that makes it."""
    return hashlib.sha256(
        b"\0".join((_code(), *(hashlib.sha256(content).digest() for content in contents)))
    ).hexdigest()


@cache
def _code() -> bytes:
    here = Path(__file__).parent
    boxed = here.parents[1] / "graders" / "boxed.py"
    files: Iterable[Path] = (
        *(here / "data.py", here / "items.py", here / "maths.py"),
        *(here.parent / "outcomes.py", boxed),
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()


def _digest_in(path: Path) -> str:
    """The digest that a file carries; "" where there is no such file."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8") as file:
        found = re.search(r'"digest":"(\w+)"', file.read(300))
    return found[1] if found else ""
