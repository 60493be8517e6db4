"""What a reports folder holds that nothing refers to any more."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval import adapters, checkpoints, store


@dataclass(frozen=True)
class Unreferenced:
    """A file or folder that nothing refers to, why, and its size."""

    path: Path
    reason: str
    size_bytes: int


def unreferenced(reports: Path) -> list[Unreferenced]:
    """Evaluations of weights that are no longer where they were, benchmarks that no evaluation uses, torn leftovers.

    A model from the hub is taken to be there. Reads all weights once, to tell a retrained folder from the old one.
    """
    shas: dict[str, dict[str, str] | None] = {}
    found, used = [], set()
    for folder in sorted(manifest.parent for manifest in reports.glob("*/manifest.json")):
        manifest = store.read_object(folder / "manifest.json")
        reason = _why_unreferenced(manifest["checkpoint"], shas)
        if reason:
            found.append(Unreferenced(folder, reason, _size(folder)))
        else:
            used.add(Path(manifest["benchmark"]["file"]).name)
    for path in sorted((reports / "benchmarks").glob("*.jsonl")):
        if path.name not in used:
            found.append(Unreferenced(path, "no evaluation that stays uses it", _size(path)))
    partial = sorted(reports.rglob(".*.partial"))
    return found + [Unreferenced(path, "left by a write that was cut off", _size(path)) for path in partial]


def delete(rows: list[Unreferenced]) -> None:
    """Removes what `unreferenced` found. Raises UserError where an evaluation is being written."""
    for row in rows:
        if row.path.is_dir():
            with store.locked(row.path):
                (row.path / "DONE").unlink(missing_ok=True)  # first: what is half deleted is no result
                shutil.rmtree(row.path)
        else:
            row.path.unlink(missing_ok=True)


def _why_unreferenced(checkpoint: dict[str, Any], shas: dict[str, dict[str, str] | None]) -> str:
    path = str(checkpoint["path"])
    if checkpoints.is_hub_id(path) and checkpoint["run"] == path:
        return ""
    if path not in shas:
        folder = Path(path)
        adapter = adapters.is_adapter(folder) and (folder / adapters.WEIGHTS).is_file()
        shas[path] = checkpoints.identities(folder) if adapter or (folder / "config.json").is_file() else None
    now = shas[path]
    if now is None:
        return f"{path} is gone"
    if "weights_sha" not in now and "adapter_sha" not in checkpoint:
        return ""  # an adapter whose merged copy is gone: whether it was trained again is not known
    return "" if checkpoints.is_same(now, checkpoint) else f"{path} holds other weights by now"


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
