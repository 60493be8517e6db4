"""Cells of an ablation trained and scored, as processes; each step is done once for what went into it.

run_cells(cells)      every cell trained, then all of one template scored by one engine
run_cell(cell)        one of them: where cells are tasks of a cluster, or a table is to be read early
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from data.cells import WORK, Cell
from data.content import benchmark_files, digest_of, key_of, read_json, slug, source_files
from data.processes import Say, follow, held
from eval.files import write_json
from eval.records import UserError
from training import lock

SCORING_SOURCES = ("eval/*.py", "eval/engines/*.py", "graders/*.py")
# Not links: Python puts the folder of the real sft.py on its path, and the other two are the arm's.
OWN_FILES = ("sft.py", "sft_utils.py", "sft_config.yaml")
# As the Makefile's CPU_SWITCHES: DeepSpeed must be told, and freed memory stays in the process (docs/log.md).
CPU_SWITCHES = {
    "DS_ACCELERATOR": "cpu",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
}
Told = dict[str, Any]


def run_cell(cell: Cell, say: Say = lambda text: None) -> Told:
    """What an ablation's record says of the cell once it is trained and scored, with "error" where that failed."""
    return next(run_cells([cell], say))


def run_cells(cells: Sequence[Cell], say: Say = lambda text: None) -> Iterator[Told]:
    """Yields what the record says of each cell, those whose training failed first."""
    trained: dict[Path | None, list[Cell]] = {}
    for number, cell in enumerate(cells, start=1):
        name = f"{number}/{len(cells)} {cell.label}" if len(cells) > 1 else cell.label
        if error := attempt(cell, named(name, say)):
            yield described(cell) | {"error": error}
        else:
            trained.setdefault(cell.arm.sft_utils, []).append(cell)
    for group in trained.values():
        name = f"{len(group)} cells" if len(group) > 1 else group[0].label
        yield from score(group, named(name, say))


def named(name: str, say: Say) -> Say:
    return lambda line: say(f"{name}: {line}")


def described(cell: Cell) -> Told:
    return {"arm": cell.arm.name, "seed": cell.seed, "run": str(cell.run), "key": cell.key, "error": None}


def attempt(cell: Cell, say: Say) -> str | None:
    """Trains the cell where that is not done; the sentence that says why it failed, None where it did not."""
    say("train")
    try:
        with held(cell):
            furnish(cell)
            train(cell, say)
    except (UserError, OSError) as error:
        return sentence(error, cell.place)
    return None


def score(group: Sequence[Cell], say: Say) -> Iterator[Told]:
    """Scores trained cells of one template, where that is not done, and yields what the record says of them."""
    say("evaluate")
    try:
        with ExitStack() as stack:
            for cell in {cell.place: cell for cell in group}.values():  # recipes of equal content share a place
                stack.enter_context(held(cell))
            found = evaluate(group, say)
    except (UserError, OSError) as error:
        yield from (described(cell) | {"error": sentence(error, cell.place)} for cell in group)
    else:
        yield from (described(cell) | found[cell.run] | trained_facts(cell) for cell in group)


def sentence(error: UserError | OSError, place: Path) -> str:
    if isinstance(error, UserError):
        return str(error)
    return f"{error.filename or place}: {error.strerror or error}; mend that and run again."


# Training


def furnish(cell: Cell) -> None:
    """The project in the cell's folder. What lies under the project's own paths, such as checkpoints, is shared."""
    cell.project.mkdir(parents=True, exist_ok=True)
    (cell.root / cell.settings["output_dir"]).mkdir(parents=True, exist_ok=True)
    for entry in cell.root.iterdir():
        link = cell.project / entry.name
        if (
            not entry.name.startswith((".", "__"))
            and entry.name not in (*OWN_FILES, WORK.name)
            and not link.is_symlink()
        ):
            link.symlink_to(entry, target_is_directory=entry.is_dir())
    text = yaml.safe_dump(cell.settings, sort_keys=False, allow_unicode=True)
    contents = {
        "sft.py": (cell.root / "sft.py").read_bytes(),
        "sft_utils.py": (cell.root / (cell.arm.sft_utils or "sft_utils.py")).read_bytes(),
        "sft_config.yaml": f"# {slug(cell.label)}, written by python -m data ablate\n{text}".encode(),
    }
    for name, content in contents.items():
        (cell.project / name).write_bytes(content)


def train(cell: Cell, say: Say) -> None:
    """The contract's command, unless the run has finished; it goes on where its optimizer state is, else begins anew."""
    if is_finished(cell):
        return
    run, command = cell.project / cell.run, launch(cell)
    if any(map(has_state, run.glob("checkpoint-*"))):
        command.append("--resume")
    else:
        lock.refuse_held(run)
        shutil.rmtree(run, ignore_errors=True)
    follow(cell, command + allowances(cell), say, environment(cell))
    if not is_finished(cell):
        raise UserError(f"{cell.label}: training ended without finishing {run}; see {cell.place / 'cell.log'}.", 1)


def is_finished(cell: Cell) -> bool:
    return (cell.root / cell.run / "finished.json").is_file()


def launch(cell: Cell) -> list[str]:
    """The contract's command, as the cell's folder runs it."""
    command = [sys.executable, "launch.py", "--config_file=deepspeed_zero3.yaml"]
    return [*command, "--num_processes", str(cell.processes), "sft.py"]


def allowances(cell: Cell) -> list[str]:
    return [text for check in cell.arm.allow for text in ("--allow", check)]


def environment(cell: Cell) -> dict[str, str]:
    """What training is told of the machine."""
    threads = max(1, (cell.cores or len(os.sched_getaffinity(0))) // cell.processes)
    return {} if cell.gpu else CPU_SWITCHES | {"OMP_NUM_THREADS": str(threads)}


# Scoring


def evaluate(cells: Sequence[Cell], say: Say) -> dict[Path, Told]:
    """{run: {"keys": {benchmark: {step: key of its evaluation}}, "untrusted": sentences}}, decoded where that is owed."""
    asked = {cell.run: scored_by(cell) for cell in cells}  # before anything runs: what it then runs with
    found = {cell.run: done for cell in cells if (done := stored_scores(cell, asked[cell.run]))}
    owed = [cell for cell in cells if cell.run not in found]
    if not owed:
        return found
    models = [*(cell.settings["model_name_or_path"] for cell in owed if cell.base), *(str(cell.run) for cell in owed)]
    first = owed[0]
    command = [sys.executable, "-m", "eval", "run", *models, *first.scoring.arguments]
    command += ["--reports", str(first.scoring.reports), "--json"]
    text, untrusted = follow(first, command, say, decoding_share(first), trusted=False)
    try:
        rows = json.loads(text)
    except ValueError:
        raise UserError(f"{first.label}: evaluation gave no result; see {first.place / 'cell.log'}.", 1) from None
    for cell in owed:
        found[cell.run] = told = scores_of(cell, rows, untrusted)
        write_json(cell.place / "scores.json", {"scored_by": asked[cell.run], **told})
    return found


def stored_scores(cell: Cell, asked: str) -> Told | None:
    """What scores.json says, where it is of today's request and the store has all of it."""
    done = read_json(cell.place / "scores.json")
    if done and done.get("scored_by") == asked and all_stored(done["keys"], cell.scoring.reports):
        return {"keys": done["keys"], "untrusted": done["untrusted"]}
    return None


def scores_of(cell: Cell, rows: Sequence[Mapping[str, Any]], untrusted: Sequence[str]) -> Told:
    """The cell's part of what `python -m eval run --json` printed; the base model's faults are those of the cell that scores it."""
    mine = [f"{cell.run}/", *([f"{cell.settings['model_name_or_path']} on "] if cell.base else [])]
    keys: dict[str, dict[str, str]] = {}
    for row in rows:
        if Path(row["checkpoint"]).parent == cell.run:
            keys.setdefault(row["benchmark"], {})[str(row["step"])] = row["key"]
    # From its beginning: runs/a stands in the line of other-runs/a too.
    told = [line for line in untrusted if line.removeprefix("not to be trusted: ").startswith(tuple(mine))]
    return {"keys": keys, "untrusted": told}


def scored_by(cell: Cell) -> str:
    """The key of all that decides a cell's scores, beside its training."""
    return key_of(
        {
            "cell": cell.key,
            "arguments": cell.scoring.arguments,
            "reports": str(cell.scoring.reports),
            "benchmarks": digest_of(benchmark_files(cell.scoring.arguments)),
            "sources": digest_of(source_files(cell.root, SCORING_SOURCES)),
            "run": str(cell.run),
            "base": cell.base,
        }
    )


def decoding_share(cell: Cell) -> dict[str, str]:
    """The cores that decoding may take where cells share a machine: vLLM would bind its threads to all of them."""
    if cell.gpu or cell.cores is None:
        return {}
    return {"OMP_NUM_THREADS": str(cell.cores), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


def trained_facts(cell: Cell) -> dict[str, Any]:
    """Steps and tokens of the run's last checkpoint, by its run.json."""
    folders = sorted((cell.project / cell.run).glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    note = read_json(folders[-1] / "run.json") if folders else None
    return {"steps": (note or {}).get("step"), "tokens_seen": (note or {}).get("tokens_seen")}


def has_state(checkpoint: Path) -> bool:
    """Whether training can go on from a checkpoint: whole, with its optimizer's state."""
    state = any(checkpoint.glob("global_step*")) or any(checkpoint.glob("optimizer*"))
    return state and (checkpoint / "run.json").is_file() and (checkpoint / "trainer_state.json").is_file()


def all_stored(keys: Mapping[str, Mapping[str, str]], reports: Path) -> bool:
    return bool(keys) and all((reports / key / "DONE").is_file() for steps in keys.values() for key in steps.values())
