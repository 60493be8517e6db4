"""Which rows are drawn: by content, by weights and caps, and without near duplicates across the split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from data.dedup import signatures
from data.mix import dedup, mix, validation
from eval.records import UserError


def table(sources: dict[str, int], levels: int = 5, seed: int = 0) -> pa.Table:
    """Rows with these sources; a row's priority depends on its source and number alone."""
    rows = []
    for source, count in sources.items():
        drawn = np.random.default_rng([seed, *source.encode()]).integers(0, 2**63, (count, 2))
        rows += [
            {"id": f"{source}-{n}", "source": source, "level": f"Level {n % levels}", "subject": "", "difficulty": ""}
            | {"priority": int(drawn[n, 0]), "validation": int(drawn[n, 1]), "key": int(drawn[n, 0])}
            | {f"rank{place}": 0 for place in range(3)}
            for n in range(count)
        ]
    return pa.Table.from_pylist(rows)


def kept(given: pa.Table, **parameters: object) -> list[str]:
    return given["id"].filter(pa.array(mix(given, **parameters).mask)).to_pylist()  # type: ignore[arg-type]


def counts(ids: list[str]) -> dict[str, int]:
    return dict(Counter(name.rsplit("-", 1)[0] for name in ids))


def test_weights_give_shares_that_add_up():
    rows = table({"numinamath/a": 500, "numinamath/b": 500, "gsm8k": 400})
    found = counts(kept(rows, rows=301, weights={"numinamath/*": 2, "gsm8k": 1}))
    assert sum(found.values()) == 301 and found["gsm8k"] == 100


def test_another_source_does_not_reshuffle_the_rest():
    alone = set(kept(table({"a": 1000}), rows=300))
    beside = set(kept(table({"b": 700, "a": 1000}), rows=600, weights={"a": 1, "b": 1}))
    assert {name for name in beside if name.startswith("a-")} == alone
    assert set(kept(table({"a": 1000}), rows=200)) < alone


def test_caps_bound_every_value_that_a_pattern_matches():
    rows = table({"a": 300, "b": 300, "c": 50})
    assert counts(kept(rows, caps={"source": {"a": 20, "*": 100}})) == {"a": 20, "b": 100, "c": 50}
    fates = mix(rows, caps={"level": {"Level 0": 7}})
    assert Counter(fates.reasons) == {"": 527, "cap of level Level 0": 123}


def test_caps_and_weights_hold_together():
    rows = table({"a": 300, "b": 300})
    chosen = mix(rows, rows=90, weights={"a": 1, "b": 2}, caps={"level": {"*": 20}})
    levels = Counter(rows["level"].filter(pa.array(chosen.mask)).to_pylist())
    assert counts(rows["id"].filter(pa.array(chosen.mask)).to_pylist()) == {"a": 30, "b": 60}
    assert max(levels.values()) <= 20


def test_too_few_rows_are_an_error_or_fewer_of_all():
    rows = table({"a": 1000, "b": 10})
    with pytest.raises(UserError, match=r"b has 10 rows left and 50 of 100 were asked for.*at most 20 rows") as refused:
        mix(rows, rows=100, weights={"a": 1, "b": 1})
    assert refused.value.exit_code == 1
    assert counts(kept(rows, rows=100, weights={"a": 1, "b": 1}, if_short="shrink")) == {"a": 10, "b": 10}


def test_a_source_without_a_weight_is_named():
    with pytest.raises(UserError, match="source 'b' has no weight"):
        mix(table({"a": 5, "b": 5}), rows=5, weights={"a": 1})


def problems(texts: list[str]) -> tuple[pa.Table, np.ndarray]:
    rows = table({"a": len(texts)})
    keys = [hash(text) & (2**63 - 1) for text in texts]
    return rows.set_column(rows.column_names.index("key"), "key", pa.array(keys, pa.uint64())), signatures(texts)


TEXT = (
    "A farmer has {n} sheep in his field and drives to the market in town, where he buys {m} other animals of the same kind from "
    "a friend. How many sheep stand in the field when he comes home in the evening with all of them, dear {who}?"
)
TEXTS = [TEXT.format(n=n, m=2 * n, who="reader") for n in range(3, 33)]
COPIES = [TEXT.format(n=n, m=2 * n, who="listener") for n in range(3, 13)]


def test_dedup_keeps_the_best_solution_and_names_it():
    rows, signs = problems([TEXTS[0], TEXTS[0], TEXTS[1]])
    rows = rows.set_column(rows.column_names.index("rank0"), "rank0", pa.array([1, 0, 0]))
    fates = dedup(rows, signs)
    assert (fates.reasons, fates.details) == (["same problem", "", ""], {0: {"kept": "a-1"}})
    assert dedup(rows, signs, solutions=2).reasons == ["", "", ""]


def test_near_duplicates_go_unless_only_exact_ones_are_asked_for():
    rows, signs = problems(TEXTS + COPIES)
    assert Counter(dedup(rows, signs).reasons) == {"": 30, "near duplicate": 10}
    assert Counter(dedup(rows, signs, near=1).reasons) == {"": 40}


def test_validation_shares_no_near_duplicate_with_train():
    rows, signs = problems(TEXTS + COPIES)
    fates = validation(rows, signs, rows=15)
    assert len(fates.validation) == 15
    twins = {index: index + 30 for index in range(10)} | {index + 30: index for index in range(10)}
    for index in fates.validation:
        if index in twins:
            assert fates.reasons[twins[index]] == "near duplicate of a validation problem"
            assert fates.details[twins[index]] == {"validation": f"a-{index}"}
    again = validation(rows, signs, rows=5)
    assert again.validation < fates.validation
