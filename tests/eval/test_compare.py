"""Comparisons over small stores: who is meant, what may be paired, what is concluded, what the command prints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval import store
from eval.compare import compare, find_side, verdict
from eval.records import UserError

Cli = Callable[..., Any]
GREEDY = {"max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0}


def write_evaluation(
    reports: Path,
    path: str,
    right: set[int],
    n: int = 60,
    name: str = "sums",
    undecided: dict[int, str] | None = None,
    strict: set[int] | None = None,
    answer: str = "{}",
    grader: str = "1",
    weights: str | None = None,
    **changes: Any,
) -> str:
    """Writes what the store writes for a finished evaluation; returns its key. `right` are numbers of problems."""
    decoding = GREEDY | changes.pop("decoding", {})
    step = int(path.rpartition("-")[2]) if "checkpoint-" in path else None
    weights = weights or hashlib.sha256(path.encode()).hexdigest()
    key = hashlib.sha256(f"{weights}{name}{n}{decoding}{changes}".encode()).hexdigest()[:16]
    folder, run = reports / key, Path(path).parent.name if step is not None else Path(path).name
    lines = []
    for number in range(n):
        for sample in range(decoding["n_samples"]):
            good = number in right
            status = (undecided or {}).get(number, "correct" if good else "wrong")
            exact = status == "correct" and (strict is None or number in strict)
            line = {"id": f"p{number}", "sample": sample, "status": status, "correct": status == "correct"}
            line |= {"strict": exact, "normalized": exact, "rule": "exact", "cpu_ms": 0.1}
            lines.append(line | {"extracted": answer.format(number) if good else None})
    summary = {"checkpoint": path, "run": run, "step": step, "benchmark": name, "grader": grader, "key": key}
    manifest = {
        "key": key,
        "checkpoint": {"path": path, "run": run, "step": step, "weights_sha": weights},
        "benchmark": {
            "name": name,
            "sha256": f"{name}{n}",
            "n": n,
            "limit": None,
            "file": f"benchmarks/{name}-{n}.jsonl",
        },
        "decoding": decoding,
        "engine": {"name": "vllm", "version": "1"},
        "created": "2026-01-01T00:00:00+00:00",
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    (reports / "benchmarks").mkdir(exist_ok=True)
    problems = [{"id": f"p{number}", "problem": "?", "answer": str(number)} for number in range(n)]
    store.write_whole(reports / "benchmarks" / f"{name}-{n}.jsonl", "".join(json.dumps(p) + "\n" for p in problems))
    store.write_whole(folder / f"verdicts.{grader}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    store.write_whole(folder / "manifest.json", json.dumps(manifest))
    store.write_whole(folder / "summary.json", json.dumps(summary))
    (folder / "DONE").touch()
    return key


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """reports/: run demo at steps 5, 10, 20, and the model base. Step 20 fixes 12 problems of step 10 and breaks 2."""
    monkeypatch.chdir(tmp_path)
    reports = Path("reports")
    write_evaluation(reports, "base", set(range(5)))
    write_evaluation(reports, "checkpoints/demo/checkpoint-5", set(range(9)))
    write_evaluation(reports, "checkpoints/demo/checkpoint-10", set(range(10)))
    write_evaluation(reports, "checkpoints/demo/checkpoint-20", set(range(2, 22)))
    return reports


def one(reports: Path, a: str, b: str) -> Any:
    (comparison,), left_out = compare(find_side(a, reports), find_side(b, reports))
    assert not left_out
    return comparison


# Who is meant


@pytest.mark.parametrize(
    ("asked", "model", "why"),
    [
        ("checkpoints/demo/checkpoint-10", "checkpoints/demo/checkpoint-10", ""),
        ("checkpoints/demo/", "checkpoints/demo/checkpoint-20", "the last checkpoint of checkpoints/demo"),
        ("demo", "checkpoints/demo/checkpoint-20", "the last checkpoint of demo"),
        ("base", "base", ""),
    ],
)
def test_a_name_stands_for_what_was_evaluated_under_it(reports: Path, asked: str, model: str, why: str) -> None:
    side = find_side(asked, reports)
    assert side.model == model and why in side.why and len(side.evaluations) == 1


def test_a_key_or_its_first_digits_or_its_folder_stand_for_one_evaluation(reports: Path) -> None:
    key = write_evaluation(reports, "other", {1})
    for asked in (key, key[:8], f"reports/{key}"):
        assert find_side(asked, reports).model == "other"


def test_a_folder_is_recognised_by_its_weights(reports: Path) -> None:
    run = Path("runs/a")
    for step in (9, 100):
        (run / f"checkpoint-{step}").mkdir(parents=True)
        (run / f"checkpoint-{step}" / "config.json").write_text(f'"{step}"')
    with pytest.raises(UserError, match=r"runs/a/checkpoint-100 \(the last checkpoint of runs/a\) has no evaluation"):
        find_side("runs/a", reports)
    weights = hashlib.sha256(b'"100"').hexdigest()
    write_evaluation(reports, "somewhere/else", {1}, weights=weights)
    side = find_side("runs/a", reports)
    assert (side.model, side.why) == ("runs/a/checkpoint-100", "the last checkpoint of runs/a")
    (run / "checkpoint-100" / "config.json").write_text('"retrained"')
    with pytest.raises(UserError, match="with the weights it has now; make one: make eval CKPT=runs/a/checkpoint-100"):
        find_side("runs/a", reports)


# What may be paired


def test_only_equal_conditions_are_paired_and_what_differs_is_said(reports: Path) -> None:
    write_evaluation(reports, "base", {1}, decoding={"max_tokens": 64})
    assert one(reports, "base", "demo").a.manifest["decoding"]["max_tokens"] == 512
    write_evaluation(reports, "short", {1}, decoding={"max_tokens": 64}, engine={"name": "hf", "version": "5"})
    with pytest.raises(UserError) as error:
        one(reports, "demo", "short")
    assert "(max tokens 512 against 64, engine vllm 1 against hf 5)" in str(error.value)
    assert "make eval CKPT=short BENCH=sums MAX_TOKENS=512 ENGINE=vllm" in str(error.value)


def test_the_first_problems_are_not_paired_with_drawn_ones(reports: Path) -> None:
    first = {"name": "math", "n": 60, "limit": 20, "file": "benchmarks/math-20.jsonl"}
    write_evaluation(reports, "old", {1}, name="math", n=20, benchmark=first | {"sha256": "first"})
    write_evaluation(reports, "new", {1}, name="math", n=20, benchmark=first | {"sha256": "drawn", "drawn": True})
    with pytest.raises(UserError) as error:
        one(reports, "old", "new")
    assert "(limit first 20 against drawn 20, problems with sha256 first against drawn)" in str(error.value)
    assert "measure both as A was, on 20 problems drawn: make eval CKPT='old new' BENCH=math" in str(error.value)
    with pytest.raises(UserError, match=r"measure B as A was: make eval CKPT=old BENCH=math .*LIMIT=20"):
        one(reports, "new", "old")


def test_a_benchmark_that_cannot_be_paired_is_left_out_and_said_unless_it_was_asked_for(reports: Path) -> None:
    write_evaluation(reports, "base", {1}, name="words", n=20)
    write_evaluation(reports, "checkpoints/demo/checkpoint-20", {1}, name="words", n=30)
    sides = find_side("base", reports), find_side("demo", reports)
    comparisons, left_out = compare(*sides)
    assert [comparison.a.summary["benchmark"] for comparison in comparisons] == ["sums"]
    assert "words: A and B were not measured alike (problems with sha256 words20 against words30)" in left_out[0]
    with pytest.raises(UserError, match="not measured alike"):
        compare(*sides, ["words"])


# What is wrong -> (A, B, more arguments, what the sentence must name).
REFUSED: dict[str, tuple[str, str, list[str], tuple[str, ...]]] = {
    "never evaluated": ("basis", "demo", [], ("basis is no folder", "did you mean base?", "make eval CKPT=basis")),
    "not on this benchmark": (
        "base",
        "demo",
        ["--benchmark=gsm8k"],
        ("base has no", "make eval CKPT=base BENCH=gsm8k"),
    ),
    "nothing in common": ("other", "demo", [], ("checkpoint-20 has no evaluation on words", "BENCH=words")),
    "one model twice": ("base", "base", [], ("base and base are the same weights", "name two different models")),
    "no reports": ("base", "demo", ["--reports=none"], ("none is no folder", "make eval CKPT=base")),
    "a file": ("file", "demo", [], ("file is a file",)),
    "an ambiguous key": ("0000", "demo", [], ("0000 begins 2 keys", "give more digits")),
    "an unfinished key": ("reports/00001111", "demo", [], ("not finished", "it resumes")),
    "two graders": ("old", "demo", [], ("A was graded by version 0, B by 1", "without decoding")),
}


@pytest.mark.parametrize(("a", "b", "more", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_gives_one_sentence_and_exit_code_2(
    reports: Path, cli: Cli, a: str, b: str, more: list[str], named: tuple[str, ...]
) -> None:
    write_evaluation(reports, "other", {1}, name="words")
    write_evaluation(reports, "old", {1}, grader="0")
    for number in range(2):
        (reports / write_evaluation(reports, f"copy{number}", {1})).rename(reports / f"0000111122223{number}")
    (reports / "00001111").mkdir()
    (reports / "00001111" / "manifest.json").write_text("{}")
    Path("file").touch()
    done = cli("compare", a, b, *more)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ") and len(done.err.splitlines()) == 1
    for words in named:
        assert words in done.err


# What is concluded


@pytest.mark.parametrize(
    ("right_a", "right_b", "sentence"),
    [
        (10, range(2, 22), "B is better by 16.7 points, 95 % interval 4.9 to 27.9."),
        (22, range(9), "A is better by 21.7 points, 95 % interval 11.5 to 32.8."),
        (10, range(1, 12), "cannot be told apart: B is ahead by 1.7 points, 95 % interval -4.9 to 8.2; 1,400 more"),
        (10, range(1, 11), "cannot be told apart: equally many of 60 problems right."),
        (10, range(10), "cannot be told apart: equally many of 60 problems right."),
    ],
)
def test_the_verdict_is_one_sentence(reports: Path, right_a: int, right_b: range, sentence: str) -> None:
    write_evaluation(reports, "a", set(range(right_a)))
    write_evaluation(reports, "b", set(right_b))
    assert verdict(one(reports, "a", "b")).startswith(sentence)


def test_the_verdict_says_where_another_reading_disagrees(reports: Path) -> None:
    write_evaluation(reports, "loose", set(range(2, 22)), strict=set(range(2, 12)))
    assert "B is better by 16.7 points" in verdict(one(reports, "checkpoints/demo/checkpoint-10", "loose"))
    assert verdict(one(reports, "checkpoints/demo/checkpoint-10", "loose")).endswith(
        "(not so by the strict and the normalized reading)."
    )


def test_what_has_no_verdict_is_left_out_on_both_sides_and_said(reports: Path, cli: Cli) -> None:
    write_evaluation(reports, "slow", set(range(10)), undecided={0: "timeout", 30: "timeout", 31: "error"})
    found = one(reports, "slow", "checkpoints/demo/checkpoint-10").levels["equivalent"]
    assert (found.n, found.fixed, found.broken, found.a) == (57, 0, 0, 9 / 57)
    done = cli("compare", "slow", "demo")
    assert "A: 1 error and 2 timeout without a verdict; these problems are left out on both sides" in done.out
    assert done.code == 1 and "slow on sums: 1 outputs are error, which is not a wrong answer" in done.err


def test_several_samples_of_a_problem_are_one_cluster(reports: Path) -> None:
    sampled = {"decoding": {"n_samples": 4, "temperature": 0.7}}
    write_evaluation(reports, "base", set(range(10)), **sampled)
    write_evaluation(reports, "hot", set(range(2, 22)), **sampled)
    found = one(reports, "base", "hot")
    assert found.samples == 4
    assert (found.levels["equivalent"].n, found.levels["equivalent"].fixed, found.levels["equivalent"].broken) == (
        60,
        12,
        2,
    )


# What is printed


def test_the_table_the_flips_and_the_verdict(reports: Path, cli: Cli) -> None:
    done = cli("compare", "checkpoints/demo/checkpoint-10", "demo")
    words = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    for expected in (
        "A checkpoints/demo/checkpoint-10 B checkpoints/demo/checkpoint-20 (no such folder here; the last checkpoint of demo",
        "sums: 60 problems",
        "equivalent 16.7% 33.3% +16.7 +4.9 to +27.9 0.013 12 2",
        "first 10 of 14 problems that differ",
        "p0 broken 0 0 no box p1 broken 1 1 no box p10 fixed 10 no box 10",
        "sums: B is better by 16.7 points, 95 % interval 4.9 to 27.9.",
    ):
        assert expected in words, expected
    assert max(map(len, done.out.splitlines())) <= 120


def test_json_goes_to_stdout_and_the_table_to_stderr(reports: Path, cli: Cli) -> None:
    done = cli("compare", "checkpoints/demo/checkpoint-10", "demo", "--json")
    (found,) = json.loads(done.out)
    assert "B is better" in done.err
    assert (found["benchmark"], found["n"], found["samples"], found["limit"]) == ("sums", 60, 1, None)
    assert found["b"]["checkpoint"] == "checkpoints/demo/checkpoint-20" and found["b"]["undecided"] == {}
    assert (found["equivalent"]["fixed"], found["equivalent"]["broken"]) == (12, 2)
    assert found["equivalent"]["p"] == pytest.approx(0.0129, abs=1e-4)
    assert found["verdict"].startswith("B is better") and found["more_problems"] is None
    assert len(found["flips"]) == 14
    assert found["flips"][0] == {"id": "p0", "gold": "0", "a": 1.0, "b": 0.0, "a_box": "0", "b_box": None}


@pytest.mark.parametrize("hostile", ["[red]x[/red][/]", "\x1b[31mx\x1b[0m", "a\nb\u2028c", "x" * 5000])
def test_what_a_model_wrote_stays_text(reports: Path, cli: Cli, hostile: str) -> None:
    write_evaluation(reports, "odd[/b]", {50}, answer=hostile.replace("{", "{{").replace("}", "}}"))
    done = cli("compare", "odd[/b]", "base")
    assert done.code == 0 and "\x1b" not in done.out and "\u2028" not in done.out
    assert "A  odd[/b]" in done.out
    assert max(map(len, done.out.splitlines())) <= 120
    assert "[red]x[/red][/]" in done.out or "[red]" not in hostile


def test_what_was_just_evaluated_can_be_compared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_model: Callable[..., Path],
    write_benchmark: Callable[..., Path],
    use_engine: Any,
    cli: Cli,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "base")
    make_model(tmp_path / "run" / "checkpoint-7", shift=0.5)
    folder = write_benchmark("sums", {f"{k} + 1?": str(k + 1) for k in range(8)})
    options = ["--benchmark", "sums", "--benchmarks-dir", folder, "--max-tokens", "64"]
    use_engine(lambda problem, sample: r"\boxed{3}")
    assert cli("run", "base", *options).code == 0
    use_engine(lambda problem, sample: rf"\boxed{{{int(problem.split()[0]) + 1}}}")
    assert cli("run", "run", *options).code == 0
    done = cli("compare", "base", "run")
    assert done.code == 0, done.err
    assert "B  run/checkpoint-7  (the last checkpoint of run)" in done.out
    assert "sums: B is better by 87.5 points" in done.out
