"""JSON Lines in and out for the command line, with one sentence for each thing a user can get wrong."""

import gzip
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHOWN_CHARS = 60  # of a faulty line in a message


class UsageError(Exception):
    """The request cannot be carried out; the message is one sentence with the place, the value and the fix."""


def read_pairs(source: Path) -> list[dict[str, Any]]:
    """The checked lines {"id", "gold", "output"} or {"id", "gold", "answer"} of a file, or of a `.gz` of it."""
    try:
        raw = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist; give a file of JSON lines") from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte {error.object[error.start]:#04x} is not UTF-8"
        raise UsageError(f"{source}, line {number}: {found}; save the file as UTF-8 (`iconv -t UTF-8`)") from None
    except (OSError, EOFError) as error:
        raise UsageError(f"cannot read {source}: {error}; give a readable UTF-8 file of JSON lines") from None
    # Not splitlines(): U+2028 inside a string is no line end in JSON Lines.
    numbered = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    return [_checked(line, f"{source}, line {number}") for number, line in numbered if line.strip()]


def _checked(text: str, place: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):  # a number of 5,000 digits is a ValueError too
        raise UsageError(f"{place}: {text[:SHOWN_CHARS]!r} is not JSON; write one object a line") from None
    if not isinstance(line, dict):
        raise UsageError(f"{place}: {text[:SHOWN_CHARS]!r} is not an object; write one object a line")
    for field in ("id", "gold"):
        if field not in line:
            raise UsageError(f'{place}: the field "{field}" is missing from {text[:SHOWN_CHARS]!r}; add it')
    if ("output" in line) == ("answer" in line):
        fix = 'give exactly one of the fields "output" and "answer"'
        raise UsageError(f"{place}: {text[:SHOWN_CHARS]!r} has both or neither; {fix}")
    for field in ("gold", "output", "answer"):
        if not isinstance(line.get(field, ""), str):
            raise UsageError(f'{place}: the field "{field}" is {line[field]!r:.40}, not a string; put it in quotes')
    for field in line:
        check_characters(line[field], f'{place}: the field "{field}"')
    return line


def check_characters(value: object, place: str) -> None:
    """Refuse text with half of a surrogate pair: it is no character, and no file in UTF-8 can hold it."""
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise UsageError(f"{place} holds {half}, half of a surrogate pair; replace it by \\ufffd") from None


def check_target(target: Path, source: Path) -> None:
    """Refuse, before any work, a target that cannot be written or that is the source."""
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {target}: the folder {target.parent} does not exist; create it or change --out")
    if target.is_dir():
        raise UsageError(f"cannot write {target}: it is a folder; give a file name to --out")
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"cannot write {target}: it is the input; change --out")


def write_rows(target: Path, rows: Iterable[dict[str, object]]) -> None:
    """All or nothing: the rows go to a temporary file beside the target, which is then renamed."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    temporary = ""
    try:
        if target.exists() and not target.is_file():  # a pipe or /dev/stdout is written to, never replaced
            with target.open("w", encoding="utf-8") as stream:
                stream.writelines(lines)
            return
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, delete=False) as file:
            temporary = file.name
            file.writelines(lines)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}; change --out or free the disk") from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)  # still there only if something went wrong


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
