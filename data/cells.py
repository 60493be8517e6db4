"""One cell of an ablation: one arm, one seed. Trained and evaluated as processes, each step done once for what went into it.

    ablations/cells/<key>/project/      the project as this arm sees it: links, with sft.py, sft_utils.py and sft_config.yaml
                                        as files of its own
                           cell.log     what its steps printed
                           scores.json  the keys of its evaluations, written last
    checkpoints/<arm>-<key>-s<seed>/   the run

The key is the sha256 of the data, the model, the settings with the seed, and the sources of training, so a cell is found
again after any interruption, and never continues what was made of something else.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data.arms import Arm
from data.content import (
    benchmark_files,
    data_files,
    digest_of,
    digest_of_one,
    key_of,
    model_digest,
    read_json,
    slug,
    source_files,
    within,
)
from data.processes import Say, follow, held
from eval.files import write_json
from eval.records import UserError

WORK = Path("ablations")
# What decides a run beside its config: the trainer, the prompt, the launch config and the versions.
TRAINING_SOURCES = (
    "sft.py",
    "launch.py",
    "deepspeed_zero3.yaml",
    "training/*.py",
    "eval/prompts.py",
    "requirements/*.lock",
)
SCORING_SOURCES = ("eval/*.py", "eval/engines/*.py", "graders/*.py")
# Not links: Python puts the folder of the real sft.py on its path, and the other two are the arm's.
OWN_FILES = ("sft.py", "sft_utils.py", "sft_config.yaml")
# Where a run is, and what it is called, is no part of what it learns.
PLACES = ("run_name", "output_dir", "dataset_name_or_path", "model_name_or_path")
# As the Makefile's CPU_SWITCHES: DeepSpeed must be told, and freed memory stays in the process (docs/log.md).
CPU_SWITCHES = {
    "DS_ACCELERATOR": "cpu",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
}


@dataclass(frozen=True)
class Scoring:
    """What `python -m eval run` is told: its options, and the reports folder."""

    arguments: tuple[str, ...]
    reports: Path


@dataclass(frozen=True)
class Cell:
    """One arm with one seed. `settings` are the config as written, `folder` the data set; `base` also scores the base model."""

    arm: Arm
    seed: int
    folder: Path
    settings: dict[str, Any]
    key: str
    root: Path
    scoring: Scoring
    processes: int = 1
    cores: int | None = None
    gpu: bool = False
    base: bool = False

    @property
    def place(self) -> Path:
        return self.root / WORK / "cells" / self.key

    @property
    def project(self) -> Path:
        """Where its steps run."""
        return self.place / "project"

    @property
    def run(self) -> Path:
        """The run's folder, as reports name it."""
        return Path(self.settings["output_dir"]) / str(self.settings["run_name"])

    @property
    def label(self) -> str:
        return f"{self.arm.name} seed {self.seed}"


def make_cell(
    arm: Arm, seed: int, folder: Path, settings: Mapping[str, Any], root: Path, scoring: Scoring, **more: Any
) -> Cell:
    """The cell of an arm and a seed; `settings` are the config with the arm's own and the steps of the budget."""
    model = str(settings["model_name_or_path"])
    trained_by = {
        "data": digest_of(data_files(root / folder)),
        "model": model_digest(root / model) if (root / model).is_dir() else model,
        "settings": {name: value for name, value in settings.items() if name not in PLACES},
        "seed": seed,
        "sources": digest_of(source_files(root, TRAINING_SOURCES)),
        "sft_utils": digest_of_one(root / (arm.sft_utils or "sft_utils.py")),
        "allow": sorted(arm.allow),
        "processes": more.get("processes", 1),
    }
    key = key_of(trained_by)
    own = {
        "model_name_or_path": within(Path(model), root) if (root / model).is_dir() else model,
        "dataset_name_or_path": within(folder, root),
        "dataset_mode": "local",
        "output_dir": str(settings.get("output_dir", "checkpoints")),
        "run_name": f"{slug(arm.name)}-{key}-s{seed}",
        "seed": seed,
    }
    return Cell(arm, seed, folder, {**settings, **own}, key, root, scoring, **more)


def run_cell(cell: Cell, say: Say = lambda text: None) -> dict[str, Any]:
    """Trains and evaluates what is not done; returns what an ablation's record says of the cell, with "error" where it failed."""
    told: dict[str, Any] = {
        "arm": cell.arm.name,
        "seed": cell.seed,
        "run": str(cell.run),
        "key": cell.key,
        "error": None,
    }
    try:
        with held(cell):
            furnish(cell)
            say("train")
            train(cell, say)
            say("evaluate")
            return told | evaluate(cell, say) | trained_facts(cell)
    except UserError as error:
        return told | {"error": str(error)}
    except OSError as error:
        return told | {"error": f"{error.filename or cell.place}: {error.strerror or error}; mend that and run again."}


# The three steps


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
    run = cell.project / cell.run
    if (run / "finished.json").is_file():
        return
    command = [sys.executable, "launch.py", "--config_file=deepspeed_zero3.yaml"]
    command += ["--num_processes", str(cell.processes), "sft.py"]
    if any(map(has_state, run.glob("checkpoint-*"))):
        command.append("--resume")
    else:
        shutil.rmtree(run, ignore_errors=True)
    for check in cell.arm.allow:
        command += ["--allow", check]
    threads = max(1, (cell.cores or len(os.sched_getaffinity(0))) // cell.processes)
    follow(cell, command, say, {} if cell.gpu else CPU_SWITCHES | {"OMP_NUM_THREADS": str(threads)})
    if not (run / "finished.json").is_file():
        raise UserError(f"{cell.label}: training ended without finishing {run}; see {cell.place / 'cell.log'}.", 1)


def evaluate(cell: Cell, say: Say) -> dict[str, Any]:
    """{"keys": {benchmark: {step: key of its evaluation}}, "untrusted": sentences}; scored unless that is done."""
    path = cell.place / "scores.json"
    scored_by = key_of(
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
    done = read_json(path)
    if done and done.get("scored_by") == scored_by and all_stored(done["keys"], cell.scoring.reports):
        return {"keys": done["keys"], "untrusted": done["untrusted"]}
    models = [*([cell.settings["model_name_or_path"]] if cell.base else []), str(cell.run)]
    command = [sys.executable, "-m", "eval", "run", *models, *cell.scoring.arguments]
    command += ["--reports", str(cell.scoring.reports), "--json"]
    text, untrusted = follow(cell, command, say, decoding_share(cell), trusted=False)
    try:
        rows = json.loads(text)
    except ValueError:
        raise UserError(f"{cell.label}: evaluation gave no result; see {cell.place / 'cell.log'}.", 1) from None
    keys: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["step"] is not None:
            keys.setdefault(row["benchmark"], {})[str(row["step"])] = row["key"]
    told = {"keys": keys, "untrusted": untrusted}
    write_json(path, {"scored_by": scored_by, **told})
    return told


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
