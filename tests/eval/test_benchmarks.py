"""Benchmark files: what is read, what is refused with file and line, and reference answers that grade themselves."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks import HUB, load, names, to_lines, ungradable
from eval.records import UserError

SUM = '{"id": "a", "problem": "1 + 1?", "answer": "2"}'
PRODUCT = '{"id": "b", "problem": "2 * 3?", "answer": "6", "level": 4, "subject": "Arithmetic"}'


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(*lines): sums.jsonl with these lines; returns its folder."""

    def write_lines(*lines: str) -> Path:
        (tmp_path / "sums.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return tmp_path

    return write_lines


def test_problems_keep_the_order_of_the_file_and_its_optional_fields(write: Callable[..., Path]) -> None:
    benchmark = load("sums", write(PRODUCT, "", SUM))
    assert [(problem.id, problem.problem, problem.answer) for problem in benchmark.problems] == [
        ("b", "2 * 3?", "6"),
        ("a", "1 + 1?", "2"),
    ]
    product = benchmark.problems[0]
    assert (product.benchmark, product.level, product.subject, product.source) == ("sums", "4", "Arithmetic", None)
    assert benchmark.available == 2


def test_a_gzipped_file_is_the_same_benchmark(write: Callable[..., Path], tmp_path: Path) -> None:
    plain = load("sums", write(SUM, PRODUCT))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "sums.jsonl.gz").write_bytes(gzip.compress((tmp_path / "sums.jsonl").read_bytes()))
    assert load("sums", packed) == plain


def test_a_line_separator_inside_a_text_ends_no_line(write: Callable[..., Path]) -> None:
    problem = "Zeile eins\u2028Zeile zwei\u0085drei"
    row = json.dumps({"id": "u", "problem": problem, "answer": "2"}, ensure_ascii=False)
    assert [found.problem for found in load("sums", write(row, SUM)).problems] == [problem, "1 + 1?"]


def test_a_limited_benchmark_is_another_one(write: Callable[..., Path]) -> None:
    folder = write(SUM, PRODUCT)
    whole, limited = load("sums", folder), load("sums", folder, limit=1)
    assert len(limited.problems) == 1
    assert limited.sha256 != whole.sha256
    assert limited.available == whole.available == 2
    assert load("sums", folder, limit=9) == whole


BY_SUBJECT = [
    json.dumps({"id": f"{subject}{number}", "problem": f"{subject} {number}?", "answer": "1", "subject": subject})
    for subject in ("algebra", "geometry", "number theory", "counting")
    for number in range(50)
]


def test_a_limit_draws_from_the_whole_file(write: Callable[..., Path]) -> None:
    drawn = load("sums", write(*BY_SUBJECT), limit=40).problems
    counts = Counter(problem.subject for problem in drawn)
    assert len(drawn) == 40 and len(counts) == 4 and min(counts.values()) >= 5


def test_a_draw_is_nested_in_file_order_and_independent_of_it(write: Callable[..., Path]) -> None:
    folder = write(*BY_SUBJECT)
    whole, few, more = ([problem.id for problem in load("sums", folder, limit).problems] for limit in (None, 20, 60))
    assert few == [id_ for id_ in whole if id_ in set(few)]
    assert set(few) < set(more)
    turned = [problem.id for problem in load("sums", write(*reversed(BY_SUBJECT)), limit=20).problems]
    assert turned == few[::-1]


# A change of the file -> is it another benchmark?
CHANGES = {
    "another answer": ([SUM.replace('"2"', '"3"'), PRODUCT], True),
    "another text": ([SUM.replace("1 + 1", "1 + 2"), PRODUCT], True),
    "another id": ([SUM.replace('"a"', '"c"'), PRODUCT], True),
    "another order": ([PRODUCT, SUM], True),
    "another level": ([SUM, PRODUCT.replace("4", "5")], False),
    "a blank line": ([SUM, "", PRODUCT], False),
}


@pytest.mark.parametrize(("lines", "differs"), CHANGES.values(), ids=CHANGES)
def test_the_sha_follows_ids_texts_answers_and_order(
    lines: list[str], differs: bool, write: Callable[..., Path]
) -> None:
    before = load("sums", write(SUM, PRODUCT)).sha256
    assert (load("sums", write(*lines)).sha256 != before) is differs


# Lines of sums.jsonl -> what the sentence must say.
BAD_LINES = {
    "not JSON": ([SUM, "{'id': 1}"], ("sums.jsonl:2", "is not JSON", "one object a line")),
    "JSON cut off": ([SUM, PRODUCT[:30]], ("sums.jsonl:2", "is not JSON")),
    "nested without end": (["[" * 100_000], ("sums.jsonl:1", "is not JSON")),
    "half a surrogate pair": ([SUM.replace("1 + 1", "\\ud800")], ("sums.jsonl:1", "surrogates")),
    "no object": (["[1, 2]"], ("sums.jsonl:1", "[1, 2]", "is not an object")),
    "no problem": ([SUM, "", '{"id": "x", "answer": "2"}'], ("sums.jsonl:3", "problem is None")),
    "no answer": (['{"id": "x", "problem": "1 + 1?"}'], ("sums.jsonl:1", "answer is None")),
    "an object for an answer": ([SUM, PRODUCT.replace('"6"', '{"x": 6}')], ("sums.jsonl:2", "answer is {'x': 6}")),
    "a list of lists": ([SUM, PRODUCT.replace('"6"', "[[1, 2], [3, 4]]")], ("sums.jsonl:2", "answer is [[1, 2]")),
    "a blank problem": ([SUM, PRODUCT.replace("2 * 3?", " ")], ("sums.jsonl:2", "problem is ' '; it must be a text")),
    "an id twice": ([SUM, PRODUCT, SUM], ("sums.jsonl:3", "id 'a' comes twice", "sums.jsonl:1", "made from the text")),
    "a pointer of Git LFS": (["version https://git-lfs.github.com/spec/v1"], ("sums.jsonl", "git lfs pull")),
    "nothing": ([], ("benchmark sums is empty", "id, problem and answer")),
    "blank lines only": (["", ""], ("benchmark sums is empty",)),
}


@pytest.mark.parametrize(("lines", "said"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_file_is_refused_with_its_line(
    lines: list[str], said: tuple[str, ...], write: Callable[..., Path]
) -> None:
    assert_refused(lambda: load("sums", write(*lines)), *said)


@pytest.mark.parametrize("nothing", ["null", "NaN", "[]", "[null]", '"None"', '"nan"'])
def test_a_row_without_an_answer_is_not_judged_and_hides_no_other(
    nothing: str, write: Callable[..., Path], cli: Callable[..., Any]
) -> None:
    folder = write(SUM, PRODUCT.replace('"6"', nothing))
    assert [problem.answer for problem in load("sums", folder).problems] == ["2", ""]
    done = cli("benchmarks", "--check", "--benchmarks-dir", folder)
    assert done.code == 1
    assert "sums: no answer can be read in 1 of 2 problems" in done.out and "such as 'b'" in done.out


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_answer_is_named_as_an_answer_that_is_missing(
    blank: str, write: Callable[..., Path], cli: Callable[..., Any]
) -> None:
    done = cli("benchmarks", "--check", "--benchmarks-dir", write(SUM, PRODUCT.replace('"6"', f'"{blank}"')))
    assert done.code == 1 and "sums: the answer is blank in 1 of 2 problems, such as 'b'" in done.out


PACKED = gzip.compress("".join(SUM.replace('"a"', f'"{number}"') + "\n" for number in range(50)).encode())
BAD_BYTES = {
    "gzip cut off": ("sums.jsonl.gz", PACKED[:-12]),
    "gzip damaged inside": ("sums.jsonl.gz", PACKED[:12] + bytes(8) + PACKED[20:]),
    "gzip damaged at its checksum": ("sums.jsonl.gz", PACKED[:-8] + bytes(8)),
    "not gzipped": ("sums.jsonl.gz", SUM.encode()),
    "not UTF-8": ("sums.jsonl", SUM.replace("?", "\xff").encode("latin-1")),
}


@pytest.mark.parametrize(("name", "content"), BAD_BYTES.values(), ids=BAD_BYTES)
def test_damaged_bytes_are_refused_with_the_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(lambda: load("sums", tmp_path), str(tmp_path / name), "cannot be read", "gzipped if it ends in .gz")


def test_an_unknown_name_gets_the_nearest_known_one(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(SUM)
    assert_refused(lambda: load("sum", folder), str(folder), "no benchmark 'sum'; did you mean 'sums'?")
    assert_refused(lambda: load("physics", folder), "no benchmark 'physics'; known are: sums.")
    assert_refused(
        lambda: load("math-500"), "unknown benchmark 'math-500'; did you mean 'math500'?", "--benchmarks-dir"
    )
    assert_refused(lambda: load("zzz"), "known are: aime24, gsm8k-test, math500.")
    assert_refused(lambda: load("sums", tmp_path / "none"), f"{tmp_path / 'none'} is no folder", "--benchmarks-dir")


def test_names_are_those_that_can_be_loaded(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(SUM)
    (tmp_path / "packed.jsonl.gz").write_bytes(PACKED)
    (tmp_path / "old.jsonl.bak").write_text(SUM)
    (tmp_path / "README.md").touch()
    assert names(folder) == ["packed", "sums"]
    assert names() == sorted(HUB)
    assert_refused(lambda: names(tmp_path / "none"), "is no folder")


def test_a_benchmark_of_the_hub_without_network_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub\nand more lines")

    monkeypatch.setattr("datasets.load_dataset", no_network)
    assert_refused(lambda: load("math500"), "HuggingFaceH4/MATH-500", "Couldn't reach the Hub)", "math500.jsonl")


def test_a_benchmark_of_the_hub_is_read_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"{n} + 0?", "answer": f"It stays. #### {n:,}"} for n in range(1319)]
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: rows)
    last = load("gsm8k-test").problems[-1]
    assert (last.id, last.problem, last.answer) == ("gsm8k-test-1318", "1318 + 0?", "1318")

    rows.pop()
    with pytest.raises(UserError, match="has 1318 problems, 1319 were expected") as refusal:
        load("gsm8k-test")
    assert refusal.value.exit_code == 1


def test_lines_written_for_a_report_load_again(write: Callable[..., Path], tmp_path: Path) -> None:
    benchmark = load("sums", write(SUM, PRODUCT.replace("?", "\u2028")))
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "sums.jsonl").write_text(to_lines(benchmark), encoding="utf-8")
    assert load("sums", copies) == benchmark


def test_answers_that_do_not_grade_themselves_are_found(write_benchmark: Callable[..., Path]) -> None:
    golds = {"plain": "2", "a fraction": r"\frac{1}{2}", "nothing": "", "open brace": r"\frac{1}{", "set": r"\{1, 2\}"}
    bad = ungradable(load("golds", write_benchmark("golds", golds)))
    assert [(problem.problem, status) for problem, status in bad] == [
        ("nothing", "unparsed_gold"),
        ("open brace", "no_box"),
    ]


def assert_refused(request: Callable[[], object], *said: str) -> None:
    """A UserError with exit code 2, on one line, that says all of `said`."""
    with pytest.raises(UserError) as refusal:
        request()
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)
    for words in said:
        assert words in str(refusal.value)
