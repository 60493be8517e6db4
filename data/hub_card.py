"""What the card of a downloaded data set, its README.md, says of configs and splits.

    configs:
    - config_name: main
      data_files:
      - {split: train, path: main/train-*}

A card is somebody else's: it can name files of its own folder only.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from eval.records import UserError, first_line

LONGEST_CARD = 1 << 20


def mapped_files(folder: Path, split: str, config: str, place: str, names: Mapping[str, str]) -> list[Path] | None:
    """The files that the card maps to a split; None where it maps none. Raises UserError for what is not clear.

    `names` says for other words of a split which one they mean. Of several configs only those count whose files
    are there.
    """
    card = folder / "README.md"
    entries = _configs(card)
    configs = {name: mapped for name, entry in entries.items() if (mapped := _by_split(entry, card, names))}
    if not configs:
        return None
    there = {name: files for name, patterns in configs.items() if (files := _there(folder, patterns, card))}
    default = next((name for name in configs if _is_default(name, entries[name])), "")
    chosen = _chosen(card, configs, there, config, default, place)
    found = there.get(chosen, {}).get(split) or _only_one(configs[chosen], there.get(chosen, {}), split, names)
    if not found:
        raise UserError(
            f"{place}: {card} maps {printable(configs[chosen])} of {chosen!r}, and no file of {split!r} is there; name a "
            f"file, or another split: {folder}:SPLIT."
        )
    return found


def printable(names: Iterable[object], most: int = 8) -> str:
    """Names out of somebody's data set for a terminal, a few of them."""
    shown = [str(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return "".join(sign if sign.isprintable() else "?" for sign in ", ".join(shown[:most])) + more


def _configs(card: Path) -> dict[str, dict[str, Any]]:
    """{name: entry} of the front matter's `configs`; {} where there are none."""
    text = card.read_text(encoding="utf-8", errors="replace")[:LONGEST_CARD] if card.is_file() else ""
    matter = text.split("---\n", 2)[1] if text.startswith("---\n") and text.count("---\n") > 1 else ""
    try:
        entries = (yaml.safe_load(matter) or {}).get("configs") or []
        return {_text(entry["config_name"]): dict(entry) for entry in entries}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError) as error:
        said = printable([first_line(error)])[:100]
        raise UserError(f"{card}: the front matter cannot be read ({said}); mend it, or take it away.") from None


def _text(value: Any) -> str:
    """A name or path. Raises TypeError for anything else: the text of a small YAML tree can fill the memory."""
    if not isinstance(value, str | int | float):
        raise TypeError(f"{type(value).__name__} for a name")
    return str(value)


def _by_split(entry: dict[str, Any], card: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """{split: patterns} of an entry, whichever way its data_files are written."""
    files = entry.get("data_files") or []
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(one, str) for one in files)):
        files = [{"split": "train", "path": files}] if files else []
    found: dict[str, list[str]] = {}
    try:
        for one in files:
            paths = one["path"] if isinstance(one["path"], list) else [one["path"]]
            split = _text(one["split"])
            found.setdefault(names.get(split, split), []).extend(map(_text, paths))
    except (TypeError, KeyError):
        raise UserError(
            f"{card}: `data_files` must be a list of `split` and `path`; mend it, or take it away."
        ) from None
    return found


def _there(folder: Path, patterns: Mapping[str, list[str]], card: Path) -> dict[str, list[Path]]:
    """The files of each split that are there."""
    found = {split: _matches(folder, several, card) for split, several in patterns.items()}
    return {split: paths for split, paths in found.items() if paths}


def _matches(folder: Path, patterns: list[str], card: Path) -> list[Path]:
    for pattern in patterns:
        path = PurePosixPath(pattern)
        if path.is_absolute() or ".." in path.parts or "://" in pattern or "::" in pattern:
            raise UserError(f"{card} names {pattern!r:.80}, which is outside of its folder; name the file yourself.")
    # Not Path.glob, whose `data/**` means folders only, where the hub means files.
    names = {name for pattern in patterns for name in glob.glob(pattern, root_dir=folder, recursive=True)}  # noqa: PTH207
    return [folder / name for name in sorted(names) if not (folder / name).is_dir()]


def _is_default(name: str, entry: Mapping[str, Any]) -> bool:
    return name == "default" or entry.get("default") is True


def _chosen(
    card: Path,
    configs: Mapping[str, object],
    there: Mapping[str, Mapping[str, list[Path]]],
    config: str,
    default: str,
    place: str,
) -> str:
    """The config that is meant: the one asked for, the only one, or the card's default."""
    if config in configs:
        return config
    if config and len(configs) > 1:
        known = printable(configs)
        raise UserError(f"{place}: {card} has no config {config!r}, but {known}; set `config`.")
    candidates = list(there or configs)
    if len(candidates) > 1 and default not in candidates:
        files = [path for splits in there.values() for path in next(iter(splits.values()))[:1]]
        raise UserError(
            f"{place}: {card.parent} holds several data sets, {printable(candidates)}; set `config` in a recipe, or name "
            f"what to read, such as {printable(_folder_or_file(path, card.parent) for path in files)}."
        )
    return default if default in candidates else candidates[0]


def _folder_or_file(path: Path, folder: Path) -> Path:
    return path.parent if path.parent.parent == folder else path


def _only_one(
    mapped: Mapping[str, list[str]], there: Mapping[str, list[Path]], split: str, names: Mapping[str, str]
) -> list[Path]:
    """The files to take for train where the card has another word for its only split."""
    alone = len(mapped) == 1 and split == "train" and not set(mapped) & set(names.values())
    return next(iter(there.values()), []) if alone else []
