"""Which files are opened during a block, as the kernel reports: by any process, also for memory maps and by C code."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eval.records import UserError

IN_OPEN = 0x20
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name behind it
BUFFER = 1 << 16


@contextmanager
def watch(paths: Iterable[Path]) -> Iterator[set[Path]]:
    """Yields a set; after the block it holds those of `paths` that were opened.

    Raises UserError (exit code 1) where the kernel cannot watch more files.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handle = checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    opened: set[Path] = set()
    try:
        watched = {checked(libc.inotify_add_watch(handle, os.fsencode(path), IN_OPEN)): path for path in paths}
        yield opened
        opened |= {watched[number] for number in events(handle) if number in watched}
    finally:
        os.close(handle)


def checked(result: int) -> int:
    if result < 0:
        reason = os.strerror(ctypes.get_errno())
        raise UserError(
            f"the kernel cannot watch which files are read (inotify: {reason}); raise fs.inotify.max_user_instances.", 1
        )
    return result


def events(handle: int) -> Iterator[int]:
    """The watch number of each pending event."""
    while True:
        try:
            block = os.read(handle, BUFFER)
        except BlockingIOError:
            return
        place = 0
        while place < len(block):
            number, _, _, length = EVENT.unpack_from(block, place)
            yield number
            place += EVENT.size + length
