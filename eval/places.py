"""Where the weights of an evaluation are: noted when it is made and on each reuse, so that a run that was moved is found again.

manifest.json     the place at which it was made
places/<sha>.json one file a place at which it was made or used again; each is written whole, so concurrent writers do not conflict
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval import adapters, checkpoints, store
from eval.records import UserError

FOLDER = "places"


@dataclass(frozen=True)
class Place:
    """A folder that holds or held the weights, or a model of the hub.

    `path` is what was typed, `folder` the absolute folder with links resolved (a hub id stays as it is), `seen` when they
    were last known to be there. `moved` says that they had left the place before. `certain` is false where an earlier
    version stored a relative path: `folder` is then what it means beside the reports folder.
    """

    path: str
    folder: str
    run: str
    step: int | None
    seen: str
    hub: bool = False
    moved: bool = False
    certain: bool = True

    @property
    def home(self) -> str:
        """What tells runs apart: the folder of the run, or of a model that is no training checkpoint."""
        return self.folder if self.step is None or self.hub else str(Path(self.folder).parent)


def places_of(folder: Path, manifest: Mapping[str, Any]) -> tuple[Place, ...]:
    """Every known place of reports/<key>, the one to show first; notes that cannot be read are left out."""
    first = place_in(manifest["checkpoint"], str(manifest.get("created", "")), folder.parent)
    found = {first.folder: first}
    for path in sorted((folder / FOLDER).glob("*.json")):
        if noted := _read_note(path):
            found[noted.folder] = noted
    moved = sorted((place for place in found.values() if place.moved), key=lambda place: place.seen, reverse=True)
    return (*moved, *(place for place in found.values() if not place.moved))


def place_in(checkpoint: Mapping[str, Any], seen: str, reports: Path) -> Place:
    """The place in a manifest's or a summary's account of a checkpoint."""
    path, step = str(checkpoint["path"]), checkpoint.get("step")
    run = str(checkpoint.get("run") or _run_in(path))
    if is_hub_id(path, run, step):
        return Place(path, path, run, step, seen, hub=True)
    if checkpoint.get("folder"):
        return Place(path, str(checkpoint["folder"]), run, step, seen)
    return _of_earlier_version(path, run, step, seen, reports)


def is_hub_id(path: str, run: str, step: int | None) -> bool:
    """Whether a stored model is one of the hub: only there the run has the name of the whole path, owner and all."""
    return step is None and path == run and bool(checkpoints.HUB_ID.fullmatch(path))


def note(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Notes that the weights of reports/<key>, which is there already, are now at the place that `manifest` names."""
    stored = store.read_manifest(folder)
    if all(stored.get(name) == manifest.get(name) for name in ("checkpoint", "created")):
        return  # written just now
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    here = place_in(manifest["checkpoint"], now, folder.parent)
    known = places_of(folder, stored)
    same = next((place for place in known if place.folder == here.folder), None)
    here = replace(here, moved=bool(same and same.moved) or _takes_over(here, known[0]))
    name = hashlib.sha256(here.folder.encode(errors="surrogateescape")).hexdigest()[:12]
    with store.full_disk(folder):
        store.write_whole(folder / FOLDER / f"{name}.json", json.dumps(asdict(here), indent=1) + "\n")


def fingerprint(folder: Path) -> dict[str, str]:
    """{"weights_sha": …} of the model in a folder; of an adapter {"adapter_sha": …} too, and the weights where it is merged.

    Empty where there is no model. Raises OSError and UserError where it cannot be read.
    """
    if not adapters.is_adapter(folder):
        return {"weights_sha": checkpoints.weights_sha(folder)} if (folder / "config.json").is_file() else {}
    merged = adapters.merged_copy(folder)
    known = {"weights_sha": checkpoints.weights_sha(merged)} if merged else {}
    return {"adapter_sha": adapters.digest(folder)} | known


def is_same(found: Mapping[str, str], checkpoint: Mapping[str, Any]) -> bool | None:
    """Whether a fingerprint is of a manifest's checkpoint; None for an adapter whose merged weights alone were noted."""
    for name in ("adapter_sha", "weights_sha"):
        if name in found and checkpoint.get(name):
            return found[name] == str(checkpoint[name])
    return None if found else False


def by_holder(places: Iterable[tuple[Place, ...]], weights: Iterable[str]) -> list[tuple[Place, ...]]:
    """The places of each evaluation, first those that no other weights have taken since, in the order of preference."""
    pairs = list(zip(places, weights, strict=True))
    last: dict[str, tuple[str, str]] = {}
    for known, sha in pairs:
        for place in known:
            last[place.folder] = max(last.get(place.folder, ("", "")), (place.seen, sha))
    return [tuple(sorted(known, key=lambda place: last[place.folder][1] != sha)) for known, sha in pairs]


def _takes_over(here: Place, shown: Place) -> bool:
    """Whether `here` is to be shown from now on: the weights left the other place, or it is no checkpoint of a run."""
    if here.folder == shown.folder or shown.hub:
        return False
    if not shown.certain and Path(shown.path).absolute().resolve() == Path(here.folder):
        return True
    return (here.step is not None and shown.step is None) or not _is_model(Path(shown.folder))


def _is_model(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file() or adapters.is_adapter(folder)
    except OSError:  # no access to it is no sign that it is gone
        return True


def _of_earlier_version(path: str, run: str, step: int | None, seen: str, reports: Path) -> Place:
    """A path as it was typed: relative to the folder beside which reports/ stands, where the names fit."""
    certain = Path(path).is_absolute()
    try:
        folder = (reports.resolve().parent / path).resolve()
    except (OSError, ValueError):  # a name that no file system takes
        folder = Path()
    if (folder.name if step is None else folder.parent.name) != run:
        folder = Path(run) if step is None else Path(run, folder.name)
        certain = False
    return Place(path, str(folder), run, step, seen, certain=certain)


def _run_in(path: str) -> str:
    """The run that a path alone tells of, where a manifest does not."""
    return Path(path).parent.name if checkpoints.STEP.search(path) else Path(path).name


def _read_note(path: Path) -> Place | None:
    try:
        place = Place(**store.read_object(path))
    except (UserError, TypeError):
        return None
    texts = (place.path, place.folder, place.run, place.seen)
    whole = all(isinstance(text, str) for text in texts) and isinstance(place.step, int | None)
    return place if whole else None
