"""python -m data submission: write what travels, look at it, rehearse it, and verify the archive as a stranger would."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from data.submission import archive, lint, rehearse, verify, writer
from data.submission.checks import config, files
from data.submission.lint import Report
from eval.console import quiet, unexpected_errors
from eval.records import UserError

ACTIONS = ("write", "lint", "rehearse", "verify")


def add_parser(commands: Any) -> None:
    """Adds `submission` to the commands of python -m data."""
    command = commands.add_parser(
        "submission", help="write, lint, rehearse or verify what is handed in", description=__doc__
    )
    command.set_defaults(command=submission)
    command.add_argument("action", nargs="?", default="write", choices=ACTIONS, help="default: write, then lint")
    command.add_argument(
        "target", nargs="?", type=Path, help="a submission's folder or zip (not for write); default: --out"
    )
    command.add_argument("--config", type=Path, default=Path("sft_config.yaml"), help="for write; default: %(default)s")
    command.add_argument("--sft-utils", type=Path, default=Path("sft_utils.py"), help="for write; default: %(default)s")
    command.add_argument("--dataset", type=Path, help="for write: the dataset's folder; default: as the config says")
    command.add_argument("--model", help="hub id to write as model_name_or_path, where the config names a local folder")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("submission"),
        help="folder to write, with its zip next to it; default: %(default)s",
    )
    command.add_argument(
        "--accuracy", metavar="MODEL", help="state a measured accuracy: a checkpoint's folder or a key of --reports"
    )
    command.add_argument(
        "--reports", type=Path, default=Path("reports"), help="stored evaluations; default: %(default)s"
    )
    command.add_argument(
        "--benchmarks-dir",
        type=Path,
        metavar="DIR",
        help="benchmarks whose problems must not be among the training rows",
    )
    command.add_argument(
        "--rehearse", action="store_true", help="for write: train two steps on the contract's versions first"
    )


def submission(args: argparse.Namespace) -> None:
    """Does one of the four; what libraries print goes to submission.log beside --out."""
    log = args.out.absolute().with_suffix(".log")
    with quiet(log) as console, unexpected_errors(log), tempfile.TemporaryDirectory(prefix="submission-") as work:
        if args.action == "write":
            if args.target:
                raise UserError(
                    f"submission write takes no {args.target}; name the parts: --config, --sft-utils, --dataset."
                )
            write(args, Path(work), console)
            return
        with opened(args.target or args.out, Path(work)) as folder:
            ACTION[args.action](folder, Path(work), console, args.benchmarks_dir)


def write(args: argparse.Namespace, work: Path, console: Console) -> None:
    """The folder and its zip, or neither; the findings either way."""
    partial = args.out.absolute().with_name(f".{args.out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        settings, left_out = writer.stage(args.config, args.sft_utils, args.dataset, partial, args.model)
        for key, value in left_out.items():
            console.print(f"left out: {key}: {value!r}; {writer.meaning(key)}", style="bold yellow", markup=False)
        report = lint.lint(
            partial, work / "lint", console, args.benchmarks_dir, str(settings.get("model_name_or_path") or "")
        )
        refuse(report, args.out.name, console)
        stated = accuracies(args, report, console) if args.accuracy else []
        rehearsal = work / "rehearsal"
        told = rehearsed(partial, settings, report, rehearsal, console, bool(stated)) if args.rehearse else None
        recipe = writer.recipe_of(args.dataset or Path(settings["dataset_name_or_path"]))
        writer.write_manifest(partial, writer.manifest(partial, report, left_out, recipe, stated, told))
        archive.pack(partial, work / "packed.zip")
        writer.replace_folder(partial, args.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    zipped = args.out.with_name(f"{args.out.name}.zip")
    shutil.copyfile(work / "packed.zip", partial)
    partial.replace(zipped)
    size = f"{zipped.stat().st_size / 1e6:.1f} MB, sha256 {archive.sha256(zipped)}"
    console.print(f"{args.out}/ and {zipped} ({size})", markup=False, soft_wrap=True)


def refuse(report: Report, name: str, console: Console) -> None:
    """Shows the findings. Raises UserError (exit code 1) where one of them is fatal."""
    lint.show(report, name, console)
    if not report.ok:
        checks = sorted({finding.check for finding in report.findings if finding.fatal})
        raise UserError(
            f"{name} would fail or score less elsewhere ({', '.join(checks)}); the table says how to mend it.", 1
        )


def rehearsed(
    folder: Path,
    settings: dict[str, Any],
    report: Report,
    work: Path,
    console: Console,
    stated: bool = False,
    own: bool = True,
) -> dict[str, Any]:
    """Shows and returns the results of both stacks. Raises UserError (exit code 1) where the contract's stack fails, or where
    it reads other rows than those that an accuracy is `stated` for."""
    told = rehearse.rehearse(folder, settings, work, console, own)
    rehearse.show(told, console)
    if not rehearse.passed(told):
        stock = told["stock"]
        said = stock.get("error") or "no weight changed"
        raise UserError(f"the contract's own versions fail at {stock['stage']}: {said}; fix that, then run again.", 1)
    for other in verify.check_stock_rows(report, told, stated):
        said = f"{other.where}: {other.problem}; {other.fix}"
        if other.fatal:
            raise UserError(f"{said}.", 1)
        console.print(f"to know: {said}", markup=False, style="yellow")
    return told


def accuracies(args: argparse.Namespace, report: Report, console: Console) -> list[dict[str, Any]]:
    from data.submission import accuracy

    stated = accuracy.stated(args.accuracy, args.reports, report)
    for entry in stated:
        for line in accuracy.describe(entry):
            console.print(line, markup=False)
    return stated


@contextmanager
def opened(target: Path, work: Path) -> Iterator[Path]:
    """A submission's folder; an archive is unpacked below `work`, if nothing about it forbids that."""
    if target.is_dir():
        yield target.resolve()
    elif target.is_file():
        archive.extract(target, work / target.stem)
        yield work / target.stem
    else:
        raise UserError(f"{target} is neither a folder nor a zip; write one first: python -m data submission.")


def look(folder: Path, work: Path, console: Console, benchmarks_dir: Path | None) -> tuple[Report, dict[str, Any]]:
    """(report, manifest) of a submission that may be anybody's. Raises UserError (exit code 1) for what is fatal."""
    report = lint.lint(folder, work / "lint", console, benchmarks_dir)
    manifest, found = verify.read_manifest(folder)
    if manifest:
        found = [*verify.check_files(folder, manifest), *verify.check_accuracy(manifest, report)]
    report.findings = found + report.findings
    refuse(report, folder.name, console)
    return report, manifest


def rehearse_alone(folder: Path, work: Path, console: Console, _: Path | None) -> None:
    manifest = verify.read_manifest(folder)[0]
    text = (folder / config.NAME).read_text(encoding="utf-8") if (folder / config.NAME).is_file() else ""
    settings = config.read(text)[0]
    wrong = list(files.missing(folder, lint.dataset_folder(settings)))
    if wrong:  # before the contract's versions are set up, which are gigabytes
        said = ", ".join(f"{one.where}: {one.problem}" for one in wrong)
        raise UserError(f"{folder} is no submission that can be rehearsed ({said}); {wrong[0].fix}.")
    settings |= manifest.get("left_out", {})
    rehearsed(folder, settings, Report([]), work / "rehearsal", console)


def verify_archive(folder: Path, work: Path, console: Console, benchmarks_dir: Path | None) -> None:
    """Lint, manifest, accuracy, and the rehearsal, with nothing but what was unpacked."""
    try:
        report, manifest = look(folder, work, console, benchmarks_dir)
        stated = bool(manifest.get("accuracy"))
        rehearsed(folder, report.settings, report, work / "rehearsal", console, stated, own=False)
    except UserError as error:
        raise UserError(f"not verified: {error}", error.exit_code) from None
    for entry in manifest.get("accuracy", []):
        console.print(f"stated for these rows: {json.dumps(entry, ensure_ascii=False)[:400]}", markup=False)
    console.print(
        "verified: it loads, reads its files, trains (weights change), saves and loads again on the contract's versions",
        style="green",
        markup=False,
    )


ACTION = {"lint": look, "rehearse": rehearse_alone, "verify": verify_archive}
