"""The rehearsal: the submission trained for two steps on the contract's own versions, beside what this project's stack does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from data.submission import opened, sandbox, tokenizer
from data.submission.checks import config
from data.submission.checks.files import NEEDED, SPLITS
from data.submission.checks.findings import shown
from data.submission.lint import dataset_folder
from eval.console import print_table

ROOT = Path(__file__).resolve().parents[2]
# Enough for every share to a percent, few enough for a minute.
ROWS = 2000
# Files of a dataset's folder that hold no rows.
NO_ROWS = {"manifest.json", "README.md", "dataset_dict.json", "dataset_info.json", "state.json"}

# Figure -> what it is, how it is shown, and what a difference means.
FIGURES: dict[str, tuple[str, str, str]] = {
    "longer_than_2048": ("examples over 2,048 tokens", "{:.2%}", "a stand-in tokenizer, or another template"),
    "cut": (
        "examples cut at 2,048",
        "{:.2%}",
        "stock packing cuts a stream: what is cut loses its end or its beginning",
    ),
    "eos_supervised": (
        "EOS learnt",
        "{:.0%}",
        "below 100 % the model runs on into the next problem, and the last box is wrong",
    ),
    "eos_per_example": (
        "EOS an example",
        "{:.2f}",
        "stock packing appends its own; the first one is what stops a model",
    ),
    "bos_per_example": ("BOS an example", "{:.2f}", "0 or 2 is a prompt that the evaluation does not ask"),
    "supervised": (
        "tokens learnt",
        "{:.1%}",
        "the stock stack learns problems too; a win of completion_only_loss stays here",
    ),
    "attends_across": ("attends across examples", "{}", "stock packing shows an example those before it"),
    "packing": ("packing", "{}", ""),
    "max_length": ("longest", "{:,}", ""),
    "effective_batch": ("examples or rows a step and process", "{:,}", "another batch is another optimisation"),
    "steps": ("steps, one process", "{:,}", "packing fills rows differently, so the schedule has another length"),
    "max_grad_norm": ("clipping", "{}", "a default that differs: state it"),
    "learning_rate": ("learning rate", "{}", "a default that differs: state it"),
    "learning_rate_type": ("its type", "{}", "a string dies inside the optimizer"),
    "scheduler": ("schedule", "{}", "a default that differs: state it"),
    "optimizer": ("optimizer", "{}", "a default that differs: state it"),
}
CLIPPING = (
    "clipping: plain PyTorch clips at max_grad_norm; under DeepSpeed 0.14.0 it does so only where the launch config says "
    "gradient_clipping: auto, and not at all where it says nothing (0.19.x: 1.0)"
)


def rehearse(folder: Path, settings: dict[str, Any], work: Path, console: Console, own: bool = True) -> dict[str, Any]:
    """{"stock", "own"}: what each stack told, "error" in it where it failed. `settings` are those of training here."""
    python = sandbox.stock_python(ROOT, console)
    model = str(settings.get("model_name_or_path") or "")
    stand_in = tokenizer.write(model, work / "tiny")
    job = {"model": str((work / "tiny").resolve()), "rows": ROWS}
    with console.status("two steps on the contract's versions"):
        told: dict[str, Any] = {"stock": on_stock(folder, dataset(folder, settings), work, job, python)}
    if own:
        # After the stock side: it wrote the tiny Llama that both look at.
        here = job | {"settings": settings | {"dataset_name_or_path": dataset(folder, settings)}}
        there = copied(folder, dataset(folder, settings), work / "own-submission")
        with console.status("the same batches in this project's trainer"):
            told["own"] = sandbox.start("own_trainer.py", there, work / "own", here, PYTHONPATH=str(ROOT)).wait()
    return told | {"stand_in": stand_in}


def on_stock(folder: Path, rows: str, work: Path, job: dict[str, Any], python: str) -> dict[str, Any]:
    """The result of the contract's trainer; with an error where it did not train on the files of the submission."""
    there = copied(folder, rows, work / "submission")
    files = sorted(path for path in there.rglob("*") if path.is_file())
    with opened.watch(files) as seen:
        told = sandbox.start("stock_trainer.py", there, work / "stock", job, python).wait()
    if told.get("stage") == "done" and (unread := not_read(there, rows, files, seen)):
        said = f"the run never opened {', '.join(map(shown, unread))}, so its training rows come from elsewhere"
        told |= {"stage": "files", "error": f"{said}; load_datasets must read the files that travel"}
    return told


def copied(folder: Path, rows: str, target: Path) -> Path:
    """A copy of what travels: caches that `datasets` writes next to the rows stay out of the submission."""
    shutil.rmtree(target, ignore_errors=True)
    for name in NEEDED:
        if (folder / name).is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target / name)
    if (folder / rows).is_dir():
        shutil.copytree(folder / rows, target / rows, symlinks=True, dirs_exist_ok=True)
    elif (folder / rows).is_file():
        (target / rows).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / rows, target / rows)
    return target


def not_read(folder: Path, rows: str, files: list[Path], seen: set[Path]) -> list[str]:
    """Files that a training run must open and this one did not: the two files, train.jsonl and validation.jsonl; of a
    dataset in another form all files of train, and one of the rest."""
    needed = [folder / name for name in NEEDED]
    data = [path for path in files if path not in needed and path.name not in NO_ROWS]
    lines = [path for path in data if path.parent == folder / rows and path.stem in SPLITS]
    train = [path for path in data if "train" in "".join(path.relative_to(folder / rows).parts[:1])]
    rest = [path for path in data if path not in train]
    needed += lines or train
    if not lines and rest and not seen & set(rest):
        needed += rest[:1]
    return [path.relative_to(folder).as_posix() for path in needed if path not in seen]


def dataset(folder: Path, settings: dict[str, Any]) -> str:
    """The dataset's path as the submission's own config has it."""
    return dataset_folder(config.read((folder / config.NAME).read_text(encoding="utf-8"))[0] or settings)


def passed(told: dict[str, Any]) -> bool:
    """Whether the stock stack read the files, trained (weights changed), saved and loaded again."""
    return bool(told["stock"].get("stage") == "done" and told["stock"].get("tensors_changed"))


def differences(told: dict[str, Any]) -> list[str]:
    """The figures in which the two stacks differ by more than their rounding."""
    stock, own = told["stock"], told.get("own") or {}
    return [name for name in FIGURES if name in stock and name in own and not alike(stock[name], own[name])]


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 0.005 * max(abs(a), abs(b), 1e-12)
    return bool(a == b)


def show(told: dict[str, Any], console: Console) -> None:
    """The parity table, with a sentence for each difference, and what the rehearsal had to change."""
    stock, own = told["stock"], told.get("own", {})
    columns = [Column("", no_wrap=True), Column("contract's stack", justify="right")]
    columns += [Column("this project", justify="right"), Column("what a difference means")] if own else []
    apart, rows = differences(told), list[list[str | Text]]()
    for name, (label, form, meaning) in FIGURES.items():
        if name not in stock:
            continue
        cells = [form.format(side[name]) if side.get(name) is not None else "–" for side in (stock, own) if side]
        style = "bold yellow" if name in apart else ""
        rows.append([Text(label, style=style), *cells, *([meaning if name in apart else ""] if own else [])])
    print_table(console, columns, rows)
    for side, name in ((stock, "contract's stack"), (own, "this project")):
        if "error" in side:
            console.print(f"{name}: {side['stage']} failed: {side['error']}", markup=False, style="bold red")
        elif side:
            versions = ", ".join(f"{package} {version}" for package, version in side["versions"].items())
            seen = f"{side['looked_at']:,} of {side['rows']['train']:,} rows looked at"
            console.print(f"{name}: {versions}; {seen}; {side['seconds']:.0f} s", markup=False)
    if told["stand_in"]:
        console.print(f"note: {told['stand_in']}", markup=False)
    for line in changes(stock):
        console.print(line, markup=False)
    if passed(told):
        losses = ", ".join(f"{loss:.3f}" for loss in stock["losses"])
        console.print(
            f"{stock['updates']} updates: loss {losses}; {stock['tensors_changed']} of {stock['tensors']} weights changed; "
            "saved, loaded again, equal",
            markup=False,
        )
    console.print(CLIPPING, markup=False)


def changes(stock: dict[str, Any]) -> list[str]:
    """One line for each thing that the rehearsal changes, as far as it got."""
    if "forced" not in stock:
        return []
    forced = {key: value for key, value in stock["forced"].items() if key != "report_to"}
    lines = [f"in place of the model: two random layers in float32 with sdpa, vocabulary {stock['vocabulary']:,}"]
    lines += [f"changed because this is a CPU: {', '.join(f'{key}: {value}' for key, value in forced.items())}"] * bool(
        forced
    )
    lines += ["changed because there is no network: report_to: none"] * ("report_to" in stock["forced"])
    short = ["two updates of one row each", "4 rows of validation evaluated"]
    short += ["no warm-up"] * any(key.startswith("warmup") for key in stock["shortened"])
    return [*lines, f"shortened: {', '.join(short)}"]
