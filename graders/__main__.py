"""`python -m graders`: grade a file, or explain how one pair is judged."""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graders import GRADER_VERSION, Verdict, extract_boxed, grade_answers
from graders.explain import explain

EXIT_USAGE = 2


class UsageError(Exception):
    """The request cannot be carried out; the message is one sentence with the place, the value and the fix."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 the request was wrong."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "grade":
            grade_file(options.input, options.out, options.workers)
        else:
            print(explain(options.gold, options.answer))
    except UsageError as error:
        print(f"graders: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m graders", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    grade = commands.add_parser("grade", help='grade lines {"id", "gold", "output"} or {"id", "gold", "answer"}')
    grade.add_argument("input", type=Path, metavar="IN.jsonl")
    grade.add_argument("--out", type=Path, required=True, metavar="OUT.jsonl")
    grade.add_argument("--workers", type=_positive, help="processes for the symbolic rung (default: a core each)")
    pair = commands.add_parser("explain", help="show the ladder for one pair, rung by rung")
    pair.add_argument("gold")
    pair.add_argument("answer")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes; give 1 or more")
    return int(text)


def grade_file(source: Path, target: Path, workers: int | None) -> None:
    """Grade a JSON Lines file into another, in input order; the target appears only when it is complete."""
    lines = _read(source)
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {target}: the folder {target.parent} does not exist; create it or change --out")
    pairs = [(_answer(line), line["gold"]) for line in lines]
    verdicts = grade_answers(pairs, workers, _show_progress if sys.stderr.isatty() else None)
    _write(target, [_row(line["id"], verdict) for line, verdict in zip(lines, verdicts, strict=True)])
    print(_summary(verdicts), file=sys.stderr)


def _answer(line: dict[str, Any]) -> str | None:
    answer: str | None = line["answer"] if "answer" in line else extract_boxed(line["output"])
    return answer


def _row(identity: object, verdict: Verdict) -> dict[str, object]:
    fields = asdict(verdict)
    return {"id": identity, **fields, "cpu_ms": round(verdict.cpu_ms, 3)}


def _read(source: Path) -> list[dict[str, Any]]:
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist; give a file of JSON lines") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {source}: {error}; give a readable UTF-8 file of JSON lines") from None
    # Not splitlines(): U+2028 inside a string is no line end in JSON Lines.
    numbered = enumerate(text.split("\n"), start=1)
    return [_checked(line, f"{source}, line {number}") for number, line in numbered if line.strip()]


def _checked(text: str, place: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise UsageError(f"{place}: {text[:60]!r} is not JSON; write one object a line") from None
    if not isinstance(line, dict):
        raise UsageError(f"{place}: {text[:60]!r} is not an object; write one object a line")
    for field in ("id", "gold"):
        if field not in line:
            raise UsageError(f'{place}: the field "{field}" is missing from {text[:60]!r}; add it')
    if ("output" in line) == ("answer" in line):
        fix = 'give exactly one of the fields "output" and "answer"'
        raise UsageError(f"{place}: {text[:60]!r} has both or neither; {fix}")
    for field in ("gold", "output", "answer"):
        if not isinstance(line.get(field, ""), str):
            raise UsageError(f'{place}: the field "{field}" is {line[field]!r:.40}, not a string; put it in quotes')
    return line


def _write(target: Path, rows: list[dict[str, object]]) -> None:
    """All or nothing: the rows go to a temporary file beside the target, which is then renamed."""
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, delete=False) as file:
            temporary = file.name
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"cannot write {target}: {error.strerror}; change --out or free the disk") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _show_progress(done: int, total: int) -> None:
    if done % max(1, total // 100) == 0 or done == total:
        print(f"\rgraded {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _summary(verdicts: list[Verdict]) -> str:
    counts = Counter(verdict.status for verdict in verdicts)
    levels = ", ".join(
        f"{name} {sum(getattr(verdict, field) for verdict in verdicts)}"
        for name, field in (("strict", "strict"), ("normalized", "normalized"), ("equivalent", "correct"))
    )
    statuses = ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
    return f"graded {len(verdicts)} with grader {GRADER_VERSION}: {levels}; {statuses or 'no lines'}"


if __name__ == "__main__":
    sys.exit(main())
