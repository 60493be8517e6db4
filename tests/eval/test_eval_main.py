"""The command line: exit codes, one sentence for what a user can cause, and JSON that a program can read."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval import store
from eval.__main__ import run
from eval.arguments import parser
from eval.run import evaluate

Cli = Callable[..., Any]

# Key order is part of the interface (architecture.md, "Interfaces others call").
DOCUMENTED = [
    "checkpoint",
    "step",
    "benchmark",
    "n",
    "strict",
    "normalized",
    "equivalent",
    "ci95",
    "truncated",
    "no_box",
]
DOCUMENTED += [
    "key",
    "reused",
    "start_s",
    "load_s",
    "decode_s",
    "tokens_s",
    "grade_s",
    "output_tokens",
    "statuses",
    "grader",
    "limit",
    "ran_on",
    "samples",
    "pass_at_k",
    "maj_at_k",
    "prompt_variant",
    "noise",
    "asked",
    "seeds",
    "seeds_sd",
]

GOOD_LINE = '{"id": "p0", "problem": "2 + 2?", "answer": "4"}\n'


@pytest.fixture
def place(make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder: model/, run/checkpoint-1 to -5 with something wrong each, bench/ with good and bad files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    make_model(tmp_path / "model")
    for step in range(1, 6):
        make_model(tmp_path / "run" / f"checkpoint-{step}")
    (tmp_path / "run" / "checkpoint-1" / "model.safetensors").unlink()
    weights = tmp_path / "run" / "checkpoint-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "run" / "checkpoint-3" / "prompt.json").write_text(
        '{"fingerprint": "0123", "template": "Q: {problem}"}'
    )
    (tmp_path / "run" / "checkpoint-4" / "prompt.json").write_text('{"fingerprint": "01')
    (tmp_path / "run" / "checkpoint-5" / "tokenizer.json").write_text("{")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "sums.jsonl").write_text(GOOD_LINE)
    (tmp_path / "bench" / "broken.jsonl").write_text(GOOD_LINE + "{'id': 1}\n")
    (tmp_path / "bench" / "lacking.jsonl").write_text(GOOD_LINE + '{"id": "p1", "problem": "3 + 3?"}\n')
    (tmp_path / "bench" / "empty.jsonl").touch()
    (tmp_path / "file").touch()
    return tmp_path


def run_on(checkpoint: str, benchmark: str = "sums", *more: str) -> list[str]:
    """The arguments of `run` with a budget that fits the tiny model's context; `more` may replace it."""
    return ["run", checkpoint, "--benchmark", benchmark, "--benchmarks-dir", "bench", "--max-tokens", "64", *more]


# What is wrong -> (arguments, exit code, what the sentence must name).
REFUSED: dict[str, tuple[list[str], int, tuple[str, ...]]] = {
    "no such checkpoint": (run_on("modle"), 2, ("modle does not exist", "did you mean model?")),
    "a file for a checkpoint": (run_on("file"), 2, ("file is a file", "config.json")),
    "a folder without models": (run_on("bench"), 2, ("bench has neither config.json nor checkpoint-<step>",)),
    "a hub id without network": (run_on("nobody/nothing"), 2, ("nobody/nothing is no local folder", "local path")),
    "no weights": (run_on("run/checkpoint-1"), 1, ("run/checkpoint-1 holds no", "zero3_save_16bit_model: true")),
    "weights cut off": (run_on("run/checkpoint-2"), 1, ("run/checkpoint-2/model.safetensors is half written",)),
    "another prompt": (run_on("run/checkpoint-3"), 1, ("run/checkpoint-3", "0123", "--prompt current")),
    "prompt.json cut off": (run_on("run/checkpoint-4"), 1, ("run/checkpoint-4/prompt.json is not a JSON object",)),
    "tokenizer cut off": (run_on("run/checkpoint-5"), 1, ("run/checkpoint-5: its tokenizer cannot be used",)),
    "one bad checkpoint of a run": (run_on("run"), 1, ("run/checkpoint-1 holds no",)),
    "no such benchmark": (run_on("model", "sum"), 2, ("no benchmark 'sum'", "did you mean 'sums'?")),
    "one of two benchmarks": (run_on("model", "sums,sum"), 2, ("no benchmark 'sum'",)),
    "an empty benchmark name": (run_on("model", "sums,"), 2, ("no benchmark ''", "empty, lacking, sums")),
    "a line that is not JSON": (
        run_on("model", "broken"),
        2,
        ("bench/broken.jsonl:2", "not JSON", "one object a line"),
    ),
    "a line without answer": (run_on("model", "lacking"), 2, ("bench/lacking.jsonl:2", "answer is None")),
    "an empty benchmark": (run_on("model", "empty"), 2, ("benchmark empty is empty",)),
    "no benchmarks folder": (
        ["run", "model", "--benchmark", "sums", "--benchmarks-dir", "none"],
        2,
        ("none is no folder", "--benchmarks-dir"),
    ),
    "a mistyped hub benchmark": (["run", "model", "--benchmark", "math5000"], 2, ("did you mean 'math500'?",)),
    "no GPU": (run_on("model", "sums", "--device", "cuda"), 2, ("--device cuda", "--device cpu")),
    "equal samples": (run_on("model", "sums", "--n-samples", "4"), 2, ("--n-samples 4", "temperature above 0")),
    "beyond the context": (run_on("model", "sums", "--max-tokens", "4096"), 2, ("512 tokens", "--max-tokens 4")),
    "reports is a file": (run_on("model", "sums", "--reports", "file"), 2, ("file is no folder to write to",)),
    "no reports": (["report", "--reports", "none"], 2, ("none is no folder", "make eval CKPT=…")),
    "an unknown benchmark listed": (["benchmarks", "gsm8k"], 2, ("unknown benchmark 'gsm8k'", "'gsm8k-test'?")),
    "a missing folder listed": (["benchmarks", "--benchmarks-dir", "none"], 2, ("none is no folder",)),
    "a broken file checked": (
        ["benchmarks", "broken", "--benchmarks-dir", "bench", "--check"],
        2,
        ("bench/broken.jsonl:2",),
    ),
}


@pytest.mark.parametrize(("arguments", "code", "named"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_one_sentence_with_the_fix(
    arguments: list[str], code: int, named: tuple[str, ...], place: Path, cli: Cli, use_engine: Any
) -> None:
    engine = use_engine()
    done = cli(*arguments)
    assert_one_error(done, code, *named)
    assert engine.loaded == []
    assert not list(place.glob("reports/*/DONE"))


USAGE = {
    "no command": [],
    "an unknown command": ["evaluate", "model"],
    "no checkpoint": ["run", "--benchmark", "sums"],
    "no benchmark": ["run", "model"],
    "an unknown engine": run_on("model", "sums", "--engine", "tpu"),
    "an unknown option": run_on("model", "sums", "--limits", "4"),
    "no problems": run_on("model", "sums", "--limit", "0"),
    "half a token": run_on("model", "sums", "--max-tokens", "1.5"),
    "below zero": run_on("model", "sums", "--temperature", "-1"),
    "no number": run_on("model", "sums", "--temperature", "warm"),
    "not a number": run_on("model", "sums", "--temperature", "nan"),
    "a share above one": run_on("model", "sums", "--top-p", "1.5"),
    "a superscript digit": run_on("model", "sums", "--limit", "²"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_wrong_usage_exits_with_2_and_no_traceback(arguments: list[str], cli: Cli) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_json_is_one_array_and_nothing_else(place: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    (place / "bench" / "more.jsonl").write_text(GOOD_LINE + '{"id": "p1", "problem": "1 + 1?", "answer": "2"}\n')
    done = cli(*run_on("model", "sums,more", "--json"))
    assert done.code == 0
    sums, more = json.loads(done.out)
    assert [list(row) for row in (sums, more)] == [DOCUMENTED] * 2
    assert (sums["checkpoint"], sums["step"], sums["benchmark"], sums["n"]) == ("model", None, "sums", 1)
    assert (sums["strict"], sums["normalized"], sums["equivalent"], more["equivalent"]) == (1, 1, 1, 0.5)
    assert (sums["start_s"], sums["load_s"], sums["reused"]) == (2, 0, False)
    assert more["ci95"][0] < 0.5 < more["ci95"][1]

    again = cli(*run_on("model", "sums,more", "--json"))
    assert json.loads(again.out) == [row | {"reused": True} for row in (sums, more)]


def test_the_table_goes_to_stderr_and_pages_are_written(place: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    done = cli(*run_on("model"))
    assert (done.code, done.out) == (0, "")
    assert "sums" in done.err
    assert done.err.splitlines()[-1] == "report: reports/index.html"
    assert (place / "reports" / "index.html").is_file()

    report = cli("report")
    assert report.code == 0
    assert "sums" in report.out
    assert report.out.splitlines()[-1] == "report: reports/index.html"


def test_noise_of_libraries_goes_to_the_log(place: Path, cli: Cli, use_engine: Any) -> None:
    def answer(problem: str, sample: int) -> str:
        os.write(1, b"noise of a C++ library\n")
        return r"\boxed{4}"

    use_engine(answer)
    done = cli(*run_on("model", "sums", "--json"))
    assert json.loads(done.out)
    assert "noise" not in done.err
    assert "noise of a C++ library\n" in (place / "reports" / "eval.log").read_text()


def test_an_ungradable_reference_exits_with_1_and_says_which(place: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    (place / "bench" / "sums.jsonl").write_text('{"id": "p0", "problem": "2 + 2?", "answer": ""}\n')
    done = cli(*run_on("model", "sums", "--json"))
    assert done.code == 1
    (row,) = json.loads(done.out)
    assert row["statuses"] == {"unparsed_gold": 1}
    assert done.err.splitlines()[-1] == (
        "not to be trusted: model on sums: 1 of 1 outputs are unparsed_gold, which is not a wrong answer; "
        f"see reports/{row['key']}/verdicts.{row['grader']}.jsonl."
    )


def test_answers_read_out_of_solutions_are_said_once_and_scored(place: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    golds = ["2+2=4\n#### 4", "It is 4, so \\boxed{3} is out and \\boxed{4} it is", "The answer is 4.", "so \\boxed{4"]
    rows = [{"id": f"p{n}", "problem": f"{n}?", "answer": gold} for n, gold in enumerate(golds)]
    (place / "bench" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli(*run_on("model", "sums", "--json"))
    assert done.code == 1
    (row,) = json.loads(done.out)
    assert row["statuses"] == {"correct": 3, "unparsed_gold": 1} and row["strict"] == 0.75
    for words in ("what follows ####", "the last box", "what it announces", "no answer can be read in 1 of 4 problems"):
        assert done.err.count(words) == 1
    assert "p3 'so" not in done.out and "'p3' 'so" in done.err


def test_an_engine_that_fails_is_one_sentence_and_its_traceback_is_in_the_log(
    place: Path, cli: Cli, use_engine: Any
) -> None:
    use_engine().fails_after = 0
    done = cli(*run_on("model"))
    assert_one_error(done, 1, "RuntimeError: the engine died", "reports/eval.log")
    log = (place / "reports" / "eval.log").read_text()
    assert "Traceback" in log
    assert "of natural causes" in log


def test_stopping_says_how_to_go_on(place: Path, cli: Cli, use_engine: Any) -> None:
    engine = use_engine()
    engine.fails_after, engine.failure = 0, KeyboardInterrupt()
    done = cli(*run_on("model"))
    assert (done.code, done.out) == (130, "")
    assert done.err == "stopped; what is decoded is kept, run the same command again to go on.\n"


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    place: Path, cli: Cli, use_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    use_engine()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        done = cli(*run_on("model"))
    assert_one_error(done, 1, "reports/", "cannot be written (No space left on device)", "it resumes")
    assert [path.name for path in place.rglob("reports/**/*") if path.is_file()] == ["eval.log"]
    assert cli(*run_on("model")).code == 0


def test_two_evaluations_of_the_same_are_refused(place: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    cli(*run_on("model"))
    (done_file,) = place.glob("reports/*/DONE")
    done_file.unlink()
    with store.locked(done_file.parent):
        done = cli(*run_on("model"))
    assert_one_error(done, 1, str(done_file.parent.relative_to(place)), "another evaluation", "wait")


def test_every_option_of_run_reaches_the_evaluation(
    place: Path, cli: Cli, use_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_engine()
    seen: dict[str, Any] = {}

    def spy(names: list[str], options: Any, console: Any, skipped: Any) -> Any:
        seen.update(vars(options), names=names, skipped=skipped)
        return evaluate(names, options, console, skipped)

    monkeypatch.setattr("eval.run.evaluate", spy)
    sampling = ["--n-samples=2", "--temperature=0.7", "--top-p=0.9", "--seed=3", "--max-tokens=32"]
    others = ["--limit=1", "--engine=hf", "--device=cpu", "--prompt=current", "--workers=1", "--reports=out"]
    others += [
        "--stop=eos",
        "--prompt-variant=space",
        "--repeat=1",
        "--tensor-parallel=2",
        "--actors=3",
        "--skip-broken",
    ]
    (place / "shots.jsonl").write_text(r'{"problem": "5 + 5?", "solution": "So \\boxed{10}"}')
    others += ["--shots=1", "--shots-from=shots.jsonl", "--shots-seed=4"]
    assert cli(*run_on("run/checkpoint-3", "sums", *sampling, *others)).code == 0
    sampled = {"max_tokens": 32, "temperature": 0.7, "top_p": 0.9, "n_samples": 2, "seed": 3}
    assert vars(seen.pop("decoding")) == sampled | {"stop_at_problem": False, "repeat": 0, "max_batch": None}
    assert seen == {
        "names": ["run/checkpoint-3"],
        "skipped": [],
        "benchmarks": ("sums",),
        "benchmarks_dir": Path("bench"),
        "reports": Path("out"),
        "limit": 1,
        "engine": "hf",
        "device": "cpu",
        "prompt": "current",
        "prompt_variant": "space",
        "shots": 1,
        "shots_from": Path("shots.jsonl"),
        "shots_seed": 4,
        "system": "",
        "template_args": {},
        "seeds": (),
        "repeats": 1,
        "tensor_parallel": 2,
        "actors": 3,
        "workers": 1,
    }


def test_a_check_refuses_what_a_run_would_and_starts_no_engine(place: Path, cli: Cli, use_engine: Any) -> None:
    engine = use_engine()
    assert_one_error(cli(*run_on("run/checkpoint-2"), "--check"), 1, "model.safetensors is half written")
    assert_one_error(cli(*run_on("model", "sums", "--max-tokens", "4096"), "--check"), 2, "its context of 512 tokens")
    done = cli(*run_on("model"), "--check")
    assert (done.code, done.out, done.err) == (0, "", "no problems found: 1 evaluations can run.\n")
    assert engine.loaded == [] and not list(place.glob("reports/*/manifest.json"))


def test_benchmarks_are_listed_with_their_sizes(place: Path, cli: Cli) -> None:
    hub = cli("benchmarks")
    assert (hub.code, hub.err) == (0, "")
    for words in ("math500", "500", "gsm8k-test", "1319", "aime24", "30"):
        assert words in hub.out.split()
    one = cli("benchmarks", "sums", "--benchmarks-dir", "bench")
    assert (one.code, one.err) == (0, "")
    assert "sums" in one.out
    assert "broken" not in one.out


def test_a_check_names_answers_that_do_not_grade_themselves(place: Path, cli: Cli) -> None:
    good = cli("benchmarks", "sums", "--benchmarks-dir", "bench", "--check")
    assert good.code == 0
    # Brackets must survive the table's own markup.
    (place / "bench" / "sums.jsonl").write_text(GOOD_LINE + '{"id": "p1", "problem": "?", "answer": "{[red]"}\n')
    bad = cli("benchmarks", "sums", "--benchmarks-dir", "bench", "--check")
    assert bad.code == 1
    assert "1: p1 '{[red]' (no_box)" in bad.out


@pytest.mark.parametrize(
    "command", [[], ["run"], ["report"], ["benchmarks"]], ids=lambda command: " ".join(command) or "eval"
)
def test_help_is_there_for_every_command(command: list[str], cli: Cli) -> None:
    done = cli(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(" ".join(["usage: python -m eval", *command]))


def test_the_default_decoding_is_greedy_with_the_documented_budget() -> None:
    args = parser({"run": run}, None).parse_args(["run", "model", "--benchmark", "sums"])
    assert (args.temperature, args.n_samples, args.max_tokens, args.engine) == (0.0, 1, 2048, "vllm")
    assert (args.reports, args.prompt, args.seed) == (Path("reports"), "training", 0)


def assert_one_error(done: Any, code: int, *named: str) -> None:
    """`done` failed with `code`, wrote nothing to stdout and one line to stderr that says all of `named`."""
    assert (done.code, done.out) == (code, ""), done
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("error: ")
    for words in named:
        assert words in done.err
