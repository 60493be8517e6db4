"""What Math-Verify says about the same pairs: a second opinion for the panel, never part of a verdict.

Math-Verify evaluates what it parses and can hang whatever timeout it is given, so it runs in processes of a pool that
kills them (pebble), with a memory limit. Both packages are optional: `pip install "boxed-sft[panel]"`.
"""

import importlib.util
import logging
import multiprocessing
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout

TIMEOUT_S = 10.0  # wall seconds for one pair; the slowest of 3,000 real pairs needed 2
MEMORY_BYTES = 4 << 30  # address space of a process; SymPy and its parser need about 0.5 GB
PACKAGES = ("math_verify", "pebble")


def missing_packages() -> list[str]:
    """Names of the packages without which there is no second opinion."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def second_opinions(
    pairs: Sequence[tuple[str, str]], workers: int, progress: Callable[[int, int], None] | None = None
) -> list[bool | None]:
    """For each (answer, gold) whether Math-Verify accepts it; None where it ran out of time or memory, or failed.

    It is given the content of the last box only: its own search of free text follows other rules than the contract.
    """
    from pebble import ProcessExpired, ProcessPool

    found: list[bool | None] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPool(max_workers=min(workers, len(pairs)) or 1, context=context, initializer=_prepare) as pool:
        answers = pool.map(_accepts, pairs, timeout=TIMEOUT_S).result()
        for done in range(1, len(pairs) + 1):
            try:
                found.append(next(answers))
            except (FutureTimeout, ProcessExpired, MemoryError):
                found.append(None)
            if progress is not None:
                progress(done, len(pairs))
    return found


def _prepare() -> None:
    """Set up a process, with the imports that would otherwise count as time of its first pair."""
    import math_verify  # type: ignore[import-untyped]  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)  # it logs a traceback for what it cannot read


def _accepts(pair: tuple[str, str]) -> bool | None:
    from math_verify import parse, verify

    answer, gold = pair
    try:
        return bool(verify(parse(f"${gold}$"), parse(f"\\boxed{{{answer}}}")))
    except Exception:  # it raises whatever SymPy raises; the column then says that it did not decide
        return None
