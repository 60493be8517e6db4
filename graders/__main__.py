"""`python -m graders`: grade a file, explain a pair, compare graders on a file, record a decision."""

import argparse
import io
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graders import GRADER_VERSION, Verdict, extract_boxed, grade_answers, panel, pool, second_opinion
from graders.explain import explain
from graders.files import (
    UsageError,
    check_target,
    read_pairs,
    refuse_faults,
    skipped,
    write_rows,
)
from graders.label import TABLE, TABLES, label
from graders.progress import progress_line
from graders.text import for_terminal, without_surrogates

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the machine failed, 2 the request was wrong, 130 interrupted."""
    options = _parser().parse_args(_with_negative_answers(sys.argv[1:] if arguments is None else arguments))
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale need not have a sign for what is shown
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run(options)
        sys.stdout.flush()
    except UsageError as error:
        _say(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("\ngraders: interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # such as no more processes for workers
        _say(f"the machine refused: {error.strerror or error}; nothing was written")
        return EXIT_FAILED
    return 0


def _with_negative_answers(arguments: list[str]) -> list[str]:
    r"""The arguments of `explain` marked as no options, since `-\frac12` looks like one."""
    if arguments[:1] != ["explain"] or {"-h", "--help", "--"} & {*arguments}:
        return arguments
    return ["explain", "--", *arguments[1:]]


def _run(options: argparse.Namespace) -> None:
    if options.command == "grade":
        grade_file(options.input, options.out, options.workers, options.skip_bad)
    elif options.command == "panel":
        lines = panel_of_file(options.input, options.workers, options.show, options.skip_bad)
        print(for_terminal("\n".join(lines)))
    elif options.command == "label":
        equal = options.decision == "equal"
        where = (options.family, options.one_way, options.table)
        print(for_terminal(label(options.gold, options.answer, equal, *where)))
    else:
        gold, answer = without_surrogates(options.gold), without_surrogates(options.answer)
        print(for_terminal(explain(gold, answer)))


def _say(message: str) -> None:
    print(f"graders: {for_terminal(message)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m graders", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lines = 'lines {"id", "gold", "output"} or {"id", "gold", "answer"}; .gz is read too'

    grade = commands.add_parser("grade", help="grade a file")
    grade.add_argument("input", type=Path, metavar="IN.jsonl", help=lines)
    grade.add_argument("--out", type=Path, required=True, metavar="OUT.jsonl")
    grade.add_argument("--workers", type=_positive, help="processes for the symbolic rung (default: a core each)")

    pair = commands.add_parser("explain", help="show the ladder for one pair, rung by rung")
    compared = commands.add_parser(
        "panel", help="strict, normalized, equivalent and Math-Verify side by side on a file"
    )
    compared.add_argument("input", type=Path, metavar="FILE.jsonl", help=lines)
    compared.add_argument("--workers", type=_positive, help="processes (default: a core each)")
    compared.add_argument("--show", type=_positive, default=20, metavar="N", help="pairs listed of each kind")

    for command in (grade, compared):
        skip = "leave out lines that cannot be graded"
        command.add_argument("--skip-bad", action="store_true", help=skip)

    decided = commands.add_parser("label", help="record a person's decision on a pair as a test case")
    for command in (pair, decided):
        command.add_argument("gold")
        command.add_argument("answer")
    decided.add_argument("decision", choices=["equal", "different"])
    decided.add_argument("--family", default="labelled", help="the rule family it belongs to")
    decided.add_argument("--one-way", action="store_true", help="it does not hold with gold and answer exchanged")
    decided.add_argument("--table", type=Path, metavar="FILE", help=f"default: {TABLES / TABLE}")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def grade_file(source: Path, target: Path, workers: int | None, skip_bad: bool) -> None:
    """Grade a JSON Lines file into another, in input order; the target appears once complete."""
    check_target(target, source)
    lines = _read(source, skip_bad)
    verdicts = grade_answers(_pairs(lines), workers, progress_line())
    rows = (_row(line["id"], verdict) for line, verdict in zip(lines, verdicts, strict=True))
    write_rows(target, rows)
    print(_summary(verdicts), file=sys.stderr)


def _read(source: Path, skip_bad: bool) -> list[dict[str, Any]]:
    """The lines of a file that can be graded; stderr gets what was left out or changed."""
    lines = read_pairs(source)
    if not skip_bad:
        refuse_faults(source, lines)
    if left_out := skipped(source, lines):
        _say(left_out)
    if lines.mended:
        what = "bytes that are not UTF-8, or half of a surrogate pair"
        _say(f"{source}: {lines.mended:,} lines have {what}; each is read as U+FFFD")
    return lines.good


def panel_of_file(source: Path, workers: int | None, show: int, skip_bad: bool) -> list[str]:
    """The panel of a file as lines of text."""
    pairs = _pairs(_read(source, skip_bad))
    verdicts = grade_answers(pairs, workers, progress_line())
    missing = second_opinion.missing_packages()
    second: dict[panel.Pair, bool | None] = {}
    if missing:
        print(
            f"graders: no Math-Verify column, because {' and '.join(missing)} cannot be imported; "
            'pip install "boxed-sft[panel]"',
            file=sys.stderr,
        )
    else:
        boxed = [(answer, gold) for answer, gold in dict.fromkeys(pairs) if answer is not None]
        asked = second_opinion.second_opinions(
            boxed, workers or pool.default_workers(), progress_line("asked Math-Verify about")
        )
        second.update(zip(boxed, asked, strict=True))
    rows = panel.disagreements(pairs, verdicts, second)
    heading = f"{len(verdicts):,} outputs, grader {GRADER_VERSION}"
    return [heading, *panel.table(pairs, verdicts, second, asked=not missing), *panel.listing(rows, show)]


def _pairs(lines: Sequence[dict[str, str]]) -> list[tuple[str | None, str]]:
    """(answer, gold) of each line."""
    return [(line["answer"] if "answer" in line else extract_boxed(line["output"]), line["gold"]) for line in lines]


def _row(identity: object, verdict: Verdict) -> dict[str, object]:
    return {"id": identity, **asdict(verdict), "cpu_ms": round(verdict.cpu_ms, 3)}


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
