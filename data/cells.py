"""One cell of an ablation: one arm, one seed, and what decides it. `data.steps` trains and scores it.

    ablations/cells/<key>/project/      the project as this arm sees it: links, with sft.py, sft_utils.py and sft_config.yaml
                                        as files of its own
                           cell.log     what its steps printed
                           scores.json  the keys of its evaluations, written last
    checkpoints/<arm>-<key>-s<seed>/   the run

The key is the sha256 of the data, the model, the settings with the seed, and the sources of training, so a cell is found
again after any interruption, and never continues what was made of something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.arms import Arm
from data.content import data_files, digest_of, digest_of_one, key_of, model_digest, slug, source_files, within

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
# Where a run is, and what it is called, is no part of what it learns.
PLACES = ("run_name", "output_dir", "dataset_name_or_path", "model_name_or_path")


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
