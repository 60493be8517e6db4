"""python -m data: the embedded default's model and data set, and synthetic data sets of any size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eval.console import quiet, unexpected_errors
from eval.records import UserError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns 0 when done, 2 for a wrong request."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f"error: {error.filename or args.folder}: {error.strerror or error}; mend that and run again.",
            file=sys.stderr,
        )
        return 1
    return 0


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


def synthetic(args: argparse.Namespace) -> None:
    """Writes a synthetic data set."""
    from data.synthetic import write_dataset

    counts = write_dataset(args.folder, args.train, args.test, args.validation, args.seed)
    print(f"{args.folder}: {counts}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="demo | synthetic")
    command = commands.add_parser("demo", help="the base model and the data set of `make demo`")
    command.set_defaults(command=demo)
    command.add_argument("folder", type=Path, nargs="?", default=Path("models/smollm2-135m"), help="the model's folder")
    command.add_argument("--data", type=Path, default=Path("data/built/demo"), help="the data set's folder")
    command = commands.add_parser("synthetic", help="arithmetic word problems: train, validation, test")
    command.set_defaults(command=synthetic)
    command.add_argument("folder", type=Path)
    for name, count in (("train", 5000), ("validation", 100), ("test", 500), ("seed", 0)):
        command.add_argument(f"--{name}", type=int, default=count)
    return parser


if __name__ == "__main__":
    sys.exit(main())
