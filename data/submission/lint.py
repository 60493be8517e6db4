"""Looks at a submission as the machine that retrains it will: every check, all problems at once."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from data.decontaminate import Index, build
from data.submission import sandbox, tokenizer
from data.submission.checks import behaviour, code, config, files, rows, stored, syntax, vocabulary
from data.submission.checks.findings import Finding
from eval import benchmarks
from eval.console import print_table, progress
from eval.records import UserError

STOCK_PYTHON = Path(__file__).resolve().parents[2] / ".venv-stock" / "bin" / "python"
DATASET = "dataset"  # its folder in what `writer` writes
# Code that does one of these is read and not run.
NOT_RUN = {"process", "dynamic", "write", "network"}


@dataclass
class Report:
    """What was found, and what the three functions told when they were run ({} where they were not)."""

    findings: list[Finding]
    told: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    stand_in: str = ""

    @property
    def ok(self) -> bool:
        return not any(finding.fatal for finding in self.findings)


def lint(folder: Path, work: Path, console: Console, benchmarks_dir: Path | None = None, model: str = "") -> Report:
    """All findings about the submission in `folder`; what is run there writes below `work` only.

    With `benchmarks_dir`, training rows that are problems of one of its benchmarks too. `model` is where the tokenizer
    is taken from, if not from the config's own model.
    """
    settings, _, _ = config.read(text_of(folder / config.NAME))
    dataset = dataset_folder(settings)
    found = [
        *files.findings(folder, dataset),
        *encoding(folder),
        *config.findings(text_of(folder / config.NAME), folder),
        *code.findings(text_of(folder / code.NAME)),
    ]
    report = Report([*found, *contracts_python(folder, found)], settings=settings)
    index = tests(benchmarks_dir)
    if others := benchmarks.left_out(benchmarks_dir):
        console.print(others, markup=False, soft_wrap=True)
    total = sum(rows.count(folder / dataset / f"{split}.jsonl") for split in rows.MAX_ROWS)
    with progress(console, "read the rows", total, "row") as advance:
        seen = rows.read_all(folder / dataset, advance, index)
    report.findings += rows.of_files(seen)
    run_functions(report, folder, dataset, work, console, model, seen)
    returned = rows.read_returned(work / "first" / "writable" / "rows", seen, report.told, index)
    report.findings += rows.of_rows(returned, index)
    if len(report.told.get("rows", {})) == len(files.SPLITS):  # whatever the files are called
        unneeded = set(files.incomplete(folder, dataset))
        report.findings = [finding for finding in report.findings if finding not in unneeded]
    report.findings.sort(key=lambda finding: not finding.fatal)
    return report


def contracts_python(folder: Path, found: list[Finding]) -> list[Finding]:
    """What Python 3.10 itself cannot read, where .venv-stock exists and the checks found no such fault."""
    if not STOCK_PYTHON.is_file() or any(finding.check == "syntax" for finding in found):
        return []
    place = syntax.ask(STOCK_PYTHON, text_of(folder / code.NAME))
    return [code.unreadable(*place)] if place else []


def tests(folder: Path | None) -> Index | None:
    """The problems of every benchmark in `folder`; the demo keeps its own beside train and validation."""
    names = _test_names(folder) if folder else []
    return build(problem for name in names for problem in benchmarks.load(name, folder).problems) if names else None


def _test_names(folder: Path) -> list[str]:
    """Raises UserError where the folder holds the training rows only: nothing would be compared."""
    if names := [name for name in benchmarks.names(folder) if name not in rows.MAX_ROWS]:
        return names
    raise UserError(f"{folder} holds no benchmark beside {' and '.join(rows.MAX_ROWS)}; name the folder of the tests.")


def run_functions(
    report: Report,
    folder: Path,
    dataset: str,
    work: Path,
    console: Console,
    model: str,
    seen: dict[str, rows.Seen],
) -> None:
    """Adds what the functions do when they are run, unless reading them says that they should not be."""
    unsure = set(files.incomplete(folder, dataset))
    reasons = {finding.check for finding in report.findings if finding.fatal and finding not in unsure}
    unreadable = reasons & {"syntax", "file", "line", "line-size"}
    if unreadable or (reasons & NOT_RUN):
        why = ", ".join(sorted(unreadable or reasons & NOT_RUN))
        fix = "mend that first, then look again"
        report.findings.append(
            Finding("not-run", code.NAME, f"the functions were not run, because of {why}", fix, False)
        )
        return
    model = model or str(report.settings.get("model_name_or_path") or "")
    report.stand_in = tokenizer.write(model, work / "model")
    packing = bool(config.value_of(report.settings, "packing"))
    job: dict[str, Any] = {"dataset": dataset, "model": str((work / "model").resolve()), "readable": []}
    job |= {"packing": packing, "digests": rows.digests(seen)}
    lines = {split: part.rows for split, part in seen.items()} or stored.counts(folder / dataset)
    first = sandbox.start("probe.py", folder, work / "first", job)
    others = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "PYTHONHASHSEED": "1"}
    rows_only = job | {"rows_only": True, "others": True}
    second = sandbox.start("probe.py", folder, work / "second", rows_only, **others)
    total = sum(lines.values())  # 0 where only load_datasets knows
    shown = progress(console, "run the functions", total, "row") if total else nullcontext(lambda done: None)
    with shown as advance:
        report.told = first.wait(advance=advance)
    again = second.wait()
    if behaviour.unmoved(again):  # a cache in the code may be the reason, which a new process does not have
        again["others"] = (
            sandbox.start("probe.py", folder, work / "third", rows_only | {"alone": True}).wait().get("others")
        )
    report.findings += behaviour.findings(report.told, again, lines, packing, bool(report.stand_in))
    report.findings += vocabulary.findings(report.told, vocabulary.size_of(model), bool(report.stand_in))


def dataset_folder(settings: dict[str, Any]) -> str:
    """Where the rows lie in the submission: as the config says, where that is a path inside."""
    named = settings.get("dataset_name_or_path")
    inside = (
        isinstance(named, str) and not PurePosixPath(named).is_absolute() and ".." not in PurePosixPath(named).parts
    )
    return str(PurePosixPath(str(named))) if named and inside else DATASET


def text_of(path: Path) -> str:
    """The text of a file that people write; "" where it is missing, too large or a link, which other checks say."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > files.TEXT_BYTES:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def encoding(folder: Path) -> list[Finding]:
    found = []
    for name in files.NEEDED:
        path = folder / name
        if path.is_file() and "\ufffd" in text_of(path):
            found.append(Finding("encoding", name, "this is not UTF-8", "save it as UTF-8"))
    return found


def show(report: Report, name: str, console: Console) -> None:
    """The table of findings, then one line that says how it stands."""
    if report.findings:
        columns = [Column(name) for name in ("check", "where", "what is wrong", "how to fix it")]
        styles = ["bold red" if finding.fatal else "yellow" for finding in report.findings]
        rows = [
            (Text(finding.check, style=style), finding.where, finding.problem, finding.fix)
            for finding, style in zip(report.findings, styles, strict=True)
        ]
        print_table(console, columns, rows)
    if report.stand_in:
        console.print(f"note: {report.stand_in}", markup=False)
    fatal = sum(finding.fatal for finding in report.findings)
    said = f"{fatal} to mend" if fatal else "nothing to mend"
    console.print(f"{name}: {said}, {len(report.findings) - fatal} to know", markup=False)
