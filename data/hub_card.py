"""What the card of a downloaded data set, its README.md, says of configs and splits.

    configs:
    - config_name: main
      data_files:
      - {split: train, path: main/train-*}

A card is somebody else's: it can name files of its own folder only.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
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
    configs = {name: _by_split(entry, card, names) for name, entry in entries.items()}
    configs = {name: patterns for name, patterns in configs.items() if patterns}
    if not configs:
        return None
    there = {name: files for name, patterns in configs.items() if (files := _there(folder, patterns, card))}
    default = next((name for name in configs if _is_default(name, entries[name])), "")
    chosen = _chosen(card, list(configs), list(there), config, default, place)
    found = there.get(chosen, {}).get(split) or _only_one(configs[chosen], there.get(chosen, {}), split, names)
    if not found:
        mapped = ", ".join(configs[chosen])
        raise UserError(
            f"{place}: {card} maps {mapped} of {chosen!r}, and no file of {split!r} is there; name a file or another "
            f"split: {folder}:SPLIT."
        )
    return found


def _configs(card: Path) -> dict[str, dict[str, Any]]:
    """{name: entry} of the front matter's `configs`; {} where there are none."""
    try:
        text = card.read_text(encoding="utf-8")[:LONGEST_CARD] if card.is_file() else ""
        matter = text.split("---\n", 2)[1] if text.startswith("---\n") and text.count("---\n") > 1 else ""
        entries = (yaml.safe_load(matter) or {}).get("configs") or []
        return {str(entry["config_name"]): dict(entry) for entry in entries}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(
            f"{card}: the front matter cannot be read ({first_line(error)}); mend it or take it away."
        ) from None


def _by_split(entry: dict[str, Any], card: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """{split: patterns} of an entry, whichever way its data_files are written."""
    files = entry.get("data_files")
    if isinstance(files, str) or (isinstance(files, list) and all(isinstance(one, str) for one in files)):
        files = [{"split": "train", "path": files}] if files else []
    found: dict[str, list[str]] = {}
    for one in files or []:
        if not isinstance(one, dict) or not isinstance(one.get("path"), str | list) or "split" not in one:
            raise UserError(f"{card}: data_files has {one!r:.60}; write `split` and `path`.")
        paths = [one["path"]] if isinstance(one["path"], str) else one["path"]
        found.setdefault(names.get(str(one["split"]), str(one["split"])), []).extend(map(str, paths))
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


def _chosen(card: Path, names: list[str], there: list[str], config: str, default: str, place: str) -> str:
    """The config that is meant: the one asked for, the only one, or the card's default."""
    if config in names:
        return config
    if config and len(names) > 1:
        raise UserError(f"{place}: {card} has no config {config!r}, but {', '.join(names)}; set `config`.")
    candidates = there or names
    if len(candidates) > 1 and default not in candidates:
        raise UserError(
            f"{place}: {card.parent} holds several data sets, {', '.join(candidates)}; set `config`, or name the files."
        )
    return default if default in candidates else candidates[0]


def _only_one(
    mapped: Mapping[str, list[str]], there: Mapping[str, list[Path]], split: str, names: Mapping[str, str]
) -> list[Path]:
    """The files to take for train where the card has another word for its only split."""
    alone = len(mapped) == 1 and split == "train" and not set(mapped) & set(names.values())
    return next(iter(there.values()), []) if alone else []
