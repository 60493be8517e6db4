"""Decisions over all rows at once: duplicates, the mixture, the validation split. Each returns a fate for every row.

A table has one line a row that is still in: `id, source, subject, level, difficulty` (text), `priority` (uint64, drawn
from the row's content), `key` (uint64 of the normalised problem), `rank` (how good its solution is), as Arrow columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa

from data import dedup as duplicates
from eval.records import UserError

KEPT = ""
Signatures = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]


@dataclass
class Fates:
    """For each row the reason to drop it ("" keeps it), and by row number what the reader wants to know beyond it."""

    reasons: list[str]
    details: dict[int, dict[str, Any]] = field(default_factory=dict)
    validation: frozenset[int] = frozenset()

    @property
    def mask(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        return np.array([reason == KEPT for reason in self.reasons], dtype=np.bool_)


def dedup(table: pa.Table, signatures: Signatures, *, near: float = duplicates.THRESHOLD, solutions: int = 1) -> Fates:
    """At most `solutions` of each problem, the best ones by `data.dedup.rank`; `near: 1` compares exact texts only."""
    keys = table["key"].to_pylist()
    # Without near duplicates every text has a signature of its own, so that only keys group.
    groups = duplicates.group(signatures, keys, near) if near < 1 else _first_of_equal(keys)
    ranks = list(zip(*(table[f"rank{place}"].to_pylist() for place in range(3)), strict=True))
    order = sorted(range(len(keys)), key=lambda index: (ranks[index], index))
    taken: Counter[int] = Counter()
    best: dict[int, int] = {}
    fates = Fates([KEPT] * len(keys))
    for index in order:
        number = int(groups[index])
        taken[number] += 1
        best.setdefault(number, index)
        if taken[number] > solutions:
            winner = best[number]
            fates.reasons[index] = "same problem" if keys[index] == keys[winner] else "near duplicate"
            fates.details[index] = {"kept": winner}
    ids = table["id"]
    fates.details = {index: {"kept": ids[detail["kept"]].as_py()} for index, detail in fates.details.items()}
    return fates


def mix(
    table: pa.Table,
    *,
    rows: int = 100_000,
    weights: dict[str, float] | None = None,
    caps: dict[str, dict[str, int]] | None = None,
    if_short: str = "error",
) -> Fates:
    """At most `rows`, the lowest by content hash, so that another source never reshuffles what is drawn of this one.

    `weights` give shares to patterns of `source`; `caps` bound, by column, every value that a pattern matches (the
    first one counts). Where a source has too few rows for its weight, `if_short: error` refuses and `shrink` takes
    fewer of all, so that the weights hold.
    """
    weights, caps = weights or {}, caps or {}
    columns = {name: table[name].to_pylist() for name in ("source", *caps)}
    members = _members(columns["source"], weights)
    quotas = _quotas(rows, weights, len(members))
    reasons = _drawn(table, columns, members, quotas, caps)
    counts = Counter(member for member, reason in zip(members, reasons, strict=True) if reason == KEPT)
    short = [name for name in weights if counts[name] < quotas[name]]
    if not short:
        return Fates(reasons)
    possible = int(min(counts[name] * sum(weights.values()) / weight for name, weight in weights.items() if weight))
    if if_short == "error":
        name = min(short, key=lambda name: counts[name] / quotas[name])
        raise UserError(
            f"mix: the weights cannot be met: {name} has {counts[name]:,} rows left and {quotas[name]:,} of {rows:,} were asked "
            f"for; with these weights at most {possible:,} rows can be had: lower `rows`, or set `if_short: shrink`.",
            1,
        )
    return Fates(_drawn(table, columns, members, _quotas(possible, weights, len(members)), caps))


def validation(table: pa.Table, signatures: Signatures, *, rows: int = 100) -> Fates:
    """The rows of the validation split, drawn by content; their near duplicates leave train."""
    groups = duplicates.group(signatures, table["key"].to_pylist(), duplicates.THRESHOLD).tolist()
    order = np.argsort(table["validation"].to_numpy(), kind="stable").tolist()
    chosen: dict[int, int] = {}
    for index in order:
        if len(chosen) < min(rows, len(order) - 1):
            chosen.setdefault(groups[index], index)
    ids = table["id"]
    fates = Fates([KEPT] * len(groups), validation=frozenset(chosen.values()))
    for index, number in enumerate(groups):
        if number in chosen and chosen[number] != index:
            fates.reasons[index] = "near duplicate of a validation problem"
            fates.details[index] = {"validation": ids[chosen[number]].as_py()}
    return fates


def _members(sources: Sequence[str], weights: dict[str, float]) -> list[str]:
    """For each row the first weighted pattern that matches its source; "" for all without weights."""
    if not weights:
        return [""] * len(sources)
    names = {
        source: next((name for name in weights if fnmatchcase(source, name)), None) for source in dict.fromkeys(sources)
    }
    missing = [source for source, name in names.items() if name is None]
    unused = [name for name in weights if name not in names.values()]
    if missing:
        raise UserError(f'mix: source {missing[0]!r} has no weight; add one (`"*": …` stands for all others).', 1)
    if unused:
        raise UserError(
            f"mix: the weight of {unused[0]!r} matches no source; they are {', '.join(sorted(names)[:20])}.", 1
        )
    return [names[source] or "" for source in sources]


def _quotas(rows: int, weights: dict[str, float], available: int) -> dict[str, int]:
    """Whole rows for each weight that add up to `rows`, by largest remainder."""
    if not weights:
        return {"": min(rows, available)}
    shares = {name: rows * weight / sum(weights.values()) for name, weight in weights.items()}
    quotas = {name: int(share) for name, share in shares.items()}
    for name in sorted(shares, key=lambda name: quotas[name] - shares[name])[: rows - sum(quotas.values())]:
        quotas[name] += 1
    return quotas


def _drawn(
    table: pa.Table,
    columns: dict[str, list[str]],
    members: list[str],
    quotas: dict[str, int],
    caps: dict[str, dict[str, int]],
) -> list[str]:
    reasons = [""] * len(members)
    left = dict(quotas)
    counts: dict[str, Counter[str]] = {name: Counter() for name in caps}
    limits = {name: _limits(columns[name], patterns) for name, patterns in caps.items()}
    for index in np.argsort(table["priority"].to_numpy(), kind="stable").tolist():
        values = {name: columns[name][index] for name in caps}
        full = next((name for name, value in values.items() if counts[name][value] >= limits[name][value]), None)
        if full is not None:
            reasons[index] = f"cap of {full} {values[full] or '(none)'}"
        elif left[members[index]] <= 0:
            reasons[index] = "not drawn"
        else:
            left[members[index]] -= 1
            for name, value in values.items():
                counts[name][value] += 1
    return reasons


def _limits(values: list[str], patterns: dict[str, int]) -> dict[str, float]:
    return {
        value: next((float(cap) for pattern, cap in patterns.items() if fnmatchcase(value, pattern)), float("inf"))
        for value in dict.fromkeys(values)
    }


def _first_of_equal(keys: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    first: dict[int, int] = {}
    return np.array([first.setdefault(key, index) for index, key in enumerate(keys)], dtype=np.int64)


# Name -> decision, and whether it wants signatures.
WHOLE: dict[str, tuple[Any, bool]] = {"dedup": (dedup, True), "mix": (mix, False), "validation": (validation, True)}
