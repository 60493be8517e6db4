"""python -m eval: score checkpoints, watch a run, report, serve, export, compare, grade again, list and check benchmarks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eval.arguments import parser
from eval.console import console_on, quiet, unexpected_errors
from eval.records import Decoding, UserError

if TYPE_CHECKING:
    from eval.plan import Options
    from eval.report.conditions import Section

FLIPS_SHOWN = 20


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns 0 when done, 1 for a result that must not be trusted, 2 for a wrong request."""
    commands = {
        "run": run,
        "watch": watch,
        "report": report,
        "serve": serve,
        "export": export,
        "compare": compare,
        "regrade": regrade,
        "gc": gc,
        "benchmarks": benchmarks,
    }
    args = parser(commands, __doc__).parse_args(argv)
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
    options = _options(args)
    with _logged(args.reports) as console:
        # Imported late: torch and transformers print on import, and --help need not wait for them.
        from eval.run import evaluate

        summaries = list(evaluate(args.checkpoints, options, console))
        shown, untrusted = _show(summaries, args.reports, console)
    if args.json:
        json.dump([_printed(summary) for summary in shown], sys.stdout, indent=1)
        print()
    return _end(untrusted)


def watch(args: argparse.Namespace) -> int:
    """Scores the checkpoints of a run as training finishes them; ends with the run.

    Accuracy joins the losses on the run's own TensorBoard.
    """
    options = _options(args)
    with _logged(args.reports) as console:
        from eval.report import load_evaluations, make_sections
        from eval.report.scalars import write_scalars
        from eval.run import watch as watch_run

        summaries = []
        for summary in watch_run(args.run, options, console):
            summaries.append(summary)
            _, untrusted = _show(summaries, args.reports, console)
            write_scalars(make_sections(load_evaluations(args.reports)), args.reports / "export")
        if not summaries:
            raise UserError(f"{args.run} has ended without a checkpoint; see its train.log.", exit_code=1)
    return _end(untrusted)


def report(args: argparse.Namespace) -> int:
    """Rebuilds the pages from what is stored, and prints the tables."""
    from eval.report import load_evaluations, make_sections, terminal_table, write_report

    if not args.reports.is_dir():
        raise UserError(f"{args.reports} is no folder; score a checkpoint first: make eval CKPT=…")
    page = write_report(args.reports)
    terminal_table(make_sections(load_evaluations(args.reports)), Console())
    if args.open:
        from eval.report.serve import open_in_desktop

        open_in_desktop(page)
    print(f"report: {page}")
    return 0


def serve(args: argparse.Namespace) -> int:
    """Serves the reports folder to this machine alone, until Ctrl-C."""
    from eval.report.serve import make_server

    if not (args.reports / "index.html").is_file():
        raise UserError(f"{args.reports} has no report; make one first: make report")
    with make_server(args.reports, args.port) as server:
        host, port = server.server_address[:2]
        print(
            f"http://{host!s}:{port}/index.html  (from elsewhere: ssh -L {port}:{host!s}:{port} this machine)",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def export(args: argparse.Namespace) -> int:
    """Writes what is stored for other tools: summary.json, CSV, Parquet, TensorBoard scalars, Inspect logs."""
    from eval.report import load_evaluations, make_sections

    sections = make_sections(load_evaluations(args.reports))
    if not sections:
        raise UserError(f"{args.reports} holds no finished evaluation; score a checkpoint first: make eval CKPT=…")
    for name in args.formats or ("json", "csv", "parquet"):
        paths = _writer(name)(sections, args.to or args.reports / "export")
        print("\n".join(f"{name}: {path}" for path in paths) or f"{name}: nothing to write, no row is a checkpoint")
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
    return _end(untrusted(comparisons))


def regrade(args: argparse.Namespace) -> int:
    """Grades what is stored under today's rules, without a model; shows which outputs change their status."""
    from eval.grading import regrade as regrade_all
    from eval.report import write_report
    from eval.summary import untrusted

    done, console = [], console_on(sys.stderr)
    for regraded in regrade_all(args.reports, args.workers, console):
        done.append(regraded)
        before, after = regraded.before, regraded.after
        points = 100 * (after["equivalent"] - before["equivalent"])
        shares = f"{100 * before['equivalent']:.1f} -> {100 * after['equivalent']:.1f} % ({points:+.1f} points)"
        changed = (
            f"{len(regraded.flips)} of {after['n']} outputs change from grader {before['grader']} to {after['grader']}"
        )
        place = f"{after['checkpoint']} on {after['benchmark']}"
        console.print(f"{place}: {shares}, {changed}", markup=False, soft_wrap=True)
        for flip in regraded.flips[:FLIPS_SHOWN]:
            answered = "no box" if flip.extracted is None else repr(flip.extracted)
            console.print(
                f"  {flip.id}: {flip.before} -> {flip.after}, gold {flip.gold!r}, answered {answered}", markup=False
            )
    print(
        "nothing to grade again: every verdict is of today's grader."
        if not done
        else f"report: {write_report(args.reports)}"
    )
    return _end(untrusted([regraded.after for regraded in done], args.reports))


def gc(args: argparse.Namespace) -> int:
    """Lists what nothing refers to any more; with --delete it goes."""
    from eval.gc import delete, unreferenced

    console = console_on(sys.stdout)
    rows = unreferenced(args.reports)
    table = Table("path", "why", "MB")
    for row in rows:
        table.add_row(*map(escape, (str(row.path), row.reason, f"{row.size_bytes / 1e6:,.1f}")))
    console.print(table if rows else "nothing to delete: everything stored belongs to weights that are there.")
    if rows and args.delete:
        delete(rows)
        console.print(f"deleted {len(rows)}")
    elif rows:
        console.print("nothing is deleted yet: pass --delete")
    return 0


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


def _writer(name: str) -> Callable[[list[Section], Path], list[Path]]:
    """The function of an export format. Imported late: each brings a library of its own."""
    if name == "inspect":
        from eval.report.inspect_log import write_logs

        return write_logs
    if name == "tensorboard":
        from eval.report.scalars import write_scalars

        return write_scalars
    from eval.report import exports

    return {"json": exports.write_summary, "csv": exports.write_csv, "parquet": exports.write_parquet}[name]


def _options(args: argparse.Namespace) -> Options:
    from eval.plan import Options

    if args.n_samples > 1 and args.temperature == 0:
        raise UserError(
            f"--n-samples {args.n_samples} at --temperature 0 would be equal samples; pass a temperature above 0, such as 0.7."
        )
    check_seeds(args)
    check_prompt(args)
    if args.prompt == "tokenizer" and args.prompt_variant:
        raise UserError("--prompt-variant changes the prompt of sft_utils.py; leave it out with --prompt tokenizer.")
    return Options(
        benchmarks=tuple(args.benchmark.split(",")),
        decoding=Decoding(
            args.max_tokens, args.temperature, args.top_p, args.n_samples, args.seed, args.stop == "problem"
        ),
        reports=args.reports,
        benchmarks_dir=args.benchmarks_dir,
        limit=args.limit,
        engine=args.engine,
        device=args.device,
        prompt=args.prompt,
        prompt_variant=args.prompt_variant,
        shots=args.shots,
        shots_from=args.shots_from,
        shots_seed=args.shots_seed,
        system=args.system or "",
        template_args=dict(args.template_arg),
        seeds=args.seeds,
        repeats=args.repeat,
        tensor_parallel=args.tensor_parallel,
        actors=args.actors,
        workers=args.workers,
    )


def check_seeds(args: argparse.Namespace) -> None:
    """Raises UserError for --seeds that would give equal samples, or that --seed contradicts."""
    if args.seeds and args.seed:
        raise UserError(f"--seed {args.seed} and --seeds name different things to do; leave one of them out.")
    if len(args.seeds) > 1 and args.temperature == 0:
        raise UserError(
            f"--seeds {' '.join(map(str, args.seeds))} at --temperature 0 would be equal decodings; pass a temperature above 0, "
            "such as 0.7, or --repeat N for the noise of greedy decoding."
        )


def check_prompt(args: argparse.Namespace) -> None:
    """Raises UserError for options of the prompt that do not go together."""
    for option, value in (("--system", args.system), ("--template-arg", args.template_arg)):
        if value and args.prompt != "tokenizer":
            raise UserError(
                f"{option} is for chat templates of other models; add --prompt tokenizer, or leave out {option}."
            )
    names = [name for name, _ in args.template_arg]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--template-arg {twice[0]} is given {names.count(twice[0])} times; give it once.")
    if args.shots_from and not args.shots:
        raise UserError(f"--shots-from {args.shots_from} needs --shots K, the number of examples before each problem.")
    if args.shots and args.prompt == "training" and args.command is watch:
        raise UserError(
            "--shots is for base models, and the checkpoints of a run are trained without examples; leave out --shots, or "
            "pass --prompt current to ask with examples anyway."
        )


@contextmanager
def _logged(reports: Path) -> Iterator[Console]:
    log = reports / "eval.log"
    with quiet(log) as console, unexpected_errors(log):
        yield console


def _show(summaries: list[dict[str, Any]], reports: Path, console: Console) -> tuple[list[dict[str, Any]], list[str]]:
    """Prints the tables and writes the report; (the summaries without repeats, seeds folded, what must not be trusted)."""
    from eval.noise import fold_repeats
    from eval.report import find_evaluations, load_graded, make_sections, terminal_table, write_report
    from eval.summary import untrusted

    shown, floors = fold_repeats(summaries, load_graded(reports, summaries))
    sections = make_sections(find_evaluations(reports, summaries))
    terminal_table(sections, console)
    for summary in shown:
        floor = floors.get(summary["key"])
        summary["noise"] = asdict(floor) if floor else None
    shown = _rows(shown, sections)
    console.print(f"report: {write_report(reports)}", markup=False, soft_wrap=True)
    return shown, untrusted(summaries, reports)


def _rows(summaries: list[dict[str, Any]], sections: list[Section]) -> list[dict[str, Any]]:
    """The summaries, those of several seeds as the one row that the table shows, under the name that was asked for."""
    found = [(section, e) for section in sections for e in section.current if e.folder.name in section.seeds]
    means = {e.folder.name: e.summary for _, e in found}
    others = {m.folder.name for section, e in found for m in section.members_of(e.summary)} - means.keys()
    names = ("checkpoint", "run", "step", "noise")
    return [
        summary | means.get(summary["key"], {}) | {name: summary.get(name) for name in names}
        for summary in summaries
        if summary["key"] not in others
    ]


def _end(untrusted: list[str]) -> int:
    for sentence in untrusted:
        print(f"not to be trusted: {sentence}", file=sys.stderr)
    return 1 if untrusted else 0


def _printed(summary: dict[str, Any]) -> dict[str, Any]:
    """The object --json shows for one (checkpoint, benchmark); key order is part of the interface."""
    keys = "checkpoint step benchmark n strict normalized equivalent ci95 truncated no_box key reused"
    times = "start_s load_s decode_s tokens_s grade_s output_tokens"
    more = "statuses grader limit ran_on samples pass_at_k maj_at_k prompt_variant noise asked seeds seeds_sd"
    return {key: summary.get(key) for key in f"{keys} {times} {more}".split()}


if __name__ == "__main__":
    sys.exit(main())
