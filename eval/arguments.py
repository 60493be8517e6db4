"""The command line of `python -m eval`: what can be asked, and what is refused before anything is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eval.chat import check_text, parse_argument
from eval.records import PROMPT_VARIANTS

SORTS = ("n", "strict", "normalized", "equivalent", "truncated", "no_box", "tokens")
EXPORTS = ("json", "csv", "parquet", "tensorboard", "inspect")

Command = Callable[[argparse.Namespace], int]


def parser(commands: Mapping[str, Command], description: str | None) -> argparse.ArgumentParser:
    """The parser; `args.command` is the function of the command that was named."""
    whole = argparse.ArgumentParser(prog="python -m eval", description=description)
    subparsers = whole.add_subparsers(required=True, metavar=" | ".join(commands))
    adds = {"run": add_run, "watch": add_watch, "report": add_report, "benchmarks": add_benchmarks}
    adds |= {"serve": add_serve, "export": add_export, "compare": add_compare, "regrade": add_regrade, "gc": add_gc}
    for name, command in commands.items():
        subparser = subparsers.add_parser(name, help=(command.__doc__ or "").splitlines()[0].rstrip("."))
        subparser.set_defaults(command=command)
        adds[name](subparser)
    return whole


def add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "checkpoints", nargs="+", metavar="CKPT", help="a checkpoint, a run folder (all its checkpoints) or a hub id"
    )
    add_measuring(command)
    command.add_argument("--json", action="store_true", help="one JSON array on stdout")
    command.add_argument("--check", action="store_true", help="only look for what would be refused; no engine starts")


def add_watch(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run", type=Path, metavar="RUN", help="the folder that training writes to; it may not exist yet"
    )
    add_measuring(command)


def add_measuring(command: argparse.ArgumentParser) -> None:
    """What to measure and how, the same for `run` and `watch`."""
    command.add_argument("--benchmark", required=True, metavar="NAME[,NAME]")
    command.add_argument(
        "--benchmarks-dir",
        type=Path,
        metavar="DIR",
        help="files NAME.jsonl, .json, .csv or .parquet (also .gz); default: the hub",
    )
    add_reports(command)
    command.add_argument(
        "--limit", type=positive, metavar="N",
        help="only N problems, drawn by a hash of their text and id: a smaller draw is part of a larger one; shown in every title",
    )  # fmt: skip

    prompt = command.add_argument_group("prompt")
    prompt.add_argument(
        "--prompt",
        choices=("training", "current", "tokenizer"),
        default="training",
        help="training: refuse a checkpoint that was trained on another prompt than today's sft_utils.py renders; current: "
        "take today's all the same; tokenizer: the checkpoint's own chat template, with the instruction to box the answer",
    )
    prompt.add_argument(
        "--prompt-variant",
        choices=tuple(filter(None, PROMPT_VARIANTS)),
        default="",
        help="what a changed boundary would cost or win: a space or a line break behind the prompt, or no BOS before it",
    )
    prompt.add_argument(
        "--shots", type=positive, default=0, metavar="K",
        help="few-shot, for base models: K solved problems before each, drawn by their content, never one that is asked",
    )  # fmt: skip
    prompt.add_argument(
        "--shots-from", type=Path, metavar="FILE",
        help="JSON lines of problem and solution, or of messages, each ending in a box (default: the benchmark's training split)",
    )  # fmt: skip
    prompt.add_argument(
        "--shots-seed", type=int, default=0, metavar="N", help="seed for drawing the examples (default 0)"
    )
    prompt.add_argument(
        "--system", type=system_text, metavar="TEXT|@FILE",
        help="with --prompt tokenizer: a system turn before the problem, as text or in a file",
    )  # fmt: skip
    prompt.add_argument(
        "--template-arg", type=template_argument, action="append", default=[], metavar="KEY=VALUE",
        help="with --prompt tokenizer: an argument of the chat template, such as enable_thinking=false; VALUE is JSON, else text",
    )  # fmt: skip

    decoding = command.add_argument_group("decoding")
    decoding.add_argument(
        "--max-tokens", type=positive, default=2048, metavar="N", help="new tokens an output may have (2048)"
    )
    decoding.add_argument(
        "--stop",
        choices=("problem", "eos"),
        default="problem",
        help="problem: end an output also where it begins the template's next problem (how many did is shown); eos: let it run",
    )
    decoding.add_argument("--n-samples", type=positive, default=1, metavar="K", help="samples a problem: pass@k, maj@k")
    decoding.add_argument("--temperature", type=not_negative, default=0.0, metavar="T", help="0 is greedy")
    decoding.add_argument("--top-p", type=share, default=1.0, metavar="P")
    decoding.add_argument("--seed", type=int, default=0, metavar="N", help="of sampling (0)")
    decoding.add_argument(
        "--seeds", type=seed_list, default=(), metavar='"0 1 2"',
        help="sample once with each seed, each an evaluation of its own; the row shows their mean and the spread between them",
    )  # fmt: skip
    decoding.add_argument(
        "--repeat", type=positive, default=0, metavar="N",
        help="decode N more times, every second time in small batches: which items flip is the noise floor",
    )  # fmt: skip

    command.add_argument(
        "--skip-broken",
        action="store_true",
        help="score the others where a checkpoint is broken or locked; it is listed at the end, and the exit code is 1",
    )

    engine = command.add_argument_group("engine")
    engine.add_argument("--engine", choices=("vllm", "hf", "ray"), default="vllm")
    engine.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    engine.add_argument(
        "--tensor-parallel", type=positive, default=1, metavar="N", help="GPUs that share one model (1)"
    )
    engine.add_argument(
        "--actors", type=positive, metavar="N", help="ray: engines (default: as many as the cluster holds)"
    )
    engine.add_argument("--workers", type=positive, metavar="N", help="grading processes (one a core)")


def add_report(command: argparse.ArgumentParser) -> None:
    add_reports(command)
    command.add_argument("--sort", choices=SORTS, metavar="COLUMN", help=f"largest first, by {', '.join(SORTS)}")
    command.add_argument("--open", action="store_true", help="open it in the browser, where there is a desktop")


def add_serve(command: argparse.ArgumentParser) -> None:
    add_reports(command)
    command.add_argument("--port", type=port, default=8000, metavar="N", help="0 takes a free one (8000)")


def add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "formats",
        nargs="*",
        metavar="FORMAT",
        type=export_format,
        help=f"{', '.join(EXPORTS)} (json, csv and parquet where none is named)",
    )
    add_reports(command)
    command.add_argument("--to", type=Path, metavar="DIR", help="the folder to write to (REPORTS/export)")


def add_compare(command: argparse.ArgumentParser) -> None:
    for side in ("a", "b"):
        command.add_argument(
            side,
            metavar=side.upper(),
            help="an evaluated checkpoint, run (its last checkpoint), hub id, label of the report, or key of the store",
        )
    command.add_argument("--benchmark", metavar="NAME[,NAME]", help="default: all that both were evaluated on")
    add_reports(command)
    command.add_argument("--json", action="store_true", help="one JSON array on stdout")


def add_regrade(command: argparse.ArgumentParser) -> None:
    add_reports(command)
    command.add_argument("--workers", type=positive, metavar="N", help="grading processes (one a core)")


def add_gc(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="evaluations to delete too: a checkpoint, a run (all of its checkpoints), a label of the report, or a key",
    )
    add_reports(command)
    command.add_argument(
        "--weights-gone",
        action="store_true",
        help="evaluations to delete too: those whose weights are at no known place any more (reads all weights)",
    )
    command.add_argument("--delete", action="store_true", help="delete what is listed; without it nothing is touched")


def add_benchmarks(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--benchmarks-dir", type=Path, metavar="DIR")
    command.add_argument("--check", action="store_true", help="every reference answer must grade itself")


def add_reports(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")


def seed_list(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f'{text!r} is no list of whole numbers, such as "0 1 2"')
    seeds = tuple(map(int, parts))
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} names a seed twice, which would be the same samples again")
    return seeds


def system_text(text: str) -> str:
    try:
        told = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else check_text(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read ({reason}); name a text file after @") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not told.strip():
        raise argparse.ArgumentTypeError(f"{text!r} holds no text; leave --system out for no system turn")
    return told.strip()


def template_argument(text: str) -> tuple[str, Any]:
    try:
        return parse_argument(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def export_format(text: str) -> str:
    if text not in EXPORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no format; choose from {', '.join(EXPORTS)}")
    return text


def port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def not_negative(text: str) -> float:
    if not 0 <= (value := number(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return value


def share(text: str) -> float:
    if not 0 < (value := number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not in (0, 1]")
    return value
