"""What a reports folder holds that nothing refers to any more, and what else may go when it is asked for by name.

Predictions are the expensive part. Leftovers of writes that were cut off, and problems that no evaluation uses, are certain to
be garbage. Evaluations are not: they are listed only by name, or where their weights are at no known place any more.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from eval import adapters, store
from eval.lookup import KEY_PREFIX, find_key, find_named, similar_name
from eval.places import Place, fingerprint, is_same, places_of
from eval.records import UserError
from eval.report.load import Evaluation, load_stored

LEFTOVER = re.compile(r"\..+\.(partial|tmp)", re.DOTALL)
PROCESS = re.compile(r"\.(\d+)\.(partial|tmp)$")
CLOCK_SLACK_S = 5.0  # the start of a process is known to a tick, and the clock may have been set since


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may go, why, and its size."""

    path: Path
    reason: str
    size_bytes: int


def certain(reports: Path, without: Iterable[Path] = ()) -> list[Garbage]:
    """Torn leftovers, and problems that no evaluation uses but those in the folders `without`. Nothing that took decoding."""
    going = set(without)
    used, known = _benchmarks_used(reports, {folder.name for folder in going})
    unused = [path for path in sorted((reports / "benchmarks").glob("*.jsonl")) if known and path.name not in used]
    rows = [Garbage(path, "not used by any remaining evaluation", size_of(path)) for path in unused]
    torn = [path for path in leftovers(reports) if not (going & set(path.parents) or _is_being_written(path))]
    return rows + [Garbage(path, "left by a write that was cut off", size_of(path)) for path in torn]


def named(reports: Path, names: Sequence[str]) -> list[Garbage]:
    """The evaluations of models and runs that are named as `python -m eval compare` takes them, or by their keys.

    Raises UserError where a name stands for nothing, or for several models.
    """
    known: list[Evaluation] | None = None
    rows: dict[Path, Garbage] = {}
    shown: dict[Path, str] = {}
    for name in names:
        if (folder := _folder_of_key(name, reports)) is None:
            known = load_stored(reports) if known is None else known
            found = [evaluation.folder for evaluation in _of_name(name, known, reports)]
            shown |= {
                e.folder: str(e.summary["checkpoint"]) for e in known
            }  # not a place that other weights have taken
        else:  # also where its manifest, or another one, is damaged
            found = [folder]
        for folder in found:
            rows[folder] = Garbage(folder, _what_it_is(folder, shown.get(folder)), size_of(folder))
    return list(rows.values())


def weights_gone(reports: Path) -> list[Garbage]:
    """Evaluations whose weights are at no known place any more. Reads all weights once.

    Anything that cannot be verified is kept: a model of the hub, a folder without access, an adapter of an earlier version
    that is no longer merged, and a relative path that an earlier version stored.
    """
    prints: dict[str, dict[str, str] | None] = {}
    rows = []
    for folder in evaluation_folders(reports):
        try:
            manifest = store.read_manifest(folder)
            reason = _why_gone(manifest["checkpoint"], places_of(folder, manifest), prints)
        except (UserError, KeyError, TypeError):  # what cannot be read is not known to be without weights
            continue
        if reason:
            rows.append(Garbage(folder, f"{_what_it_is(folder)}: {reason}", size_of(folder)))
    return rows


def evaluation_folders(reports: Path) -> list[Path]:
    """Every evaluation, finished or not, in order of its key."""
    return sorted(manifest.parent for manifest in reports.glob("*/manifest.json"))


def leftovers(reports: Path) -> list[Path]:
    """Files and folders under the names that writers use before they rename; those beside merged adapters too."""
    found = {path for path in reports.rglob(".*") if LEFTOVER.fullmatch(path.name)}
    for folder in evaluation_folders(reports):
        found |= _merges_cut_off(folder)
    return sorted(path for path in found if not any(parent in found for parent in path.parents))


def delete(rows: Iterable[Garbage]) -> None:
    """Removes what was listed. Raises UserError where an evaluation is being written."""
    for row in rows:
        if (row.path / "manifest.json").is_file() and not row.path.is_symlink():
            with store.locked(row.path):
                (row.path / "DONE").unlink(missing_ok=True)  # first: what is half deleted is no result
                partial = row.path.with_name(f".{row.path.name}.{os.getpid()}.partial")
                row.path.rename(partial)
            _remove(partial)
        else:
            _remove(row.path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of a link its own."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if path.exists() or path.is_symlink() else 0
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def _folder_of_key(name: str, reports: Path) -> Path | None:
    """reports/<key> where a whole key is named, or the path to that folder."""
    by_key = {folder.name: folder for folder in evaluation_folders(reports)}
    path = Path(name)
    inside = path.is_dir() and path.absolute().parent.resolve() == reports.resolve()
    return by_key.get(path.absolute().name if inside else name)


def _of_name(name: str, known: Sequence[Evaluation], reports: Path) -> list[Evaluation]:
    if found := find_named(name, known):
        return found
    begins = find_key(name, known) if KEY_PREFIX.fullmatch(name) else []
    if len(begins) == 1:
        return begins
    if begins:
        keys = ", ".join(evaluation.folder.name for evaluation in begins)
        raise UserError(f"{name} begins {len(begins)} keys: {keys}; give more digits.")
    raise UserError(
        f"{name} is no evaluation in {reports}{similar_name(name, known)}; name a label of the report, a checkpoint, "
        "a run or a key."
    )


def _what_it_is(folder: Path, shown: str | None = None) -> str:
    """Checkpoint, benchmark and how far it got, from a manifest that may be damaged."""
    try:
        manifest = store.read_manifest(folder)
        what = f"{shown or places_of(folder, manifest)[0].path} on {manifest['benchmark']['name']}"
    except (UserError, KeyError, TypeError):
        what = "an evaluation whose manifest cannot be read"
    return what if (folder / "DONE").exists() else f"{what}, unfinished"


def _why_gone(checkpoint: dict[str, Any], places: Sequence[Place], prints: dict[str, dict[str, str] | None]) -> str:
    """Why its weights are nowhere; "" where they are somewhere, or that cannot be told."""
    if any(place.hub or not place.certain for place in places):
        return ""
    reasons = []
    for place in places:
        found = _print_of(Path(place.folder), prints)
        same = None if found is None else is_same(found, checkpoint)
        if same is not False:
            return ""
        reasons.append(f"{place.folder} {'holds other weights by now' if found else 'is gone'}")
    return "; ".join(reasons)


def _print_of(folder: Path, prints: dict[str, dict[str, str] | None]) -> dict[str, str] | None:
    if str(folder) not in prints:
        try:
            prints[str(folder)] = fingerprint(folder)
        except (OSError, UserError, ValueError):
            prints[str(folder)] = None
    return prints[str(folder)]


def _benchmarks_used(reports: Path, without: set[str]) -> tuple[set[str], bool]:
    """(names of the files that evaluations use, whether all evaluations could be asked)."""
    used, known = set(), True
    for folder in evaluation_folders(reports):
        if folder.name in without:
            continue
        try:
            used.add(Path(str(store.read_manifest(folder)["benchmark"]["file"])).name)
        except (UserError, KeyError, TypeError):
            known = False
    return used, known


def _merges_cut_off(folder: Path) -> set[Path]:
    """What a killed merge of an adapter left beside the merged models of the run: it has the size of the whole model."""
    try:
        manifest = store.read_manifest(folder)
        places = places_of(folder, manifest) if manifest["checkpoint"].get("adapter_sha") else ()
        merged = {adapters.merged_folder(Path(place.folder)).parent for place in places if place.certain}
        return {path for one in merged for path in one.glob(".*") if LEFTOVER.fullmatch(path.name)}
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return set()


def _is_being_written(path: Path) -> bool:
    """Whether the process in its name may be at it still, or one holds the evaluation that it belongs to."""
    process = PROCESS.search(path.name)
    return bool(process and _is_running(int(process[1]), path)) or any(map(_is_locked, path.parents))


def _is_running(number: int, path: Path) -> bool:
    """Whether there is such a process, started before the file was written: process ids are reused."""
    try:
        started: float = psutil.Process(number).create_time()
        return started - CLOCK_SLACK_S <= path.lstat().st_mtime
    except (psutil.NoSuchProcess, OverflowError, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / ".lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
