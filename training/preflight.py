"""What goes wrong silently, looked at before any weights are loaded: named checks, each with what was found and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset
from rich.console import Console
from rich.table import Column
from rich.text import Text

from eval.console import print_table
from eval.records import UserError
from graders import extract_boxed, grade_answers
from training import wording
from training.arithmetic import (
    STATE_BYTES,
    batch_rows,
    epoch_steps,
    free_bytes,
    packed_rows,
    save_count,
    total_steps,
    weight_bytes,
)
from training.records import Check as Check
from training.records import Run as Run
from training.run_checks import disk, launcher, saving, schedule, validation_block

MAX_ROWS = {"train": 100_000, "validation": 100}  # the contract's
# Well-kept sets carry a few odd rows (two of MATH train's 7,500 answers are empty); more than this is a systematic fault.
TOLERATED_SHARE = 0.01
SHOWN = 3

FAULTS = {
    "roles": "{rows} are no user turn and assistant turn with text each; mend or drop them",
    "bos": "{rows} begin without BOS or with two of them; the template and the tokenizer must not both add it (sft_utils.py)",
    "boundary": "{rows}: {why}",
    "supervised": "{rows} have nothing to learn from: no token of a solution is supervised; drop them",
    "eos": '{rows} do not end in one supervised EOS, so the model would never learn to stop; end task="sft" with '
    "tokenizer.eos_token, once (sft_utils.py), and no EOS within a text",
}


def checks(run: Run) -> list[Check]:
    """Every check, in the order of a table."""
    return [
        *counts(run),
        *faults(run),
        length(run),
        pad(run),
        vocabulary(run),
        *boxes(run),
        *duplicates(run),
        *launcher(run),
        validation_block(run),
        schedule(run),
        saving(run),
        disk(run),
    ]


def refuse(found: list[Check], allowed: list[str]) -> None:
    """Raises UserError (exit code 1) for what failed and is not among `allowed`, and for an allowance that is no check."""
    unknown = set(allowed) - {check.name for check in found}
    if unknown:
        raise UserError(
            f"--allow {sorted(unknown)[0]}: no such check; they are {', '.join(check.name for check in found)}."
        )
    failed = [check for check in found if not check.ok and check.name not in allowed]
    if failed:
        reasons = "; ".join(f"{check.name}: {check.fix}" for check in failed)
        raise UserError(f"preflight stops this run ({reasons}). To run all the same: --allow {failed[0].name}.", 1)


def show(found: list[Check], allowed: list[str], run: Run, console: Console) -> None:
    """The table, the arithmetic, and one example with its supervised tokens marked."""
    rows = []
    for check in found:
        state = "ok" if check.ok else "allowed" if check.name in allowed else "FAILED"
        style = {"ok": "green", "allowed": "yellow", "FAILED": "bold red"}[state]
        rows.append((check.name, Text(state, style=style), check.found))
    print_table(console, [Column("check"), Column("", no_wrap=True), Column("found")], rows)
    for line in arithmetic(run):
        console.print(line, markup=False)
    console.print(example(run))


def arithmetic(run: Run) -> list[str]:
    """What the settings amount to: tokens a step, steps, warm-up, checkpoints and their size."""
    args, tokens = run.arguments, sum(map(len, run.rendered["train"]["input_ids"]))
    rows, batch = packed_rows(run), batch_rows(run)
    steps = total_steps(run)
    saves = save_count(args, steps)
    what = "packed rows" if args.packing else "rows"  # of one step
    lines = [
        f"{len(run.rendered['train']):,} examples, {tokens:,} tokens; {batch} {what} and about {tokens * batch // rows:,} "
        f"tokens per step; {epoch_steps(run):,} steps per epoch, {steps:,} in all, {args.get_warmup_steps(steps)} of them warm-up"
    ]
    if run.parameters:
        lines.append(
            f"{saves} checkpoints of {weight_bytes(run) / 1e9:.1f} GB"
            + ("" if args.save_only_model else f", one optimizer state of {run.parameters * STATE_BYTES / 1e9:.1f} GB")
            + f"; {free_bytes(Path(args.output_dir)) / 1e9:.0f} GB free"
        )
    return lines


def example(run: Run) -> Text:
    """The first training example as text; what is supervised is green and underlined."""
    row = next((row for row in run.rendered["train"] if row["input_ids"]), None)
    text = Text("the first example, supervised tokens underlined:\n")
    if row:
        every = not run.arguments.completion_only_loss
        for token, supervised in zip(row["input_ids"], row["completion_mask"], strict=False):
            text.append(run.tokenizer.decode([token]), style="green underline" if supervised or every else "dim")
    return text


# The checks


def counts(run: Run) -> Iterator[Check]:
    found = ", ".join(f"{len(rows):,} {split}" for split, rows in run.raw.items())
    bad = [split for split, most in MAX_ROWS.items() if len(run.raw[split]) > most]
    fix = "".join(
        f"{split} has {len(run.raw[split]):,} rows, the contract allows {MAX_ROWS[split]:,}; sample it down"
        for split in bad[:1]
    )
    yield Check("counts", not bad, found, fix)


def faults(run: Run) -> Iterator[Check]:
    total = sum(map(len, run.rendered.values()))
    where: dict[str, list[tuple[str, int]]] = {name: [] for name in FAULTS}
    for split, rows in run.rendered.items():
        for index, fault in enumerate(rows["fault"]):
            if fault and not (fault == "eos" and is_appended(rows, index, run)):
                where[fault].append((split, index))
    for name, fix in FAULTS.items():
        bad = [f"{split} row {index}" for split, index in where[name]]
        found = f"{total - len(bad):,} of {total:,} rows" + (f"; not {_some(bad)}" if bad else "")
        why = wording.boundary(run, where[name]) if name == "boundary" and bad else ""
        yield Check(name, not bad, found, fix.format(rows=f"{len(bad):,} rows ({_some(bad)})", why=why))


def is_appended(rows: Dataset, index: int, run: Run) -> bool:
    """Whether packing appends the missing EOS of this example, as it does in the contract's trainer."""
    return bool(run.arguments.packing) and run.tokenizer.eos_token_id not in rows[index]["input_ids"]


def length(run: Run) -> Check:
    limit = run.arguments.max_length
    sizes = {
        f"{split} row {index}": len(ids)
        for split, rows in run.rendered.items()
        for index, ids in enumerate(rows["input_ids"])
    }
    long = sorted((name for name, size in sizes.items() if size > limit), key=lambda name: -sizes[name])
    shown = _some([f"{name} with {sizes[name]:,}" for name in long])
    fix = f"{len(long):,} rows exceed {limit:,} tokens ({shown}); drop or shorten them, they are never cut"
    return Check("length", not long, f"longest {max(sizes.values()):,} of {limit:,} tokens", fix)


def pad(run: Run) -> Check:
    """Packed rows have no padding. In padded rows the contract's trainer masks every pad token."""
    tokenizer = run.tokenizer
    ok = tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id
    fix = "pad is EOS, and collators mask every pad token: EOS would never be learnt; set another pad token in get_tokenizer (sft_utils.py)"
    if tokenizer.pad_token_id is None:
        fix = "the tokenizer has no pad token, but rows of a batch are padded; set one in get_tokenizer (sft_utils.py)"
    found = f"pad {tokenizer.pad_token!r}, EOS {tokenizer.eos_token!r}"
    harmless = bool(run.arguments.packing) and not ok
    return Check("pad", ok or harmless, found + ("; harmless with packing" if harmless else ""), fix)


def vocabulary(run: Run) -> Check:
    """A token id beyond the model's embedding ends training with a device error, or reads other memory."""
    size = run.contract.vocabulary()
    if size is None:
        return Check("vocabulary", True, "the model's vocab_size is unknown")
    beyond = wording.beyond(run, size)
    fix = (
        f"{_some(beyond)} lie beyond the {size:,} ids (vocab_size) of {run.contract.model_name_or_path}, whose embedding is not "
        "enlarged; use tokens of its vocabulary in get_tokenizer and apply_chat_template (sft_utils.py)"
    )
    found = f"{len(beyond)} tokens beyond the model's {size:,}" if beyond else f"all ids below the model's {size:,}"
    return Check("vocabulary", not beyond, found, fix)


def boxes(run: Run) -> Iterator[Check]:
    rows = [row for rows in run.raw.values() for row in rows if row.get("messages")]
    answers = [extract_boxed(str(row["messages"][-1].get("content"))) for row in rows]
    missing = answers.count(None)
    yield _share(
        "box", missing, len(rows), "have no closed last \\boxed{}", "the grader reads nothing else; add it or drop them"
    )
    stated = [
        (box, row["answer"]) for box, row in zip(answers, rows, strict=True) if box is not None and row.get("answer")
    ]
    if stated:
        verdicts = grade_answers([(box, str(answer)) for box, answer in stated])
        wrong = sum(verdict.status == "wrong" for verdict in verdicts)
        fix = "they teach a wrong answer; mend or drop them"
        yield _share("answer", wrong, len(stated), "box another answer than the one they state", fix)


def duplicates(run: Run) -> Iterator[Check]:
    problems = {split: [_plain(row) for row in rows["messages"]] for split, rows in run.raw.items()}
    again = len(problems["train"]) - len(set(problems["train"]))
    fix = "they are learnt by heart rather than better; drop them"
    yield _share("duplicates", again, len(problems["train"]), "repeat a problem of train", fix)
    shared = set(problems["train"]) & set(problems["validation"])
    fix = f"{len(shared)} problems of validation are in train too, so its loss says nothing; drop them from train"
    yield Check("leak", not shared, f"{len(shared)} problems in both splits", fix)


def _share(name: str, bad: int, total: int, what: str, fix: str) -> Check:
    share = bad / total if total else 0.0
    return Check(
        name, share <= TOLERATED_SHARE, f"{bad:,} of {total:,} rows {what}", f"{bad:,} rows ({share:.1%}) {what}; {fix}"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def _plain(messages: Any) -> str:
    """A problem's text without what does not make it another: case and spaces."""
    try:
        return " ".join(messages[0]["content"].casefold().split())
    except (IndexError, KeyError, TypeError, AttributeError):
        return ""
