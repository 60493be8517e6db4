"""What things are by their content: digests of data, models and sources."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eval import benchmarks
from eval.records import UserError

KEY_DIGITS = 12


def key_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:KEY_DIGITS]


def digest_of(paths: list[Path]) -> str:
    """sha256 over the names and contents of files, in the order of their names."""
    lines = (f"{path.name} {digest_of_one(path)}\n" for path in sorted(paths, key=lambda one: (one.name, str(one))))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_of_one(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def model_digest(folder: Path) -> str:
    """Of all files of a model's folder: weights, config and tokenizer. Read once a call."""
    return digest_of([path for path in folder.iterdir() if path.is_file()])


def data_files(folder: Path) -> list[Path]:
    """What training reads of a data set: train.jsonl and validation.jsonl, or all that `save_to_disk` wrote."""
    if (folder / "dataset_dict.json").is_file():
        return [path for path in folder.rglob("*") if path.is_file()]
    paths = [folder / "train.jsonl", folder / "validation.jsonl"]
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError(f"{missing[0]} is missing; a data set has train.jsonl and validation.jsonl.")
    return paths


def source_files(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in root.glob(pattern)]


def benchmark_files(arguments: tuple[str, ...]) -> list[Path]:
    """The files of the benchmarks that the options of `python -m eval run` name; none where they come from the hub."""
    if "--benchmarks-dir" not in arguments:
        return []
    folder = Path(arguments[arguments.index("--benchmarks-dir") + 1])
    names = arguments[arguments.index("--benchmark") + 1].split(",")
    files, _ = benchmarks.files(folder)
    return [files[name] for name in names if name in files]


def within(path: Path, root: Path) -> str:
    """How a cell's folder names a path: as it is where it lies in the project, else whole."""
    return str(path) if not path.is_absolute() and ".." not in path.parts else str((root / path).resolve())


def slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:40] or "arm"


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
