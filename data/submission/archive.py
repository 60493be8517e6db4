"""The zip of a submission: the same bytes for the same content, and nothing is unpacked before every entry is checked.

The time of a file is derived from its content. `datasets` caches rows by path and time, and Python caches bytecode by time
and size: with one fixed time, a submission unpacked over an earlier one would be trained on the earlier rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from data.submission.checks.findings import Finding, shown
from eval.records import UserError

# A submission is four or five files; 100,000 rows of 2,048 tokens are below a gigabyte.
MAX_FILES = 50
MAX_BYTES = 4 * 2**30
MAX_RATIO = 200  # text deflates to a third or a tenth; a bomb to a thousandth
# Times of entries: from the earliest that a zip can hold, in steps of two seconds, to the end of 2019.
FIRST_TIME, TIME_STEP_S, TIMES = datetime(1980, 1, 1), 2, 40 * 365 * 43_200
CHUNK = 1 << 20


def pack(folder: Path, archive: Path) -> None:
    """Writes every file of `folder` into `archive`, by name, with times derived from the content and without owners;
    complete or not at all."""
    partial = archive.with_name(f".{archive.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as opened:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), time_of(sha256(path)))
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, opened.open(entry, "w") as target:
                shutil.copyfileobj(source, target, CHUNK)
    partial.replace(archive)


def findings(archive: Path) -> list[Finding]:
    """What is wrong with an archive by its directory alone; nothing is unpacked."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        return [Finding("zip", archive.name, f"this is no zip: {error}", "write it anew: python -m data submission")]
    return [
        *whole(archive, entries),
        *(finding for entry in entries for finding in of_entry(archive, entry)),
        *twice(archive, entries),
    ]


def whole(archive: Path, entries: list[zipfile.ZipInfo]) -> Iterator[Finding]:
    size, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if len(entries) > MAX_FILES:
        yield Finding("archive-files", archive.name, f"{len(entries):,} entries", f"at most {MAX_FILES}")
    if size > MAX_BYTES:
        problem = f"it would unpack to {size / 2**30:.1f} GiB"
        yield Finding("archive-size", archive.name, problem, f"at most {MAX_BYTES / 2**30:.0f} GiB")
    if packed > archive.stat().st_size or size > MAX_RATIO * max(archive.stat().st_size, CHUNK):
        problem = f"{archive.stat().st_size:,} bytes claim to hold {size:,}: entries overlap, or this is a bomb"
        yield Finding("archive-bomb", archive.name, problem, "write it anew: python -m data submission")


def of_entry(archive: Path, entry: zipfile.ZipInfo) -> Iterator[Finding]:
    where, path = f"{archive.name}: {shown(entry.filename)}", PurePosixPath(entry.filename)
    if path.is_absolute() or "\\" in entry.filename or entry.filename[1:2] == ":":
        yield Finding("archive-path", where, "an absolute path", "names are relative to the submission")
    if ".." in path.parts:
        yield Finding("archive-path", where, "this leaves the folder it is unpacked in", "names without `..`")
    if any(ord(letter) < 32 for letter in entry.filename) or len(entry.filename) > 200 or not path.parts:
        yield Finding("archive-path", where, "no name for a file", "letters, digits, dots and lines")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        yield Finding("archive-link", where, "a symbolic link", "the file itself")
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield Finding("archive-special", where, "a device, pipe or socket", "plain files only")
    if entry.flag_bits & 1:
        yield Finding("archive-encrypted", where, "encrypted", "without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield Finding("archive-method", where, f"compressed by method {entry.compress_type}", "stored or deflated")


def twice(archive: Path, entries: list[zipfile.ZipInfo]) -> Iterator[Finding]:
    names: set[str] = set()
    for entry in entries:
        name = str(PurePosixPath(entry.filename)).casefold()
        if name in names:
            where = f"{archive.name}: {shown(entry.filename)}"
            yield Finding(
                "archive-twice", where, "this name is there twice; which one counts depends on the reader", "once"
            )
        names.add(name)


def extract(archive: Path, folder: Path) -> None:
    """Unpacks into the new `folder`. Raises UserError (exit code 1) before that for what `findings` finds, and where
    an entry holds other bytes than it says."""
    found = findings(archive)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(f"{found[0].where}: {found[0].problem}{more}; nothing was unpacked: {found[0].fix}.", 1)
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    write_entry(opened, entry, folder / entry.filename)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"{archive}: {error}; the archive is damaged, write it anew.", 1) from None


def write_entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left, digest = entry.file_size, hashlib.sha256()
    with opened.open(entry) as source, path.open("xb") as target:
        while block := source.read(CHUNK):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile(f"{shown(entry.filename)} holds more than it says")
            digest.update(block)
            target.write(block)
    if left:
        raise zipfile.BadZipFile(f"{shown(entry.filename)} holds less than it says")
    # Not the entry's own time: other tools may write the same time for every content.
    written = time.mktime((*time_of(digest.hexdigest()), 0, 0, -1))
    os.utime(path, (written, written))


def time_of(digest: str) -> tuple[int, int, int, int, int, int]:
    """(year, month, day, hour, minute, second) derived from a content's sha256 (hex)."""
    moment = FIRST_TIME + timedelta(seconds=int(digest, 16) % TIMES * TIME_STEP_S)
    return (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


def sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
