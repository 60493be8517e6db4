"""`python -m graders`: grade a file, explain a pair, compare graders on a file, record a decision."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from graders import GRADER_VERSION, Verdict, extract_boxed, grade_answers, panel, pool, second_opinion
from graders.explain import explain
from graders.files import UsageError, check_characters, check_target, read_pairs, write_rows
from graders.label import TABLE, TABLES, label
from graders.progress import progress_line

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 the request was wrong, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
        sys.stdout.flush()
    except UsageError as error:
        print(f"graders: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("\ngraders: interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "grade":
        grade_file(options.input, options.out, options.workers)
    elif options.command == "panel":
        print("\n".join(panel_of_file(options.input, options.workers, options.show)))
    elif options.command == "label":
        equal = options.decision == "equal"
        print(label(options.gold, options.answer, equal, options.family, options.one_way, options.table))
    else:
        for name, text in (("GOLD", options.gold), ("ANSWER", options.answer)):
            check_characters(text, name)
        print(explain(options.gold, options.answer))


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


def grade_file(source: Path, target: Path, workers: int | None) -> None:
    """Grade a JSON Lines file into another, in input order; the target appears only when it is complete."""
    check_target(target, source)
    lines = read_pairs(source)
    verdicts = grade_answers(_pairs(lines), workers, progress_line())
    write_rows(target, (_row(line["id"], verdict) for line, verdict in zip(lines, verdicts, strict=True)))
    print(_summary(verdicts), file=sys.stderr)


def panel_of_file(source: Path, workers: int | None, show: int) -> list[str]:
    """The panel of a file as lines of text."""
    pairs = _pairs(read_pairs(source))
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
