"""The main path with an engine that counts: nothing is decoded twice, nothing is mistaken for something else."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eval import store
from eval.benchmarks import load
from eval.plan import Options, choose_device
from eval.provenance import git_commit, installed_versions
from eval.records import Decoding, UserError
from eval.run import BATCH_PREDICTIONS, evaluate
from eval.summary import untrusted
from graders import GRADER_VERSION

MakeModel = Callable[..., Path]
Summary = dict[str, Any]

# Problem -> (reference answer, output, its status).
SUMS = {
    "2 + 2?": ("4", r"so \boxed{4}", "correct"),
    "1 / 2?": (r"\frac{1}{2}", r"so \boxed{0.5}", "correct"),
    "1 + 1?": ("2", r"so \boxed{3}", "wrong"),
    "3 + 3?": ("6", "so it is 6", "no_box"),
    "9 * 9?": ("81", r"first \boxed{81}, then 9 * 9 * 9 and so on…", "correct"),
}


def say(problem: str, sample: int) -> str:
    return SUMS[problem][1]


@pytest.fixture
def options(tmp_path: Path, write_benchmark: Callable[..., Path]) -> Options:
    """The five sums, greedy, into reports/."""
    folder = write_benchmark("sums", {problem: gold for problem, (gold, _, _) in SUMS.items()})
    return Options(("sums",), Decoding(max_tokens=64), tmp_path / "reports", folder, device="cpu", workers=1)


def score(options: Options, *checkpoints: Path) -> list[Summary]:
    console = Console(file=io.StringIO(), width=120)
    return list(evaluate([str(checkpoint) for checkpoint in checkpoints], options, console))


def predicted(options: Options, summary: Summary) -> list[tuple[str, int]]:
    """(id, sample) of every stored line, in file order."""
    lines = store.read_lines(options.reports / summary["key"] / "predictions.jsonl")
    return [(line["id"], line["sample"]) for line in lines]


def test_a_summary_adds_up_and_every_file_is_there(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    use_engine(say)
    model = make_model(tmp_path / "demo" / "checkpoint-60")
    (summary,) = score(options, model)
    assert summary["statuses"] == Counter(status for _, _, status in SUMS.values())
    assert sum(summary["statuses"].values()) == summary["n"] == 5
    assert (summary["strict"], summary["normalized"], summary["equivalent"]) == (0.4, 0.4, 0.6)
    assert (summary["no_box"], summary["truncated"]) == (0.2, 0.2)
    assert summary["ci95"][0] < 0.6 < summary["ci95"][1]
    assert (summary["checkpoint"], summary["run"], summary["step"]) == (str(model), "demo", 60)
    assert (summary["grader"], summary["limit"], summary["reused"]) == (GRADER_VERSION, None, False)

    folder = options.reports / summary["key"]
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "DONE",
        "manifest.json",
        "predictions.jsonl",
        "summary.json",
        f"verdicts.{GRADER_VERSION}.jsonl",
    }
    stored = store.read_predictions(folder)
    assert stored["p1", 0].text == r"so \boxed{0.5}"
    assert stored["p4", 0].finish_reason == "length"
    # A token a byte, and EOS where the output was not cut off.
    sizes = [len(output.encode()) + (not output.endswith("…")) for _, output, _ in SUMS.values()]
    assert [stored[f"p{number}", 0].output_tokens for number in range(5)] == sizes
    assert summary["output_tokens"] == sum(sizes)
    statuses = [line["status"] for line in store.read_lines(folder / f"verdicts.{GRADER_VERSION}.jsonl")]
    assert statuses == [status for _, _, status in SUMS.values()]


def test_the_manifest_spells_out_what_went_in(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    use_engine(say)
    (summary,) = score(replace(options, limit=3), make_model(tmp_path / "model"))
    manifest = store.read_object(options.reports / summary["key"] / "manifest.json")
    assert store.key_of(manifest["inputs"]) == manifest["key"] == summary["key"]
    assert manifest["inputs"]["engine"] == "fake@1"
    assert manifest["inputs"]["decoding"] == manifest["decoding"] == vars(Decoding(max_tokens=64))
    assert (manifest["benchmark"]["n"], manifest["benchmark"]["limit"], summary["limit"]) == (5, 3, 3)
    assert manifest["benchmark"]["drawn"] is summary["drawn"] is True
    assert manifest["prompt"]["stop_token_ids"] == [1]
    assert "transformers" in manifest["versions"]
    problems = options.reports / manifest["benchmark"]["file"]
    drawn = load("sums", options.benchmarks_dir, limit=3).problems
    assert [line["problem"] for line in store.read_lines(problems)] == [problem.problem for problem in drawn]


def test_several_checkpoints_and_benchmarks_share_one_engine_and_keep_their_order(
    make_model: MakeModel, options: Options, use_engine: Any, write_benchmark: Any, tmp_path: Path
) -> None:
    write_benchmark("more", {"2 + 2?": "4"})
    engine = use_engine(say)
    run = tmp_path / "demo"
    for step in (10, 9):
        make_model(run / f"checkpoint-{step}", shift=step / 100)
    base = make_model(tmp_path / "base")
    summaries = score(replace(options, benchmarks=("sums", "more")), base, run)
    assert [(summary["run"], summary["step"], summary["benchmark"]) for summary in summaries] == [
        ("base", None, "sums"),
        ("base", None, "more"),
        ("demo", 9, "sums"),
        ("demo", 9, "more"),
        ("demo", 10, "sums"),
        ("demo", 10, "more"),
    ]
    assert [folder.name for folder in engine.loaded] == ["base", "checkpoint-9", "checkpoint-10"]
    assert [(summary["start_s"], summary["load_s"]) for summary in summaries[::2]] == [(2, 0), (0, 0.25), (0, 0.25)]
    assert [(summary["start_s"], summary["load_s"]) for summary in summaries[1::2]] == [(0, 0)] * 3, "already inside"
    assert engine.closed == 1
    assert len({summary["key"] for summary in summaries}) == 6
    # The longest prompt and its budget, which the engine has to hold.
    assert engine.max_model_tokens == len("<s>### Problem: 2 + 2?\n### Solution:") - len("<s>") + 1 + 64


def test_a_second_run_reuses_without_loading(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model")
    use_engine(say)
    (first,) = score(options, model)
    engine = use_engine(say)
    (second,) = score(options, model)
    assert second == first | {"reused": True}
    assert (engine.loaded, engine.asked, engine.closed) == ([], [], 1)


def test_equal_content_under_another_name_is_reused_under_that_name(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    engine = use_engine(say)
    shutil.copy(options.benchmarks_dir / "sums.jsonl", options.benchmarks_dir / "copy.jsonl")
    (first,) = score(options, make_model(tmp_path / "base"))
    (second,) = score(replace(options, benchmarks=("copy",)), make_model(tmp_path / "demo" / "checkpoint-5"))
    assert second["reused"]
    assert second["key"] == first["key"]
    assert (second["run"], second["step"], second["benchmark"]) == ("demo", 5, "copy")
    assert second["checkpoint"] == str(tmp_path / "demo" / "checkpoint-5")
    assert len(engine.loaded) == 1


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), KeyboardInterrupt()], ids=["crash", "Ctrl-C"])
@pytest.mark.parametrize("decoded", [0, 5, BATCH_PREDICTIONS, BATCH_PREDICTIONS + 8])
def test_after_a_crash_only_what_is_missing_is_decoded(
    decoded: int,
    failure: BaseException,
    make_model: MakeModel,
    options: Options,
    use_engine: Any,
    write_benchmark: Any,
    tmp_path: Path,
) -> None:
    problems = [f"{number} + 0?" for number in range(BATCH_PREDICTIONS + 18)]
    write_benchmark("sums", {problem: problem.split()[0] for problem in problems})
    model = make_model(tmp_path / "model")

    def answer(problem: str, sample: int) -> str:
        return f"\\boxed{{{problem.split()[0]}}}"

    engine = use_engine(answer)
    engine.fails_after, engine.failure = decoded, failure
    with pytest.raises(type(failure)):
        score(options, model)
    assert engine.closed == 1
    assert not list(options.reports.glob("*/DONE"))
    assert not list(options.reports.glob("*/summary.json"))
    first = engine.asked
    assert len(first) == decoded

    engine = use_engine(answer)
    (summary,) = score(options, model)
    assert sorted(first + engine.asked) == sorted(problems)
    assert summary["equivalent"] == 1
    assert Counter(predicted(options, summary)) == {(f"p{number}", 0): 1 for number in range(len(problems))}


def test_a_torn_line_is_decoded_again_alone(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model")
    use_engine(say)
    (first,) = score(options, model)
    folder = options.reports / first["key"]
    (folder / "DONE").unlink()
    path = folder / "predictions.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    engine = use_engine(say)
    (second,) = score(options, model)
    assert engine.asked == ["9 * 9?"]  # a complete file is in benchmark order, so this line was the last
    assert second["statuses"] == first["statuses"]
    assert sorted(predicted(options, second)) == [(f"p{number}", 0) for number in range(5)]


def test_a_full_disk_while_decoding_is_one_sentence_and_the_next_run_goes_on(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "model")
    engine = use_engine(say)
    real = store.append_predictions

    def fill(folder: Path, predictions: Any) -> None:
        real(folder, list(predictions)[:2])
        with store.full_disk(folder / "predictions.jsonl"):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(UserError, match="No space left on device") as refusal:
        patched.setattr(store, "append_predictions", fill)
        score(options, model)
    assert refusal.value.exit_code == 1
    assert not list(options.reports.glob("*/DONE"))

    engine = use_engine(say)
    (summary,) = score(options, model)
    assert len(engine.asked) == 3
    assert len(predicted(options, summary)) == summary["n"] == 5


def test_retraining_into_the_same_folder_is_another_evaluation(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    use_engine(say)
    (first,) = score(options, make_model(tmp_path / "model"))
    shutil.rmtree(tmp_path / "model")
    engine = use_engine(lambda problem, sample: r"\boxed{4}")
    (second,) = score(options, make_model(tmp_path / "model", shift=0.5))
    assert second["key"] != first["key"]
    assert len(engine.asked) == 5
    assert second["statuses"] == {"correct": 1, "wrong": 4}
    assert store.read_summary(options.reports / first["key"])["statuses"] == first["statuses"]


# Other decoding or problems -> another evaluation of the same weights.
OTHERS: dict[str, dict[str, Any]] = {
    "max_tokens": {"decoding": Decoding(max_tokens=65)},
    "temperature": {"decoding": Decoding(max_tokens=64, temperature=0.5)},
    "seed": {"decoding": Decoding(max_tokens=64, seed=1)},
    "limit": {"limit": 4},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_other_settings_are_another_evaluation(
    change: dict[str, Any], byte_llama: Path, options: Options, use_engine: Any
) -> None:
    engine = use_engine(say)
    (first,) = score(options, byte_llama)
    (second,) = score(replace(options, **change), byte_llama)
    assert second["key"] != first["key"]
    assert len(engine.loaded) == 2


def test_another_engine_version_is_another_evaluation(byte_llama: Path, options: Options, use_engine: Any) -> None:
    use_engine(say)
    (first,) = score(options, byte_llama)
    use_engine(say).version = "2"
    (second,) = score(options, byte_llama)
    assert second["key"] != first["key"]
    assert not second["reused"]


def test_another_grader_grades_again_without_decoding(
    byte_llama: Path, options: Options, use_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_engine(say)
    (first,) = score(options, byte_llama)
    for module in ("eval.summary", "eval.store"):
        monkeypatch.setattr(f"{module}.GRADER_VERSION", "next")
    engine = use_engine(say)
    (second,) = score(options, byte_llama)
    assert (engine.loaded, engine.asked) == ([], [])
    assert (second["key"], second["grader"], second["reused"]) == (first["key"], "next", False)
    assert (second["start_s"], second["load_s"], second["decode_s"], second["tokens_s"]) == (0, 0, 0, 0)
    folder = options.reports / first["key"]
    assert {path.name for path in folder.glob("verdicts.*")} == {
        f"verdicts.{GRADER_VERSION}.jsonl",
        "verdicts.next.jsonl",
    }


def test_samples_are_stored_and_graded_one_by_one(byte_llama: Path, options: Options, use_engine: Any) -> None:
    sampled = replace(options, decoding=Decoding(max_tokens=64, temperature=0.7, n_samples=2))
    use_engine(lambda problem, sample: say(problem, sample) if sample == 0 else "no idea")
    (first,) = score(sampled, byte_llama)
    assert first["n"] == 10
    assert first["statuses"] == {"correct": 3, "wrong": 1, "no_box": 6}
    assert sorted(predicted(sampled, first)) == [(f"p{number}", sample) for number in range(5) for sample in range(2)]

    # One sample of one problem lost: that problem is decoded again, and only what was lost is added.
    folder = options.reports / first["key"]
    (folder / "DONE").unlink()
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not ('"p1"' in line and '"sample": 1' in line)]
    (folder / "predictions.jsonl").write_text("".join(kept), encoding="utf-8")
    engine = use_engine(lambda problem, sample: r"\boxed{4}")
    (second,) = score(sampled, byte_llama)
    assert engine.asked == ["1 / 2?"]
    assert second["statuses"] == {"correct": 3, "wrong": 2, "no_box": 5}
    assert len(lines) == len(kept) + 1 == len(predicted(sampled, second)) == 10


def test_a_checkpoint_trained_on_another_prompt_is_refused_unless_told_otherwise(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model")
    then = {"fingerprint": "0123456789abcdef", "template": "Q: {problem} A: {solution}"}
    (model / "prompt.json").write_text(json.dumps(then))
    engine = use_engine(say)
    with pytest.raises(UserError) as refusal:
        score(options, model)
    assert refusal.value.exit_code == 1
    assert (engine.loaded, list(tmp_path.glob("reports/*"))) == ([], [])

    (summary,) = score(replace(options, prompt="current"), model)
    assert summary["n"] == 5
    today = store.read_object(options.reports / summary["key"] / "manifest.json")["inputs"]["prompt"]
    for words in ("0123456789abcdef", "Q: {problem} A: {solution}", today, "--prompt current"):
        assert words in str(refusal.value)


def test_a_checkpoint_trained_on_this_prompt_is_scored(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    from eval.prompts import describe
    from sft_utils import get_tokenizer

    model = make_model(tmp_path / "model")
    (model / "prompt.json").write_text(json.dumps(describe(get_tokenizer(str(model)))))
    use_engine(say)
    (summary,) = score(options, model)
    assert summary["n"] == 5


def test_a_base_model_is_scored_by_a_faulty_template_with_what_that_costs_and_a_trained_one_keeps_to_its_own(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sft_utils
    from eval import prompts

    base, trained = make_model(tmp_path / "base"), make_model(tmp_path / "trained", 0.5)
    own = prompts.describe(sft_utils.get_tokenizer(str(trained)))
    (trained / "prompt.json").write_text(json.dumps(own))
    whole = sft_utils.apply_chat_template
    monkeypatch.setattr(
        sft_utils,
        "apply_chat_template",
        lambda example, kind, task: {
            "text": whole(example, kind, task)["text"].replace("Solution: ", "Solution:") + " " * (task == "generation")
        },
    )
    engine = use_engine(lambda problem, sample: say(problem.split("\n")[0], sample))
    with pytest.raises(UserError, match="no trailing space"):
        score(options, trained)
    assert engine.loaded == []
    console = Console(file=io.StringIO(), width=120)
    (summary,) = evaluate([str(base)], options, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert (
        summary["n"] == 5 and told.count("asked from tokens that training never shows") == 1 and str(base.name) in told
    )
    manifest = store.read_object(options.reports / summary["key"] / "manifest.json")
    assert manifest["prompt"]["allowed"] == ["boundary"] and manifest["inputs"]["prompt"] != own["fingerprint"]


def test_a_damaged_tokenizer_is_refused_with_its_checkpoint(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model")
    path = model / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:500])
    use_engine(say)
    with pytest.raises(UserError) as refusal:
        score(options, model)
    assert refusal.value.exit_code == 1
    assert str(refusal.value).startswith(f"{model}: its tokenizer cannot be used (")


def test_a_budget_beyond_the_context_is_refused_with_one_that_fits(
    byte_llama: Path, options: Options, use_engine: Any
) -> None:
    engine = use_engine(say)
    with pytest.raises(UserError, match="its context of 512 tokens is too short") as refusal:
        score(replace(options, decoding=Decoding(max_tokens=512)), byte_llama)
    assert refusal.value.exit_code == 2
    assert engine.loaded == []
    fits = int(str(refusal.value).rpartition("--max-tokens ")[2].removesuffix(" or less."))
    assert len(score(replace(options, decoding=Decoding(max_tokens=fits)), byte_llama)) == 1
    assert engine.max_model_tokens == 512


def test_a_problem_longer_than_the_context_asks_for_another_model(
    byte_llama: Path, options: Options, use_engine: Any, write_benchmark: Any
) -> None:
    write_benchmark("sums", {"1 + " * 200: "200"})
    use_engine(say)
    with pytest.raises(UserError, match=r"a prompt of \d{3} of sums and --max-tokens 64; take a model with more\."):
        score(options, byte_llama)


def test_everything_is_checked_before_the_engine_starts(
    make_model: MakeModel, options: Options, use_engine: Any, tmp_path: Path
) -> None:
    engine = use_engine(say)
    good, bad = make_model(tmp_path / "demo" / "checkpoint-1"), make_model(tmp_path / "demo" / "checkpoint-2")
    (bad / "model.safetensors").unlink()
    with pytest.raises(UserError, match="checkpoint-2 holds no"):
        score(options, good, bad)
    with pytest.raises(UserError, match="did you mean 'sums'"):
        score(replace(options, benchmarks=("sums", "sum")), good)
    assert engine.loaded == []
    assert not options.reports.exists()


def test_an_evaluation_that_another_process_writes_is_refused(
    byte_llama: Path, options: Options, use_engine: Any
) -> None:
    use_engine(say)
    (summary,) = score(options, byte_llama)
    folder = options.reports / summary["key"]
    (folder / "DONE").unlink()
    with store.locked(folder), pytest.raises(UserError, match="is being written by another evaluation"):
        score(options, byte_llama)


def test_an_ungradable_reference_is_not_a_wrong_answer(
    byte_llama: Path, options: Options, use_engine: Any, write_benchmark: Any
) -> None:
    write_benchmark("sums", {"2 + 2?": "4", "3 + 3?": ""})
    use_engine(lambda problem, sample: r"\boxed{4}")
    (summary,) = score(options, byte_llama)
    assert summary["statuses"] == {"correct": 1, "unparsed_gold": 1}
    (sentence,) = untrusted([summary], options.reports)
    for words in (str(byte_llama), "sums", "1 of 2 outputs are unparsed_gold", summary["key"]):
        assert words in sentence
    assert untrusted([summary | {"statuses": {"correct": 1, "timeout": 1}}], options.reports) == []


@pytest.mark.parametrize(
    ("wanted", "seen", "chosen"), [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu")]
)
def test_the_device_is_what_is_there_unless_told(
    wanted: str, seen: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: seen)
    assert choose_device(wanted) == chosen


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA GPU is visible to torch; pass --device cpu"):
        choose_device("cuda")


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None
    assert "torch" in installed_versions("torch", "no-such-package")
