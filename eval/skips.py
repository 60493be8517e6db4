"""A checkpoint that cannot be scored: it ends the call, or is listed while the others are scored (--skip-broken)."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from eval.engines.base import Engine
from eval.records import UserError, first_line
from eval.store import Locked

# What no checkpoint is to blame for, and the next one would meet too.
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Skipped(NamedTuple):
    """A checkpoint that was left out, on one benchmark or on all (""), and why."""

    checkpoint: str
    benchmark: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.checkpoint} on {self.benchmark}" if self.benchmark else self.checkpoint
        told = (
            self.reason if self.reason.startswith(self.checkpoint) and not self.benchmark else f"{place}: {self.reason}"
        )
        return f"skipped: {told}"


class Skips(NamedTuple):
    """What to do with a checkpoint that fails: it joins `listed`; where that is None its error ends the call.

    The error names the option that would spare the others, where there are `several`.
    """

    listed: list[Skipped] | None
    several: bool

    @contextmanager
    def around(self, checkpoint: str, benchmark: str = "", engine: Engine | None = None) -> Iterator[None]:
        """Work on one checkpoint. An engine that failed in the middle of it is closed, so that the next one starts anew."""
        try:
            yield
        except Exception as error:
            if self.listed is None or _is_of_the_machine(error):
                raise self._explained(error, checkpoint, benchmark) from error.__cause__
            traceback.print_exc()  # to the log
            if engine and not isinstance(error, Locked):
                with suppress(Exception):
                    engine.close()
            self.listed.append(Skipped(checkpoint, benchmark, _reason(error)))

    def _explained(self, error: Exception, checkpoint: str, benchmark: str) -> Exception:
        """The error with the model's name, which engines leave out, and with the option."""
        if not isinstance(error, UserError) or _is_of_the_machine(error):
            return error
        place = (
            f"{checkpoint} on {benchmark}: "
            if benchmark and checkpoint not in str(error) and not isinstance(error, Locked)
            else ""
        )
        advice = " To score the others all the same: --skip-broken." if self.several else ""
        return UserError(f"{place}{error}{advice}", error.exit_code)


def _is_of_the_machine(error: BaseException | None) -> bool:
    if error is None:
        return False
    return (isinstance(error, OSError) and error.errno in OF_THE_MACHINE) or _is_of_the_machine(error.__cause__)


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error)} (see the log)."
