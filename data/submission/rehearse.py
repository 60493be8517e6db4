"""The rehearsal: the submission trained for two steps on the contract's own versions, beside what this project's stack does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from data.submission import sandbox, tokenizer
from data.submission.checks import config
from data.submission.lint import dataset_folder
from eval.console import print_table

ROOT = Path(__file__).resolve().parents[2]
# Enough for every share to a percent, few enough for a minute.
ROWS = 2000

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
        told: dict[str, Any] = {"stock": sandbox.start("stock_trainer.py", folder, work / "stock", job, python).wait()}
    if own:
        # After the stock side: it wrote the tiny Llama that both look at.
        here = job | {"settings": settings | {"dataset_name_or_path": dataset(folder, settings)}}
        with console.status("the same batches in this project's trainer"):
            told["own"] = sandbox.start("own_trainer.py", folder, work / "own", here, PYTHONPATH=str(ROOT)).wait()
    return told | {"stand_in": stand_in}


def dataset(folder: Path, settings: dict[str, Any]) -> str:
    """The dataset's path as the submission's own config has it."""
    return dataset_folder(config.read((folder / config.NAME).read_text(encoding="utf-8"))[0] or settings)


def passed(told: dict[str, Any]) -> bool:
    """Whether the stock stack trained, saved and reloaded."""
    return bool(told["stock"].get("stage") == "done")


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
    if stock.get("forced"):
        console.print(f"changed because this is a CPU: {', '.join(stock['forced'])}", markup=False)
    if stock.get("losses"):
        console.print(
            f"two steps: loss {stock['losses'][0]:.3f}, {stock['losses'][-1]:.3f}; saved, loaded again, equal"
        )
    console.print(CLIPPING, markup=False)
