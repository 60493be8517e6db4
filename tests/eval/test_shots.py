"""Few-shot examples: which are drawn, how they stand in the prompt, and what the prompt's key covers."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import sft_utils
from eval import prompts, store
from eval.plan import Options
from eval.records import Benchmark, Decoding, Problem, UserError
from eval.run import evaluate
from eval.shots import Shots, boxed_ending, draw_shots, note

ROWS = [{"problem": f"What is {n} + 1?", "solution": f"It is \\boxed{{{n + 1}}}"} for n in range(20)]


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> Any:
    return sft_utils.get_tokenizer(str(tiny_llama))


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def benchmark(*problems: str, name: str = "sums") -> Benchmark:
    kept = tuple(Problem(f"p{n}", name, problem, "1") for n, problem in enumerate(problems))
    return Benchmark(name, kept, "sha", len(kept))


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"problem": " Why? ", "solution": "\\boxed{1}\n"}, ("Why?", "\\boxed{1}")),
        (prompts.example_of("Why?", "So \\boxed{1}"), ("Why?", "So \\boxed{1}")),
        (
            {"question": "Why?", "answer": "48/2 = <<48/2=24>>24\n#### 1,024"},
            ("Why?", "48/2 = 24\nThe answer is $\\boxed{1024}$."),
        ),
    ],
    ids=["problem and solution", "messages", "gsm8k"],
)
def test_every_form_of_a_solved_problem_is_read(row: dict[str, Any], pair: tuple[str, str], tmp_path: Path) -> None:
    assert draw_shots(benchmark("?"), 1, write(tmp_path / "f.jsonl", [row])).examples == (pair,)


@pytest.mark.parametrize(
    ("solution", "ending"),
    [
        ("a\n#### -5", "a\nThe answer is $\\boxed{-5}$."),
        ("a\n#### 3:30", "a\nThe answer is $\\boxed{3:30}$."),
        ("a\n#### (1,200)", "a\nThe answer is $\\boxed{(1,200)}$."),
        ("a\n#### 3,4", "a\nThe answer is $\\boxed{3,4}$."),
        ("a\n#### $1,234", "a\nThe answer is $\\boxed{1234}$."),
        ("#### 5", "The answer is $\\boxed{5}$."),
        ("a\n#### Step\nso \\boxed{2}", "a\n#### Step\nso \\boxed{2}"),
        ("a\n####", "a\n####"),
        ("so \\boxed{2}", "so \\boxed{2}"),
    ],
)
def test_an_ending_of_gsm8k_becomes_a_box(solution: str, ending: str) -> None:
    assert boxed_ending(solution) == ending


def test_what_is_drawn_depends_on_content_and_seed_only(tmp_path: Path) -> None:
    file, turned = write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", [*reversed(ROWS), ROWS[3]])
    zipped = tmp_path / "c.jsonl.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    drawn = draw_shots(benchmark("?"), 4, file)
    assert len(set(drawn.examples)) == 4
    for same in (turned, zipped):
        assert draw_shots(benchmark("?"), 4, same).examples == drawn.examples
    assert draw_shots(benchmark("?"), 4, file, seed=1).examples != drawn.examples
    assert draw_shots(benchmark("?"), 5, file).examples[:4] == drawn.examples, "more examples keep the first ones"


def test_an_example_that_is_asked_is_replaced_and_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", ROWS)
    before = draw_shots(benchmark("?"), 3, file)
    asked = before.examples[1][0].upper().replace(" ", "\u00a0  ")
    after = draw_shots(benchmark("?", asked), 3, file)
    assert [pair for pair in after.examples if pair in before.examples] == [before.examples[0], before.examples[2]]
    assert after.in_benchmark == 1 and len(after.examples) == 3
    assert "passed over 1 of its examples, which sums asks itself" in note(after, "sums")
    assert "passed over" not in note(before, "sums")


def test_a_solution_without_a_box_is_no_example(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", [*ROWS[:2], {"problem": "Prove it.", "solution": "Clear. \\boxed{1"}])
    drawn = draw_shots(benchmark("?"), 2, file)
    assert drawn.unboxed == 1 and "Prove it." not in dict(drawn.examples)
    assert "passed over 1 whose solution has no closed box" in note(drawn, "sums")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["has 0 different examples", "name another file"]),
        (json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[0]), ["has 1 different examples", "--shots 1"]),
        (json.dumps({"problem": "?", "solution": "none"}), ["1 have no closed \\boxed{}"]),
        (json.dumps({"problem": "Asked?", "solution": "\\boxed{1}"}), ["1 are problems of sums itself"]),
        ("{", ["shots.jsonl:1", "'{'", "is not JSON"]),
        ("\n[1]", ["shots.jsonl:2", "no solved problem"]),
        ('{"problem": "?", "answer": "4"}', ["shots.jsonl:1", "no solved problem", "messages"]),
        ('{"problem": "?", "solution": 4}', ["shots.jsonl:1", "no solved problem"]),
        ('{"messages": [{"role": "user", "content": "?"}]}', ["shots.jsonl:1", "no solved problem"]),
        ('{"messages": "x", "problem": 1}', ["shots.jsonl:1", "no solved problem"]),
        ('{"problem": "\\ud800", "solution": "\\\\boxed{1}"}', ["shots.jsonl:1", "surrogates"]),
        ("[" * 100_000, ["shots.jsonl:1", "is not JSON"]),
        (b"\xff\xfe", ["shots.jsonl", "must be UTF-8"]),
    ],
)
def test_a_file_that_does_not_do_is_one_sentence(text: str | bytes, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as refused:
        draw_shots(benchmark("asked?"), 2, path)
    assert all(word in str(refused.value) for word in words), refused.value
    assert refused.value.exit_code == 2 and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_gets_its_neighbour_named(tmp_path: Path) -> None:
    write(tmp_path / "shots.jsonl", ROWS)
    with pytest.raises(UserError, match=r"there is no such file; did you mean .*shots\.jsonl\?"):
        draw_shots(benchmark("?"), 1, tmp_path / "shot.jsonl")
    write(tmp_path / "folder" / "train.jsonl", ROWS)
    with pytest.raises(UserError, match=r"is a folder; name .*train\.jsonl"):
        draw_shots(benchmark("?"), 1, tmp_path / "folder")
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(UserError, match=r"torn\.jsonl\.gz cannot be read"):
        draw_shots(benchmark("?"), 1, tmp_path / "torn.jsonl.gz")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("gsm8k-test", "gsm8k-train"),
        ("sums", "sums-train"),
        ("sums-test", "sums-test-train"),
        ("math500", "math-train"),
    ],
)
def test_without_a_file_the_training_split_beside_the_benchmark_is_taken(name: str, file: str, tmp_path: Path) -> None:
    write(tmp_path / f"{file}.jsonl", ROWS)
    drawn = draw_shots(benchmark("?", name=name), 2, None, tmp_path)
    assert len(drawn.examples) == 2 and drawn.source.endswith(f"{file}.jsonl")


def test_where_no_training_split_is_known_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no sums-train\.jsonl; name a file .* --shots-from"):
        draw_shots(benchmark("?"), 1, None, tmp_path)
    with pytest.raises(UserError, match=r"no training split of 'aime24' is known .*math500.* --shots-from"):
        draw_shots(benchmark("?", name="aime24"), 1, None)


def test_the_hubs_training_split_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub itself is out of reach here: what is asked of it, and how its rows are read, is not."""
    seen: list[Any] = []

    def load(*where: Any, **more: Any) -> list[dict[str, str]]:
        seen.append((where, more))
        return [{"question": "Why?", "answer": "So.\n#### 7"}]

    monkeypatch.setattr("datasets.load_dataset", load)
    drawn = draw_shots(benchmark("?", name="gsm8k-test"), 1, None)
    assert seen == [(("openai/gsm8k", "main"), {"split": "train"})]
    assert (drawn.source, drawn.examples) == ("openai/gsm8k, train", (("Why?", "So.\nThe answer is $\\boxed{7}$."),))
    monkeypatch.setattr("datasets.load_dataset", lambda *where, **more: 1 / 0)
    with pytest.raises(UserError, match=r"openai/gsm8k could not be loaded from the hub .*--shots-from FILE"):
        draw_shots(benchmark("?", name="gsm8k-test"), 1, None)


PAIRS = [["One?", "It is \\boxed{1}"], ["Two?", "It is \\boxed{2}"]]


def test_a_base_model_sees_one_bos_blocks_of_the_template_and_the_asked_problem(tokenizer: Any) -> None:
    ids = prompts.generation_ids(prompts.example_of("Three?"), tokenizer, examples=PAIRS)
    assert ids.count(tokenizer.bos_token_id) == 1 and tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == (
        "<|im_start|>### Problem: One?\n### Solution: It is \\boxed{1}\n\n"
        "### Problem: Two?\n### Solution: It is \\boxed{2}\n\n### Problem: Three?\n### Solution:"
    )
    plain = prompts.generation_ids(prompts.example_of("Three?"), tokenizer)
    assert ids[-5:] == plain[-5:], "the boundary is the one that training has"


def test_a_tokenizer_that_adds_its_own_bos_gets_one(byte_llama: Path, tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    shutil.copytree(byte_llama, tmp_path / "model")
    kind = sft_utils.get_tokenizer(str(tmp_path / "model"))
    kind.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    assert kind("").input_ids == [0]
    ids = prompts.generation_ids(prompts.example_of("Three?"), kind, examples=PAIRS)
    assert ids[0] == 0 and ids.count(0) == 1 and 1 not in ids


def test_other_examples_are_another_prompt(tokenizer: Any) -> None:
    today = prompts.describe(tokenizer)
    kinds = [Shots("f", 0, tuple(map(tuple, pairs)), 0, 0).described() for pairs in (PAIRS, PAIRS[:1], PAIRS[::-1])]
    asked = [prompts.describe_shots(today, kind, tokenizer) for kind in kinds]
    assert len({one["fingerprint"] for one in (today, *asked)}) == 4
    assert asked[0] == prompts.describe_shots(today, kinds[0], tokenizer)
    moved = prompts.describe_shots(today, kinds[0] | {"source": "elsewhere"}, tokenizer)
    assert moved["fingerprint"] == asked[0]["fingerprint"], "the same text out of another file is the same prompt"
    assert asked[0]["stop_token_ids"] == today["stop_token_ids"] and asked[0]["next_problem"] == "### Problem:"


@pytest.fixture
def options(tmp_path: Path, write_benchmark: Callable[..., Path]) -> Options:
    folder = write_benchmark("sums", {"2 + 2?": "4", "What is 3 + 1?": "4"})
    write(folder / "sums-train.jsonl", ROWS)
    return Options(("sums",), Decoding(max_tokens=64), tmp_path / "reports", folder, device="cpu", workers=1, shots=2)


def run(options: Options, *checkpoints: Path) -> tuple[list[dict[str, Any]], str]:
    console = Console(file=io.StringIO(), width=300)
    return list(evaluate([str(one) for one in checkpoints], options, console)), console.file.getvalue()  # type: ignore[attr-defined]


def test_an_evaluation_with_examples_says_so_wherever_it_shows(
    make_model: Callable[..., Path], options: Options, use_engine: Any, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    from eval.report import load_evaluations, make_sections, markdown_table, write_report

    engine, model = use_engine(), make_model(tmp_path / "model")
    (plain,), _ = run(replace(options, shots=0), model)
    (shown,), said = run(options, model)
    (other,), _ = run(replace(options, shots_seed=1), model)
    assert len({plain["key"], shown["key"], other["key"]}) == 3
    assert all(asked.count("### Problem: ") == 2 for asked in engine.asked[2:]), "one prefix is cut off by the engine"
    assert "sums: 2-shot from" in said and "passed over 1 of its examples" in said
    assert (shown["asked"], plain["asked"]) == ("2-shot", "")
    manifest = store.read_object(options.reports / shown["key"] / "manifest.json")
    drawn = manifest["prompt"]["shots"]
    assert (drawn["count"], drawn["in_benchmark"], len(drawn["examples"])) == (2, 1, 2)
    full = f"2-shot from {options.benchmarks_dir}/sums-train.jsonl (sha256 {drawn['sha256'][:12]})"
    assert shown["asked_in_full"] == full

    write_report(options.reports)
    table = markdown_table(make_sections(load_evaluations(options.reports)))
    assert "model + 2-shot" in table and f"Asked with {full}".replace("_", "\\_") in table
    page = (options.reports / shown["key"] / "index.html").read_text()
    assert "model + 2-shot" in page and full in page
    assert full not in (options.reports / plain["key"] / "index.html").read_text().split("How this was measured")[0]
    compared = cli("compare", plain["key"], shown["key"], "--reports", options.reports)
    assert compared.code == 0 and f"B was asked with {full}" in compared.out


def test_the_base_asked_with_examples_is_the_baseline_unless_it_was_asked_without(
    make_model: Callable[..., Path], options: Options, use_engine: Any, tmp_path: Path
) -> None:
    from eval.report.ranking import make_group

    use_engine()
    base, trained = make_model(tmp_path / "base"), make_model(tmp_path / "run" / "checkpoint-5", shift=0.1)
    (shown,), _ = run(options, base)
    (step,), _ = run(replace(options, shots=0), trained)
    (plain,), _ = run(replace(options, shots=0), base)
    assert make_group([shown, step]).base.label == "base + 2-shot"  # type: ignore[union-attr]
    whole = make_group([shown, step, plain])
    assert whole.base.summary is plain  # type: ignore[union-attr]
    assert [row.label for row in whole.rows if row.summary is shown] == ["base + 2-shot"]


def test_examples_are_for_models_that_were_not_trained_here(
    make_model: Callable[..., Path], options: Options, use_engine: Any, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    use_engine()
    model = make_model(tmp_path / "run" / "checkpoint-5")
    today = prompts.describe(sft_utils.get_tokenizer(str(model)))
    (model / "prompt.json").write_text(json.dumps(today))
    with pytest.raises(UserError, match=r"checkpoint-5 was trained .*--shots is for base models; leave out --shots"):
        run(options, model)
    assert run(replace(options, prompt="current"), model)[0][0]["asked"] == "2-shot"
    asked = ["--benchmark=sums", f"--benchmarks-dir={options.benchmarks_dir}", f"--reports={options.reports}"]
    watched = cli("watch", model.parent, *asked, "--shots=2")
    assert watched.code == 2 and "--shots is for base models" in watched.err


def test_examples_count_against_the_context(
    make_model: Callable[..., Path], options: Options, use_engine: Any, tmp_path: Path
) -> None:
    use_engine()
    model = make_model(tmp_path / "model")
    with pytest.raises(UserError, match=r"a prompt of \d{3} of sums .* or fewer --shots\."):
        run(replace(options, shots=8), model)


def test_a_template_without_a_beginning_cannot_stop_at_the_next_problem(
    make_model: Callable[..., Path], options: Options, use_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_engine()
    monkeypatch.setattr(sft_utils, "PROMPT", "{problem}\nAnswer:")
    model = make_model(tmp_path / "model")
    with pytest.raises(UserError, match=r"writes nothing before a problem.*--stop eos"):
        run(options, model)
    on = replace(options, decoding=replace(options.decoding, stop_at_problem=False))
    assert run(on, model)[0][0]["asked"] == "2-shot"


def test_real_training_problems_are_drawn_apart_from_the_test(shared: Path) -> None:
    from eval import benchmarks

    asked = benchmarks.load("gsm8k-test", shared / "data" / "benchmarks")
    drawn = draw_shots(asked, 8, shared / "data" / "sft" / "gsm8k_train_boxed.jsonl.gz")
    assert len(set(drawn.examples)) == 8 and drawn.in_benchmark == 0
    # A test file named as the source by mistake: what is asked is never an example.
    first = replace(asked, problems=asked.problems[:1300])
    leaked = draw_shots(first, 4, shared / "data" / "benchmarks" / "gsm8k-test.jsonl.gz")
    assert leaked.in_benchmark == 1300
    assert not {problem for problem, _ in leaked.examples} & {problem.problem for problem in first.problems}
    assert all(solution.endswith("}$.") for _, solution in leaked.examples), "#### 18 became a box"
