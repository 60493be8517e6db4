"""python -m data: data sets from recipes, audits, ablations and submissions of them, the embedded default, and synthetic problems."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from data.submission.command import add_parser as add_submission
from eval.console import quiet, unexpected_errors
from eval.records import UserError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns 0 when done, 1 for a result that must not be trusted, 2 for a wrong request."""
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args) or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f"error: {error.filename or 'a file'}: {error.strerror or error}; mend that and run again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped; what is done is kept, run the same command again to go on.", file=sys.stderr)
        return 130


def demo(args: argparse.Namespace) -> None:
    """Writes the demo's model and data set where they are not there yet."""
    log = args.folder.parent / "demo.log"
    with quiet(log) as console, unexpected_errors(log):
        # Imported inside `quiet`: transformers prints on import.
        from data.demo import write_data, write_model

        with console.status("dequantising SmolLM2-135M-Instruct"):
            written = write_model(args.folder)
        console.print(f"base model: {args.folder}{'' if written else ' (already there)'}")
        counts = write_data(args.data)
        console.print(f"data: {args.data} ({', '.join(f'{count:,} {split}' for split, count in counts.items())})")


def build(args: argparse.Namespace) -> None:
    """Builds a recipe's data set; the folder is the last line of standard output."""
    with quiet(args.out / "build.log") as console, unexpected_errors(args.out / "build.log"):
        # Imported inside `quiet`: transformers prints on import.
        from data.build import build as build_recipe
        from data.card import show
        from data.recipe import read_recipe

        copies = dict(_named(pair) for pair in args.source)
        recipe = read_recipe(args.recipe, copies, args.tokenizer, _columns_by_source(args.columns))
        built = build_recipe(recipe, args.out, args.benchmarks_dir, console, args.workers)
        show(built.manifest, built.reused, console)
    if args.json:
        said = {key: built.manifest[key] for key in ("name", "digest", "rows_read", "splits", "by_source", "funnel")}
        print(json.dumps({"folder": str(built.folder), "reused": built.reused} | said, ensure_ascii=False))
    else:
        print(built.folder)


def _named(pair: str) -> tuple[str, str]:
    name, found, path = pair.partition("=")
    if not found:
        raise UserError(f"--source {pair}: write --source NAME=PATH, with a name of the recipe's sources.")
    return name, path


def _columns_by_source(asked: list[str]) -> dict[str, dict[str, str]]:
    """{source: its columns} of `NAME:problem=Q,solution=A`."""
    found: dict[str, dict[str, str]] = {}
    for one in asked:
        name, colon, pairs = one.partition(":")
        if not colon or "=" in name:
            raise UserError(f"--columns {one}: write NAME:problem=COLUMN,…, with a name of the recipe's sources.")
        found[name] = found.get(name, {}) | _columns(pairs)
    return found


def _columns(asked: str) -> dict[str, str]:
    """{what it is: its column} of `problem=Q,solution=A`; which of the names are known is checked by who uses them."""
    pairs = [pair.partition("=") for pair in asked.split(",")]
    if not all(column.strip() for _, _, column in pairs):
        raise UserError(f"--columns {asked}: write problem=COLUMN,solution=COLUMN,answer=COLUMN.")
    return {new.strip(): column.strip() for new, _, column in pairs}


def audit(args: argparse.Namespace) -> None:
    """Says what a data set teaches and gives away: tables, and on request JSON and a page."""
    log = args.log / "audit.log"
    with quiet(log) as console, unexpected_errors(log):
        # Imported inside `quiet`: transformers prints on import.
        from data.audit import audit as audit_dataset
        from data.audit import find_instruments
        from data.audit_report import show, write_page
        from data.recipe import check_columns

        columns = {new: column for one in args.columns for new, column in _columns(one).items()}
        check_columns(columns, "--columns")
        instruments = find_instruments(args.tokenizer, args.benchmarks_dir, console)
        figures = audit_dataset(args.dataset, instruments, console, args.workers, columns)
        if args.html:
            write_page(figures, args.html)
            console.print(f"open {args.html}", markup=False)
        if not args.json:
            show(figures, console)
    if args.json:
        print(json.dumps(figures))


def synthetic(args: argparse.Namespace) -> None:
    """Writes a synthetic data set."""
    from data.synthetic import write_dataset

    counts = write_dataset(args.folder, args.train, args.test, args.validation, args.seed)
    print(f"{args.folder}: {counts}")


def ablate(args: argparse.Namespace) -> int:
    """Trains and measures recipes against a control; the table goes to stderr, with --json the figures to stdout."""
    log = args.reports / "ablate.log"
    with quiet(log) as console, unexpected_errors(log):
        # Imported inside `quiet`: reports bring matplotlib, counting tokens transformers.
        from data.ablate import ablate as run_ablation
        from data.ablate import make_plan
        from eval.report.ablation import as_json, terminal_table

        found, problems = run_ablation(make_plan(args, Path.cwd()), console)
        terminal_table(found, console)
        console.print(f"report: {args.reports / 'index.html'}", markup=False, soft_wrap=True)
    if args.json:
        print(json.dumps(as_json(found), indent=1, ensure_ascii=False))
    for sentence in problems:
        print(sentence, file=sys.stderr)
    return 1 if problems else 0


def _add_ablate(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "recipes", nargs="+", metavar="RECIPE", help="a recipe, a folder with train.jsonl, or an arm (data/arms.py)"
    )
    command.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="0 1 trains each recipe twice")
    command.add_argument("--control", metavar="RECIPE", help="what the others are held against (default: the first)")
    command.add_argument(
        "--leave-one-out", action="store_true", help="one recipe against itself without each of its sources"
    )
    command.add_argument("--budget", metavar="tokens=N", help="the same number of training tokens for all")
    command.add_argument("--config", type=Path, default=Path("sft_config.yaml"), help="settings of every training")
    command.add_argument("--processes", type=int, metavar="N", help="training processes of a cell (one a GPU, else 1)")
    build = command.add_argument_group("building recipes")
    build.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="read a source from a copy: PATH or FOLDER:SPLIT",
    )
    build.add_argument("--tokenizer", metavar="MODEL", help="count tokens of recipes by it, instead of by their own")
    scoring = command.add_argument_group("scoring, as in python -m eval run")
    scoring.add_argument("--benchmark", required=True, metavar="NAME[,NAME]")
    scoring.add_argument("--benchmarks-dir", type=Path, metavar="DIR")
    scoring.add_argument("--limit", type=int, metavar="N")
    scoring.add_argument("--max-tokens", type=int, metavar="N")
    scoring.add_argument("--engine", choices=("vllm", "hf", "ray"))
    scoring.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    scoring.add_argument(
        "--score-together",
        action="store_true",
        help="train all cells, then score them by one engine: no figure before the end, an engine's start saved a cell",
    )
    spread = command.add_argument_group("several machines")
    spread.add_argument(
        "--ray", action="store_true", help="each cell a task of the cluster that RAY_ADDRESS names, else here"
    )
    spread.add_argument("--cpus", type=int, metavar="N", help="cores of a cell (default: all of a machine)")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="build | audit | ablate | submission | demo | synthetic")
    command = commands.add_parser("build", help="a recipe's data set, in a folder named by its content")
    command.set_defaults(command=build)
    command.add_argument("recipe", type=Path, help="a YAML file, such as those in data/recipes")
    command.add_argument("--out", type=Path, default=Path("data/built"), help="where <name>-<digest> is made")
    command.add_argument(
        "--benchmarks-dir", type=Path, help="files of benchmarks to decontaminate against, instead of the hub's"
    )
    command.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="read a source from a copy: NAME=PATH[:SPLIT]",
    )
    command.add_argument(
        "--columns", action="append", default=[], metavar="NAME:problem=…", help="which column of a source is what"
    )
    command.add_argument("--tokenizer", help="a model's folder or hub id, instead of the recipe's")
    command.add_argument("--workers", type=int, help="processes (default: one a core; 0: this one)")
    command.add_argument("--json", action="store_true", help="one JSON object on standard output")
    command = commands.add_parser("audit", help="what a data set teaches, and what it gives away of the benchmarks")
    command.set_defaults(command=audit)
    command.add_argument(
        "dataset",
        help="JSON (.gz), CSV, Parquet, or a folder of them or of save_to_disk; FOLDER:SPLIT for another split",
    )
    command.add_argument(
        "--columns", action="append", default=[], metavar="problem=…,solution=…", help="which column is what"
    )
    command.add_argument("--benchmarks-dir", type=Path, help="benchmarks to compare with, instead of the hub's")
    command.add_argument("--tokenizer", help="a model's folder or hub id, whose tokens count (default: the demo's)")
    command.add_argument("--html", type=Path, help="write a page with plots there, too")
    command.add_argument("--json", action="store_true", help="one JSON object on standard output instead of tables")
    command.add_argument("--workers", type=int, help="processes (default: one a core for a large set)")
    command.add_argument("--log", type=Path, default=Path("reports"), help="the folder of audit.log")
    command = commands.add_parser("demo", help="the base model and the data set of `make demo`")
    command.set_defaults(command=demo)
    command.add_argument("folder", type=Path, nargs="?", default=Path("models/smollm2-135m"), help="the model's folder")
    command.add_argument("--data", type=Path, default=Path("data/built/demo"), help="the data set's folder")
    command = commands.add_parser("synthetic", help="arithmetic word problems: train, validation, test")
    command.set_defaults(command=synthetic)
    command.add_argument("folder", type=Path)
    for name, count in (("train", 5000), ("validation", 100), ("test", 500), ("seed", 0)):
        command.add_argument(f"--{name}", type=int, default=count)
    command = commands.add_parser("ablate", help="recipes against a control: trained alike, measured in pairs")
    command.set_defaults(command=ablate)
    _add_ablate(command)
    add_submission(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
