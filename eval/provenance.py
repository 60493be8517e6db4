"""Where a result comes from: commit, package versions and training data, for manifests and for run.json."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any


def installed_versions(*names: str) -> dict[str, str]:
    """Package -> version, for those of `names` that are installed."""
    present = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in names if name in present}


def data_note(checkpoint: Path) -> dict[str, Any] | None:
    """What a checkpoint's data.json says of its training set: name and digest (of its recipe, if it has one), rows, tokens, sources.

    None where there is no such file, or one of somebody else.
    """
    try:
        told = json.loads((checkpoint / "data.json").read_text(encoding="utf-8"))
        train, recipe = told["train"], told.get("manifest") or {}
        return {
            "dataset": str(told["dataset"]),
            "name": recipe.get("name"),
            "digest": str(recipe.get("digest") or train["token_ids_sha256"]),
            "rows": int(train["rows"]),
            "tokens": int(train["tokens"]),
            "sources": told.get("sources") or {},
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def tokens_seen(checkpoint: Path, step: int | None) -> int | None:
    """Training tokens up to the checkpoint, by its run.json; None where that is not there, or of another step."""
    try:
        note = json.loads((checkpoint / "run.json").read_text(encoding="utf-8"))
        seen = note["tokens_seen"] if note["step"] == step else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seen if isinstance(seen, int) and seen > 0 else None


def git_commit() -> str | None:
    """The commit of the working tree; None outside git, or where git is not installed."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
