"""JSON Lines in and out for the command line, with one sentence for each fault of a file."""

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graders.text import REPLACEMENT, without_surrogates

SHOWN_CHARS = 60  # of a faulty line in a message
SHOWN_FAULTS = 10  # faulty lines named in a message
MAX_ID_LEVELS = 20  # of lists and objects in an "id", which is written back
GZIP_MAGIC, UTF_16_MARKS = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
UTF_8_MARK = b"\xef\xbb\xbf"


class UsageError(Exception):
    """The request cannot be carried out; the message has the place, the value and the fix."""


class _Fault(Exception):
    """What is wrong with one line."""


@dataclass
class Lines:
    """A file's checked lines, what is wrong with the others, and how many were mended.

    A line is mended where it has bytes that are not UTF-8 or halves of surrogate pairs: each
    becomes U+FFFD, and the line is graded.
    """

    good: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    mended: int = 0


def read_pairs(source: Path) -> Lines:
    """The lines {"id", "gold", "output"} or {"id", "gold", "answer"} of a file or its `.gz`."""
    lines = Lines()
    # Not splitlines(): U+2028 inside a string is no line end in JSON Lines.
    for number, raw in enumerate(_content(source).removeprefix(UTF_8_MARK).split(b"\n"), start=1):
        text = raw.decode("utf-8", errors="replace")
        if not text.strip():
            continue
        try:
            line, mended = _checked(text)
        except _Fault as fault:
            lines.faults.append(f"line {number}: {fault}")
        else:
            lines.good.append(line)
            lines.mended += mended or (REPLACEMENT in text and not _is_utf8(raw))
    return lines


def refuse_faults(source: Path, lines: Lines) -> None:
    """Raise UsageError if a line of the file is faulty."""
    count, total = len(lines.faults), len(lines.faults) + len(lines.good)
    if count == 1:
        raise UsageError(f"{source}, {lines.faults[0]} (--skip-bad grades the other lines)")
    if count:
        heading = f"{source}: {count:,} of {total:,} lines cannot be graded, so nothing was written"
        fix = "correct them, or grade the other lines with --skip-bad"
        raise UsageError("\n".join([f"{heading}; {fix}", *_named(lines.faults)]))


def skipped(source: Path, lines: Lines) -> str:
    """What a person should know of the lines that were left out; "" if none was."""
    if not lines.faults:
        return ""
    count, total = len(lines.faults), len(lines.faults) + len(lines.good)
    heading = f"{source}: skipped {count:,} of {total:,} lines, which have no row in the output"
    return "\n".join([heading, *_named(lines.faults)])


def _named(faults: list[str]) -> list[str]:
    more = len(faults) - SHOWN_FAULTS
    shown = [f"  {fault}" for fault in faults[:SHOWN_FAULTS]]
    return [*shown, f"  and {more:,} more"] if more > 0 else shown


def _content(source: Path) -> bytes:
    """The bytes of the file, unpacked."""
    try:
        _check_kind(source)
        raw = source.read_bytes()
        if source.suffix == ".gz":
            return gzip.decompress(raw)
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist; give a file of JSON lines") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {source}: {reason}; give a file of JSON lines") from None
    if raw.startswith(GZIP_MAGIC):
        raise UsageError(f"{source} is packed with gzip; unpack it, or let its name end in .gz")
    if raw.startswith(UTF_16_MARKS):
        fix = "save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`)"
        raise UsageError(f"{source} is in UTF-16; {fix}")
    return raw


def _check_kind(source: Path) -> None:
    """Refuse what is not a file, and would be read for ever: a folder, a device, a named pipe.

    What a shell passes as `<(command)` or `/dev/stdin` is a pipe without a name, which ends.
    """
    if source.is_dir():
        raise UsageError(f"{source} is a folder; give a file of JSON lines")
    if source.is_fifo() and source.resolve().is_fifo():
        raise UsageError(f"{source} is a named pipe; give a file of JSON lines, or /dev/stdin")
    if source.exists() and not (source.is_file() or source.is_fifo()):
        raise UsageError(f"{source} is a device or a socket; give a file of JSON lines")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _checked(text: str) -> tuple[dict[str, Any], bool]:
    """The line with its fields checked, and whether half a surrogate pair was replaced in them."""
    shown = repr(text[:SHOWN_CHARS])
    line = _parsed(text, shown)
    if not isinstance(line, dict):
        raise _Fault(f"{shown} is not an object; write one object a line")
    for name in ("id", "gold"):
        if name not in line:
            raise _Fault(f'the field "{name}" is missing from {shown}; add it')
    if ("output" in line) == ("answer" in line):
        fix = 'give exactly one of the fields "output" and "answer"'
        raise _Fault(f"{shown} has both or neither; {fix}")
    identity = _written_id(line["id"])
    texts = {name: line[name] for name in ("gold", "output", "answer") if name in line}
    for name, value in texts.items():
        if not isinstance(value, str):
            found = f'the field "{name}" is {_described(value)}, not a string'
            raise _Fault(f"{found}; put it in quotes")
    cleaned = {name: without_surrogates(value) for name, value in texts.items()}
    mended = cleaned != texts or identity != without_surrogates(identity)
    return {"id": line["id"], **cleaned}, mended


def _parsed(text: str, shown: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise _Fault(f"{shown} nests too deeply to be read; write one flat object a line") from None
    except json.JSONDecodeError:
        raise _Fault(f"{shown} is not JSON; write one object a line") from None
    except ValueError:  # Python's limit for numbers in decimal
        raise _Fault(f"{shown} has a number of thousands of digits; put it in quotes") from None


def _written_id(identity: object) -> str:
    """The id as JSON; what cannot be written back is refused."""
    if _nests_deeper(identity, MAX_ID_LEVELS):
        raise _Fault(f'the field "id" nests deeper than {MAX_ID_LEVELS} levels; use a string')
    try:
        return json.dumps(identity, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise _Fault('the field "id" has a number that is not finite; put it in quotes') from None


def _nests_deeper(value: object, levels: int) -> bool:
    children = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(children, list):
        return False
    return levels == 0 or any(_nests_deeper(child, levels - 1) for child in children)


def _described(value: object) -> str:
    if isinstance(value, dict | list):  # may nest too deeply to be shown
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value)[:SHOWN_CHARS]


def refuse_surrogates(text: str, place: str) -> None:
    """Refuse text with half of a surrogate pair: it is no character, and UTF-8 cannot hold it."""
    if text != without_surrogates(text):
        raise UsageError(f"{place} holds half of a surrogate pair; replace it by \\ufffd")


def check_target(target: Path, source: Path) -> None:
    """Refuse, before any work, a target that cannot be written or that is the source."""
    try:
        _check_target(target, source)
    except OSError as error:  # such as a name that is too long
        raise UsageError(f"cannot write {target}: {error.strerror}; change --out") from None


def _check_target(target: Path, source: Path) -> None:
    if not target.parent.is_dir():
        folder = f"the folder {target.parent} does not exist"
        raise UsageError(f"cannot write {target}: {folder}; create it or change --out")
    if target.is_dir():
        raise UsageError(f"cannot write {target}: it is a folder; give a file name to --out")
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"cannot write {target}: it is the input; change --out")
    place = target if _is_written_in_place(target) else target.resolve().parent
    if not os.access(place, os.W_OK):
        raise UsageError(f"cannot write {target}: no permission in {place}; change --out")


def write_rows(target: Path, rows: Iterable[dict[str, object]]) -> None:
    """All or nothing: the rows go to a temporary file beside the target, which is then renamed.

    What a link points to is replaced, not the link.
    """
    lines = [without_surrogates(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows]
    try:
        if _is_written_in_place(target):
            with target.open("a", encoding="utf-8") as stream:
                stream.writelines(lines)
        else:
            _replace(target.resolve(), lines)
    except OSError as error:
        fix = "change --out or free the disk"
        raise UsageError(f"cannot write {target}: {error.strerror or error}; {fix}") from None


def _is_written_in_place(target: Path) -> bool:
    """Whether the target is a pipe or a device, or a file that a shell opened as /dev/stdout."""
    places = [target.parent.resolve()]
    if target.is_symlink():
        places.append(target.readlink())
    opened = any(place.is_relative_to("/proc") for place in places)
    return target.exists() and (opened or not target.is_file())


def _replace(target: Path, lines: list[str]) -> None:
    temporary = ""
    try:
        folder = target.parent
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as file:
            temporary = file.name
            file.writelines(lines)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)  # still there only if something went wrong


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
