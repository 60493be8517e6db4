"""Where a result comes from: the commit and the package versions, for manifests and for run.json."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess


def installed_versions(*names: str) -> dict[str, str]:
    """Package -> version, for those of `names` that are installed."""
    present = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in names if name in present}


def git_commit() -> str | None:
    """The commit of the working tree; None outside git, or where git is not installed."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
