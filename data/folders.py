"""Which files of a folder are the split that was asked for: one rule for every reader of data sets.

A local copy of a hub data set holds its test split too. The split of a file is said, in this order,

1. by the folder's card: `configs` with `data_files` in the front matter of README.md;
2. by the file's name: `train-00000-of-00002.parquet`, `dev.jsonl`, `gsm8k_test.jsonl.gz`;
3. by a folder above it: `train/0000.parquet`.

The words are those of the `datasets` library. Where no file of the set says a split, all of them
are taken for train. Whatever could be meant in two ways is refused with the choices.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from data.hub_card import mapped_files, printable
from data.leftovers import holds_rows, how_to_read, unpacked_name
from eval.records import UserError

KINDS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")
SUFFIXES = (*KINDS, ".jsonl.gz", ".ndjson.gz", ".json.gz", ".csv.gz", ".tsv.gz")
# The words of `datasets.data_files.SPLIT_KEYWORDS`, which costs seconds to import.
SPLITS = {"train": "train", "training": "train"} | {
    **dict.fromkeys(("validation", "valid", "dev", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
WORDS = re.compile(r"[-._ 0-9]+")
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
# A word of a name that only counts the parts of one set; `v2` and `1M` say another set.
PART = re.compile(r"(?:part|shard|chunk|split|file|batch)?\d*|of")
# What stands beside data and is none: notes of `datasets`, of models, and of `data build`.
NOTES = (
    "dataset_info.json dataset_infos.json dataset_dict.json state.json config.json manifest.json "
    "dropped.jsonl croissant.json package.json"
)
NOT_DATA = frozenset(NOTES.split())
DEEPEST = 6


class File(NamedTuple):
    """A data file: `config` and `split` as its place says them, "" for neither, and `form`, how the split is said."""

    path: Path
    config: str
    split: str
    form: str = ""


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def split_asked(path: str, split: str) -> tuple[Path, str, bool]:
    """(folder or file, split, whether somebody named it) of `PATH` or `PATH:SPLIT`."""
    before, colon, named = path.rpartition(":")
    if colon and named and not Path(path).exists() and Path(before).is_dir():
        return Path(before), SPLITS.get(named, named), True
    return Path(path), SPLITS.get(split, split), split != "train"


def files_of(folder: Path, split: str, named: bool, config: str, place: str) -> tuple[Path, list[Path]]:
    """(the folder they lie in, the files of a split), sorted. Raises UserError, which begins with `place`.

    `named` says that somebody asked for the split, `config` which of several sets of the folder is meant.
    """
    folder = _snapshot(folder, place)
    own = [folder / f"{name}.jsonl" for name in ("train", "validation")]
    if split in ("train", "validation") and all(path.is_file() for path in own):
        return folder, [folder / f"{split}.jsonl"]  # what training reads, whatever lies beside it
    found = mapped_files(folder, split, config, place, SPLITS)
    if found is None:
        found = _by_names(folder, split, named, config, place)
    for path in found:
        if not path.is_file():
            raise UserError(f"{place}: {path} is a link to nothing; download it again.")
        if not path.name.lower().endswith(SUFFIXES):
            raise UserError(f"{place}: {path} is none of {', '.join(SUFFIXES)}; write it as one of these.")
    found = _once(found)
    _check_totals(found, folder, place)
    if not named:
        _check_shards(found, folder, split, place)
    return folder, sorted(found)


def _once(paths: list[Path]) -> list[Path]:
    """The paths without links to another of them: their rows are the same."""
    found: dict[object, Path] = {}
    for path in sorted(paths, key=lambda path: (path.is_symlink(), path)):
        found.setdefault(_identity(path), path)
    return list(found.values())


def _identity(path: Path) -> object:
    """Equal for two names of one file."""
    return (path.stat().st_dev, path.stat().st_ino) if path.is_file() else path


def split_of(splits: Sequence[str], split: str, folder: Path, place: str) -> str:
    """The one of a folder's named splits that is meant by `split`. Raises UserError with the choices."""
    found = [name for name in splits if SPLITS.get(name, name) == split]
    free = [name for name in splits if not _is_held_out(name)]
    if not found and not (split == "train" and len(free) == 1):
        choices = ", ".join(f"{folder}:{name}" for name in splits)
        raise UserError(
            f"{place}: {folder} has no split {split!r}, but {printable(splits)}; name one: {printable([choices])}."
        )
    return (found or free)[0]


def _snapshot(folder: Path, place: str) -> Path:
    """The one revision inside a folder of the hub's cache; the folder itself where it is none."""
    revisions = sorted(path for path in folder.glob("snapshots/*") if path.is_dir())
    if len(revisions) > 1:
        raise UserError(f"{place}: {folder} holds several revisions; name one: {printable(revisions)}.")
    return revisions[0] if revisions else folder


def _by_names(folder: Path, split: str, named: bool, config: str, place: str) -> list[Path]:
    files = _of_config(list(_data_files(folder)), folder, config, place)
    found = [file for file in files if file.split == split]
    if not found and split == "train":
        found = _unnamed(files)
    _check_packed(found, folder, split, named, config, place)
    if not found:
        raise UserError(f"{place}: {_without(files, folder, split)}")
    same = {_identity(file.path) for file in found}
    kept = set(_once([file.path for file in found]))
    found = [file for file in found if file.path in kept]
    _check_one_set(found, folder, place)
    _check_forms(found, folder, place)
    strays = [file for file in files if not file.split and _identity(file.path) not in same]
    if strays and not named:
        raise UserError(
            f"{place}: {folder} has files whose names give no split, next to {printable(_relative(found, folder))}: "
            f"{printable(_relative(strays, folder))}; name the files to read, or the split: {folder}:{split}."
        )
    return [file.path for file in found]


def _unnamed(files: list[File]) -> list[File]:
    """The files to take for train where none says so: those of the only split that is neither validation nor test."""
    splits = {file.split for file in files if not _is_held_out(file.split)}
    return [file for file in files if file.split in splits] if len(splits) == 1 else []


def _is_held_out(split: str) -> bool:
    return any(SPLITS.get(word, "train") != "train" for word in WORDS.split(split.casefold()))


def _without(files: list[File], folder: Path, split: str) -> str:
    splits = sorted({file.split or "no split's name" for file in files})
    if splits:
        choices = ", ".join(f"{folder}:{name}" for name in splits if " " not in name)
        return f"{folder} has no split {split!r}, but {printable(splits)}; name one: {printable([choices or 'its files'])}."
    saved = [path for path in sorted(folder.glob("*")) if is_saved(path)]
    if saved:
        return f"{folder} holds several folders of save_to_disk; name one: {printable(saved)}."
    return f"{folder} holds no {', '.join(SUFFIXES)} file or folder of save_to_disk."


def _of_config(files: list[File], folder: Path, config: str, place: str) -> list[File]:
    """The files of a config, which has a folder of its own; all of them where the copy has no such folders."""
    configs = {file.config for file in files}
    if config and config in configs:
        return [file for file in files if file.config == config]
    if config and not configs <= {""}:
        known = printable(sorted(filter(None, configs)))
        raise UserError(f"{place}: {folder} has no config {config!r}, but {known}; set `config`.")
    return files


def _check_one_set(found: list[File], folder: Path, place: str) -> None:
    """Raises UserError for two sets in one folder, and for a set that is there twice."""
    configs = sorted({file.config for file in found})
    if len(configs) > 1:
        choices = [str(folder / one) for one in configs if one] + [str(file.path) for file in found if not file.config]
        raise UserError(f"{place}: {folder} holds several data sets; name one: {printable(choices)}.")
    bare = Counter(str(file.path)[: -len(_suffix(file.path))] for file in found)
    twice = [file for file in found if bare[str(file.path)[: -len(_suffix(file.path))]] > 1]
    if twice:
        raise UserError(
            f"{place}: the same set in several forms: {printable(_relative(twice, folder))}; name one file."
        )


def _check_forms(found: list[File], folder: Path, place: str) -> None:
    """Raises UserError for `train.jsonl` beside `train_1M.jsonl` or shards, which mostly hold it again."""
    if len({file.form for file in found}) > 1:
        raise UserError(
            f"{place}: several files are {found[0].split}: {printable(_relative(found, folder))}; name one."
        )


def _check_packed(found: list[File], folder: Path, split: str, named: bool, config: str, place: str) -> None:
    """Raises UserError for packed data, or data in a form that is not read, that belongs to what is read."""
    known = [(path, name) for path in _walk(folder) if (name := unpacked_name(path, SUFFIXES))]
    files = [_placed(path.with_name(name), path.relative_to(folder).with_name(name)) for path, name in known]
    plain = not any(file.split for file in found)
    for (path, name), file in zip(known, files, strict=True):
        archive = name.rpartition(".")[0] == path.name.rpartition(".")[0]  # what it holds is not said
        free = not file.split and not named and (plain or not archive)
        if (file.split == split or free) and (not config or file.config in ("", config)):
            raise UserError(
                f"{place}: {printable([path.relative_to(folder)])} in {folder} would be left out; "
                f"{printable([how_to_read(path)])}, move it away, or name the files to read."
            )


def _check_totals(found: list[Path], folder: Path, place: str) -> None:
    """Raises UserError for shards of two writings of one set, of which one is stale."""
    sets: dict[str, list[tuple[str, str]]] = {}
    for path in found:
        if shard := SHARD.match(path.name):
            sets.setdefault(str(path.parent / shard[1]), []).append((shard[3], shard[2]))
    for name, shards in sets.items():
        if len({total for total, _ in shards}) > 1 or len(set(shards)) < len(shards):
            same = [path for path in found if str(path).startswith(f"{name}-")]
            raise UserError(
                f"{place}: {folder} holds shards of two writings of one set, whose rows would be read twice: "
                f"{printable(path.relative_to(folder) for path in same)}; move the stale ones away."
            )


def _check_shards(found: list[Path], folder: Path, split: str, place: str) -> None:
    """Raises UserError for shards that are missing, as after a download that broke off."""
    shards = [(str(path.parent / shard[1]), int(shard[3])) for path in found if (shard := SHARD.match(path.name))]
    for (name, total), count in Counter(shards).items():
        if count < total:
            raise UserError(
                f"{place}: {count} of the {total} files {printable([name])}-… are there; fetch the others, or take these: "
                f"{folder}:{split}."
            )


# What lies where


def _data_files(folder: Path) -> Iterator[File]:
    """Every data file below the folder that is not hidden. JSON without rows beside data is notes, unless its name says
    a split."""
    paths = [path for path in _walk(folder) if path.name.lower().endswith(SUFFIXES) and path.name not in NOT_DATA]
    files = [_placed(path, path.relative_to(folder)) for path in paths]
    data = [file for file in files if file.split or not _is_json(file.path) or holds_rows(file.path)]
    yield from data or files


def _is_json(path: Path) -> bool:
    return path.name.lower().endswith((".json", ".json.gz"))


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder, links to folders followed once, what `save_to_disk` wrote left out."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        deep = len(Path(place).relative_to(folder).parts) >= DEEPEST
        if real in seen or (is_saved(Path(place)) and Path(place) != folder):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _placed(path: Path, relative: PurePath) -> File:
    """A file with what its name and the folders above it say."""
    stem = relative.name[: -len(_suffix(path))]
    folders = relative.parent.parts
    above = [(place, found) for place, name in enumerate(folders) if (found := _said(name))]
    split, shard = _said(stem), SHARD.match(stem)
    if shard:
        split = SPLITS.get(shard[1].casefold(), shard[1])
    if above and (not split or (split == "train" and above[-1][1] != "train")):
        return File(path, _config(folders[: above[-1][0]]), above[-1][1], "in its folder")
    extra = [word for word in WORDS.split(stem.casefold()) if word and word not in SPLITS]
    form = "shard" if shard else " ".join(("longer name", *_other_words(stem))) if extra else "name"
    return File(path, _config(folders), split, f"{form} {_suffix(path)}" if split else "")


def _other_words(stem: str) -> list[str]:
    """The words of a name that say neither a split nor which part of one set the file is."""
    words = (word for word in re.split(r"[-._ ]+", stem.casefold()) if word.rstrip("0123456789") not in SPLITS)
    return [word for word in words if not PART.fullmatch(word)]


def _said(name: str) -> str:
    """The split that the words of a name say; the name itself where they say two, "" where none."""
    splits = {SPLITS[word] for word in WORDS.split(name.casefold()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else name if splits else ""


def _config(folders: Sequence[str]) -> str:
    return "/".join(name for name in folders if name != "data")


def _suffix(path: Path) -> str:
    return next(suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(suffix))


def _relative(files: list[File], folder: Path) -> list[str]:
    return [str(file.path.relative_to(folder)) for file in files]
