"""python -m eval: score checkpoints, write reports, compare two models, list and check benchmarks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eval.console import console_on, quiet, unexpected_errors
from eval.records import Decoding, UserError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns 0 when done, 1 for a result that must not be trusted, 2 for a wrong request."""
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; what is decoded is kept, run the same command again to go on.", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Scores every checkpoint on every benchmark; the table goes to stderr, with --json the array to stdout."""
    if args.n_samples > 1 and args.temperature == 0:
        raise UserError(
            f"--n-samples {args.n_samples} at --temperature 0 would be equal samples; pass a temperature above 0, such as 0.7."
        )
    log = args.reports / "eval.log"
    with quiet(log) as console, unexpected_errors(log):
        # Imported late: torch and transformers print on import, and --help need not wait for them.
        from eval.plan import Options
        from eval.report import load_graded, terminal_table, write_report
        from eval.run import evaluate, untrusted

        options = Options(
            benchmarks=tuple(args.benchmark.split(",")),
            decoding=Decoding(args.max_tokens, args.temperature, args.top_p, args.n_samples, args.seed),
            reports=args.reports,
            benchmarks_dir=args.benchmarks_dir,
            limit=args.limit,
            engine=args.engine,
            device=args.device,
            prompt=args.prompt,
            workers=args.workers,
        )
        summaries = list(evaluate(args.checkpoints, options, console))
        terminal_table(summaries, console, load_graded(args.reports, summaries))
        console.print(f"report: {write_report(args.reports)}", markup=False, soft_wrap=True)
    if args.json:
        json.dump([_printed(summary) for summary in summaries], sys.stdout, indent=1)
        print()
    for sentence in untrusted(summaries):
        print(f"not to be trusted: {sentence}", file=sys.stderr)
    return 1 if untrusted(summaries) else 0


def report(args: argparse.Namespace) -> int:
    """Rebuilds the pages from what is stored."""
    from eval.report import load_graded, load_summaries, terminal_table, write_report

    if not args.reports.is_dir():
        raise UserError(f"{args.reports} is no folder; score a checkpoint first: make eval CKPT=…")
    page = write_report(args.reports)
    summaries = load_summaries(args.reports)
    terminal_table(summaries, Console(), load_graded(args.reports, summaries))
    print(f"report: {page}")
    return 0


def compare(args: argparse.Namespace) -> int:
    """Compares two models on the same problems; the tables go to stdout, with --json to stderr and the array to stdout."""
    from eval.compare import compare as pair_up
    from eval.compare import find_side, untrusted
    from eval.report.comparison import as_json, print_comparisons

    a, b = find_side(args.a, args.reports), find_side(args.b, args.reports)
    comparisons, left_out = pair_up(a, b, args.benchmark.split(",") if args.benchmark else ())
    print_comparisons(a, b, comparisons, left_out, console_on(sys.stderr if args.json else sys.stdout))
    if args.json:
        json.dump([as_json(comparison) for comparison in comparisons], sys.stdout, indent=1)
        print()
    for sentence in untrusted(comparisons):
        print(f"not to be trusted: {sentence}", file=sys.stderr)
    return 1 if untrusted(comparisons) else 0


def benchmarks(args: argparse.Namespace) -> int:
    """Lists benchmarks; with --check, every reference answer must grade itself."""
    from eval import benchmarks as known

    table = Table("benchmark", "problems", *(["answers that do not grade themselves"] if args.check else []))
    console, failed = console_on(sys.stdout), 0
    for name in args.names or known.names(args.benchmarks_dir):
        if not args.check and not args.benchmarks_dir:
            table.add_row(name, str(known.hub_row(name).count))
            continue
        benchmark = known.load(name, args.benchmarks_dir)
        row = [name, str(len(benchmark.problems))]
        if args.check:
            bad = known.ungradable(benchmark)
            failed += len(bad)
            shown = ", ".join(f"{problem.id} {problem.answer!r} ({status})" for problem, status in bad[:5])
            row.append(f"{len(bad)}{': ' if bad else ''}{shown}")
        table.add_row(*map(escape, row))  # an answer such as [a, b] is no markup
    console.print(table)
    return 1 if failed else 0


def _printed(summary: dict[str, Any]) -> dict[str, Any]:
    """The object --json shows for one (checkpoint, benchmark); key order is part of the interface."""
    keys = "checkpoint step benchmark n strict normalized equivalent ci95 truncated no_box key reused"
    times = "start_s load_s decode_s tokens_s grade_s output_tokens"
    return {key: summary[key] for key in f"{keys} {times} statuses grader limit".split()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="run | report | compare | benchmarks")

    command = commands.add_parser("run", help="score checkpoints on benchmarks")
    command.set_defaults(command=run)
    command.add_argument(
        "checkpoints", nargs="+", metavar="CKPT", help="a checkpoint, a run folder (all its checkpoints) or a hub id"
    )
    command.add_argument("--benchmark", required=True, metavar="NAME[,NAME]")
    command.add_argument(
        "--benchmarks-dir", type=Path, metavar="DIR", help="files NAME.jsonl or NAME.jsonl.gz; default: the hub"
    )
    command.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    command.add_argument("--engine", choices=("vllm", "hf"), default="vllm")
    command.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    command.add_argument(
        "--prompt",
        choices=("training", "current"),
        default="training",
        help="current: score on today's sft_utils.py even if it is not what the checkpoint was trained on",
    )
    command.add_argument("--limit", type=_positive, metavar="N", help="only the first N problems; shown in every title")
    command.add_argument(
        "--max-tokens", type=_positive, default=2048, metavar="N", help="new tokens an output may have (2048)"
    )
    command.add_argument("--n-samples", type=_positive, default=1, metavar="K")
    command.add_argument("--temperature", type=_not_negative, default=0.0, help="0 is greedy")
    command.add_argument("--top-p", type=_share, default=1.0)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--workers", type=_positive, help="grading processes (one a core)")
    command.add_argument("--json", action="store_true", help="one JSON array on stdout")

    command = commands.add_parser("report", help="rebuild the pages and print the table")
    command.set_defaults(command=report)
    command.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")

    command = commands.add_parser("compare", help="two models on the same problems: paired table, flips, verdict")
    command.set_defaults(command=compare)
    for side in ("a", "b"):
        command.add_argument(
            side,
            metavar=side.upper(),
            help="an evaluated checkpoint, run (its last checkpoint), hub id, or key of the store",
        )
    command.add_argument("--benchmark", metavar="NAME[,NAME]", help="default: all that both were evaluated on")
    command.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    command.add_argument("--json", action="store_true", help="one JSON array on stdout")

    command = commands.add_parser("benchmarks", help="list benchmarks, or check that their answers grade themselves")
    command.set_defaults(command=benchmarks)
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--benchmarks-dir", type=Path, metavar="DIR")
    command.add_argument("--check", action="store_true")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _not_negative(text: str) -> float:
    if not 0 <= (value := _number(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return value


def _share(text: str) -> float:
    if not 0 < (value := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not in (0, 1]")
    return value


if __name__ == "__main__":
    sys.exit(main())
