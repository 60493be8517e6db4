"""python -m eval: score checkpoints, watch a run, report, serve, export, compare, grade again, list and check benchmarks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column

from eval.arguments import parser
from eval.console import console_on, print_table, printable, quiet, unexpected_errors
from eval.records import Decoding, UserError, split_names
from eval.words import signed, size
from graders.text import for_terminal

if TYPE_CHECKING:
    from eval.gc import Garbage
    from eval.plan import Options
    from eval.report.conditions import Section
    from eval.skips import Skipped

FLIPS_SHOWN = 20
LEAST_TEMPERATURE = 0.01


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
        print(f"error: {for_terminal(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; what is decoded is kept, run the same command again to go on.", file=sys.stderr)
        return 130


def run(args: argparse.Namespace) -> int:
    """Scores every checkpoint on every benchmark; the table goes to stderr, with --json the array to stdout."""
    options, skipped = _options(args), _skipped(args)
    with _logged(args.reports) as console:
        # Imported late: torch and transformers print on import, and --help need not wait for them.
        from eval.run import evaluate, prepare

        if args.check:
            _, jobs, _ = prepare(args.checkpoints, options, skipped, console)
            console.print(f"no problems found: {len(jobs)} evaluations can run.")
            return _end([], skipped)
        summaries = list(evaluate(args.checkpoints, options, console, skipped))
        shown, untrusted = _show(summaries, args.reports, console)
    if args.json:
        rows = [_printed(summary) for summary in shown]
        rows += [
            {"checkpoint": s.checkpoint, "benchmark": s.benchmark or None, "skipped": s.reason} for s in skipped or ()
        ]
        json.dump(rows, sys.stdout, indent=1)
        print()
    return _end(untrusted, skipped)


def watch(args: argparse.Namespace) -> int:
    """Scores the checkpoints of a run as training finishes them; ends with the run.

    Accuracy joins the losses on the run's own TensorBoard.
    """
    options, skipped = _options(args), _skipped(args)
    with _logged(args.reports) as console:
        from eval.report import load_evaluations, make_sections
        from eval.report.scalars import write_scalars
        from eval.run import watch as watch_run

        summaries: list[dict[str, Any]] = []
        untrusted: list[str] = []
        for summary in watch_run(args.run, options, console, skipped):
            summaries.append(summary)
            _, untrusted = _show(summaries, args.reports, console)
            write_scalars(make_sections(load_evaluations(args.reports)), args.reports / "export")
        if not summaries and not skipped:
            raise UserError(f"{args.run} has ended without a checkpoint; see its train.log.", exit_code=1)
    return _end(untrusted, skipped)


def report(args: argparse.Namespace) -> int:
    """Rebuilds the pages from what is stored, and prints the tables."""
    from eval.report import load_evaluations, make_sections, print_overviews, terminal_table, write_report

    if not args.reports.is_dir():
        raise UserError(f"{args.reports} is no folder; score a checkpoint first: make eval CKPT=…")
    page = write_report(args.reports)
    sections, console = make_sections(load_evaluations(args.reports)), console_on(sys.stdout)
    terminal_table(sections, console, args.sort)
    print_overviews(sections, console)
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
        folder = args.to or args.reports / "export"
        paths = [path for write in _writers(name) for path in write(sections, folder)]
        print("\n".join(f"{name}: {path}" for path in paths) or f"{name}: nothing to write, no row is a checkpoint")
    return 0


def compare(args: argparse.Namespace) -> int:
    """Compares two models on the same problems; the tables go to stdout, with --json to stderr and the array to stdout."""
    from eval.compare import compare as pair_up
    from eval.compare import find_side, untrusted
    from eval.report.comparison import as_json, print_comparisons

    a, b = find_side(args.a, args.reports), find_side(args.b, args.reports)
    names = split_names(args.benchmark) if args.benchmark is not None else ()
    if "" in names:
        raise UserError(f"--benchmark {args.benchmark!r} has an empty name; write math500 or math500,gsm8k-test.")
    comparisons, left_out = pair_up(a, b, names)
    print_comparisons(a, b, comparisons, left_out, console_on(sys.stderr if args.json else sys.stdout))
    if args.json:
        json.dump([as_json(comparison) for comparison in comparisons], sys.stdout, indent=1)
        print()
    return _end(untrusted(comparisons))


def regrade(args: argparse.Namespace) -> int:
    """Grades what is stored under today's rules, without a model; shows which outputs change their status."""
    from eval.grading import regrade as regrade_all
    from eval.report import load_evaluations, write_report
    from eval.summary import untrusted

    done, console = [], console_on(sys.stderr)
    names = {evaluation.folder.name: evaluation.summary["checkpoint"] for evaluation in load_evaluations(args.reports)}
    for regraded in regrade_all(args.reports, args.workers, console):
        done.append(regraded)
        before, after = regraded.before, regraded.after
        shares = _moved(before["equivalent"], after["equivalent"])
        changed = (
            f"{len(regraded.flips)} of {after['n']} outputs change from grader {before['grader']} to {after['grader']}"
        )
        place = printable(f"{names.get(after['key'], after['checkpoint'])} on {after['benchmark']}")
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
    """Lists leftovers and unused problems, and the evaluations that are asked for; with --delete what is listed goes."""
    from eval import gc as store_gc

    if not args.reports.is_dir():
        raise UserError(f"{args.reports} is no folder; pass the reports folder with --reports DIR.")
    if args.names and args.weights_gone:
        raise UserError(
            f"--weights-gone picks the evaluations by itself; leave out {args.names[0]}, or --weights-gone."
        )
    asked = store_gc.named(args.reports, args.names)
    if args.weights_gone:
        asked = store_gc.weights_gone(args.reports)
    rows = [*asked, *store_gc.certain(args.reports, without=[row.path for row in asked])]
    console = console_on(sys.stdout)
    _list_garbage(rows, args.reports, console)
    if rows and args.delete:
        store_gc.delete(rows)
        console.print(f"deleted {len(rows)}")
    elif rows:
        console.print("nothing is deleted yet: pass --delete")
    console.print(_what_stays(args.reports, {row.path for row in asked}), markup=False, soft_wrap=True)
    return 0


def _list_garbage(rows: list[Garbage], reports: Path, console: Console) -> None:
    if not rows:
        console.print("nothing to delete.")
        return
    names = [str(row.path.relative_to(reports) if row.path.is_relative_to(reports) else row.path) for row in rows]
    cells = [(name, row.reason, f"{row.size_bytes / 1e6:,.1f}") for name, row in zip(names, rows, strict=True)]
    print_table(console, [Column(f"in {reports}"), Column("why"), Column("MB", justify="right")], cells)
    console.print(f"together {sum(row.size_bytes for row in rows) / 1e6:,.1f} MB")


def _what_stays(reports: Path, listed: set[Path]) -> str:
    from eval.gc import evaluation_folders, size_of

    folders = [folder for folder in evaluation_folders(reports) if folder not in listed]
    if not folders:
        return "no other evaluation is stored."
    unfinished = sum(not (folder / "DONE").exists() for folder in folders)
    told = f", {unfinished} of them unfinished" if unfinished else ""
    return (
        f"{len(folders)} {'evaluation stays' if len(folders) == 1 else 'evaluations stay'}{told}: "
        f"{sum(map(size_of, folders)) / 1e6:,.1f} MB. They are listed only when they are named (NAME …), or with --weights-gone "
        "where their weights are at no known place any more."
    )


def benchmarks(args: argparse.Namespace) -> int:
    """Lists benchmarks; with --check, every reference answer must grade itself."""
    from eval import benchmarks as known
    from eval.benchmark_remarks import show_remarks

    columns = [Column("benchmark", no_wrap=True), Column("problems", justify="right")]
    columns += [Column("answers that do not grade themselves")] if args.check else []
    rows: list[list[str]] = []
    failed, said = 0, list[tuple[str, bool]]()
    for name in args.names or known.names(args.benchmarks_dir):
        if not args.check and not args.benchmarks_dir:
            rows.append([name, str(known.hub_row(name).count)])
            continue
        try:
            row, bad, found = _checked(name, args)
        except UserError as error:
            if args.names:
                raise
            # A damaged file must not hide the others.
            row, bad, found = (
                [name, "damaged", "not checked"][: len(columns)],
                error.exit_code,
                [(f"error: {error}", True)],
            )
        failed, said = max(failed, bad), said + found
        rows.append(row)
    console = console_on(sys.stdout)
    print_table(console, columns, rows)
    if not args.names and (others := known.left_out(args.benchmarks_dir)):
        said.append((others, False))
    show_remarks(said, console)
    return failed


def _checked(name: str, args: argparse.Namespace) -> tuple[list[str], int, list[tuple[str, bool]]]:
    """(the row of a benchmark, its exit code, what is to be said of it)."""
    from eval import benchmarks as known
    from eval.benchmark_remarks import remarks, shortened

    benchmark = known.load(name, args.benchmarks_dir)
    row = [name, str(len(benchmark.problems))]
    if not args.check:
        return row, 0, []
    bad, stated = known.ungradable(benchmark), {reading.id: reading.stated for reading in benchmark.readings}
    shown = ", ".join(
        f"{problem.id} {shortened(stated.get(problem.id, problem.answer))} ({status})" for problem, status in bad[:5]
    )
    return [*row, f"{len(bad)}{': ' if bad else ''}{shown}"], 1 if bad else 0, remarks(benchmark)


def _moved(before: float, after: float) -> str:
    """How an accuracy changed: "25.0 -> 26.7 % (+1.7 points)"."""
    change = f"{signed(after - before)} points"
    if signed(after - before) == "0.0":
        change = "unchanged" if after == before else f"{'up' if after > before else 'down'} by {size(after - before)}"
    return f"{100 * before:.1f} -> {100 * after:.1f} % ({change})"


def _writers(name: str) -> Sequence[Callable[[list[Section], Path], list[Path]]]:
    """The functions of an export format. Imported late: each brings a library of its own."""
    if name == "inspect":
        from eval.report.inspect_log import write_logs

        return [write_logs]
    if name == "tensorboard":
        from eval.report.scalars import write_scalars

        return [write_scalars]
    from eval.report import exports

    return {
        "json": [exports.write_summary, exports.write_means_json],
        "csv": [exports.write_csv, exports.write_means_csv],
        "parquet": [exports.write_parquet],
    }[name]


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
        benchmarks=split_names(args.benchmark),
        decoding=_decoding(args),
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


def _decoding(args: argparse.Namespace) -> Decoding:
    """Greedy decoding draws nothing, so it is the same with any seed and nucleus: one key."""
    stop = args.stop == "problem"
    if args.temperature == 0:
        return Decoding(args.max_tokens, n_samples=args.n_samples, stop_at_problem=stop)
    if args.temperature < LEAST_TEMPERATURE:
        raise UserError(
            f"--temperature {args.temperature:g} is greedy but for rounding; pass 0, or {LEAST_TEMPERATURE} or more."
        )
    return Decoding(args.max_tokens, args.temperature, args.top_p, args.n_samples, args.seed, stop)


def check_seeds(args: argparse.Namespace) -> None:
    """Raises UserError for --seeds that would give equal samples, or that --seed contradicts."""
    if args.seeds and args.seed:
        raise UserError(f"--seed {args.seed} and --seeds exclude each other; leave one of them out.")
    if len(args.seeds) > 1 and args.temperature == 0:
        raise UserError(
            f"--seeds {' '.join(map(str, args.seeds))} at --temperature 0 would give identical outputs; pass a temperature above 0, "
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
    from eval.report import (
        find_evaluations,
        load_evaluations,
        load_graded,
        make_sections,
        print_overviews,
        terminal_table,
        write_report,
    )
    from eval.summary import untrusted

    shown, floors = fold_repeats(summaries, load_graded(reports, summaries))
    # A label must mean in the whole store what it means here: `compare` takes it.
    asked, stored = find_evaluations(reports, summaries), load_evaluations(reports)
    sections = make_sections(asked, among=[*asked, *stored])
    terminal_table(sections, console)
    print_overviews(sections, console)
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


def _skipped(args: argparse.Namespace) -> list[Skipped] | None:
    """Where to list what is skipped; None where nothing may be."""
    return [] if args.skip_broken else None


def _end(untrusted: list[str], skipped: list[Skipped] | None = None) -> int:
    for sentence in untrusted:
        print(f"not to be trusted: {printable(sentence)}", file=sys.stderr)
    for one in skipped or ():
        print(for_terminal(str(one)), file=sys.stderr)
    return 1 if untrusted or skipped else 0


def _printed(summary: dict[str, Any]) -> dict[str, Any]:
    """The object --json shows for one (checkpoint, benchmark); key order is part of the interface."""
    keys = "checkpoint step benchmark n strict normalized equivalent ci95 truncated no_box key reused"
    times = "start_s load_s decode_s tokens_s grade_s output_tokens"
    more = "statuses grader limit ran_on samples pass_at_k maj_at_k prompt_variant noise asked seeds seeds_sd"
    return {key: summary.get(key) for key in f"{keys} {times} {more}".split()}


if __name__ == "__main__":
    sys.exit(main())
