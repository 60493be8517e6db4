"""One checkpoint that cannot be scored ends the call before the engine starts, or is listed while the others are scored."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from eval import store
from eval.records import UserError
from eval.skips import Skips

Cli = Callable[..., Any]
ASKED = ["--benchmark", "sums,more", "--benchmarks-dir", "benchmarks", "--max-tokens", "8", "--engine", "hf"]


@pytest.fixture
def run(make_model: Callable[..., Path], write_benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """run/checkpoint-1 to -3, which the real engine scores on two benchmarks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", {"2 + 2?": "4", "3 + 3?": "6"})
    write_benchmark("more", {"4 + 4?": "8"})
    for step in (1, 2, 3):
        make_model(Path("run") / f"checkpoint-{step}", shift=step / 8)
    return Path("run")


def set_weight(folder: Path, name: str, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name][:] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def another_prompt(folder: Path) -> None:
    (folder / "prompt.json").write_text('{"fingerprint": "0123", "template": "Q"}')


def short_context(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": 16}))


# What is wrong with checkpoint-2 -> (how to bring it about, the exit code without the option, what is said of it).
BROKEN: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), 1, "holds no *.safetensors weights"),
    "cut off": (cut, 1, "model.safetensors is half written or damaged"),
    "NaN": (lambda folder: set_weight(folder, "model.norm.weight", float("nan")), 1, "model.norm.weight holds NaN"),
    "a damaged tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        1,
        "its tokenizer cannot be used",
    ),
    "another prompt": (another_prompt, 1, "was trained on prompt 0123"),
    "a short context": (short_context, 2, "its context of 16 tokens is too short"),
}


@pytest.mark.parametrize(("damage", "code", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_checkpoint_ends_the_call_or_is_listed(
    damage: Callable[[Path], Any], code: int, said: str, run: Path, cli: Cli
) -> None:
    damage(run / "checkpoint-2")
    refused = cli("run", run, *ASKED)
    assert refused.code == code and refused.err.count("\n") == 1
    assert said in refused.err and "To score the others all the same: --skip-broken." in refused.err
    assert not list(Path("reports").glob("*/manifest.json")), "before the engine starts"

    done = cli("run", run, *ASKED, "--skip-broken", "--json")
    assert done.code == 1
    (line,) = [line for line in done.err.splitlines() if line.startswith("skipped: ")]
    assert re.match("skipped: run/checkpoint-2[: /]", line) and said in line
    *scored, skipped = json.loads(done.out)
    assert [(row["step"], row["benchmark"]) for row in scored] == [
        (1, "sums"), (1, "more"), (3, "sums"), (3, "more"),
    ]  # fmt: skip
    assert list(skipped) == ["checkpoint", "benchmark", "skipped"]
    assert (skipped["checkpoint"], skipped["benchmark"]) == ("run/checkpoint-2", None) and said in skipped["skipped"]


def test_a_single_checkpoint_has_no_others_to_score(run: Path, cli: Cli) -> None:
    cut(run / "checkpoint-2")
    assert "--skip-broken" not in cli("run", run / "checkpoint-2", *ASKED).err
    done = cli("run", run / "checkpoint-2", *ASKED, "--skip-broken", "--json")
    assert done.code == 1 and [row["checkpoint"] for row in json.loads(done.out)] == ["run/checkpoint-2"]


def test_a_name_that_is_no_checkpoint_is_never_skipped(run: Path, cli: Cli) -> None:
    done = cli("run", run, "rnu", *ASKED, "--skip-broken")
    assert done.code == 2 and "rnu does not exist (did you mean run?)" in done.err
    assert not list(Path("reports").glob("*/DONE"))


def test_without_broken_ones_the_option_changes_nothing(run: Path, cli: Cli) -> None:
    plain = json.loads(cli("run", run, *ASKED, "--json").out)
    done = cli("run", run, *ASKED, "--json", "--skip-broken")
    assert done.code == 0 and "skipped" not in done.err
    assert json.loads(done.out) == [row | {"reused": True} for row in plain]


def hold(folder: str, ready: Any, end: Any) -> None:
    with store.locked(Path(folder)):
        ready.set()
        end.wait(60)


def test_a_checkpoint_that_another_process_scores_is_named_before_the_engine_starts(run: Path, cli: Cli) -> None:
    first = json.loads(cli("run", run, *ASKED, "--json").out)
    key = next(row["key"] for row in first if (row["step"], row["benchmark"]) == (2, "more"))
    for row in first:
        if row["step"] in (2, 3):
            (Path("reports") / row["key"] / "DONE").unlink()
            (Path("reports") / row["key"] / "predictions.jsonl").unlink()
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(f"reports/{key}", ready, end))
    other.start()
    assert ready.wait(60)
    try:
        refused = cli("run", run, *ASKED)
        assert refused.code == 1 and f"reports/{key} is being written by another evaluation" in refused.err
        assert "--skip-broken" in refused.err
        assert not list(Path("reports").glob("*/predictions.jsonl.partial"))
        assert len(list(Path("reports").glob("*/DONE"))) == 2, "nothing was decoded"
        done = cli("run", run, *ASKED, "--skip-broken", "--json")
    finally:
        end.set()
        other.join()
    *scored, skipped = json.loads(done.out)
    assert done.code == 1 and len(scored) == 5
    assert (skipped["checkpoint"], skipped["benchmark"]) == ("run/checkpoint-2", "more")
    assert "skipped: run/checkpoint-2 on more: reports/" in done.err
    assert cli("run", run, *ASKED).code == 0, "once it is free"


# What fails only in the engine: weights that are numbers, but what they compute is not.
def overflow(folder: Path) -> None:
    for name in ("gate_proj", "up_proj"):
        set_weight(folder, f"model.layers.0.mlp.{name}.weight", 1e38)


def test_a_model_that_computes_nan_is_refused_while_it_decodes(run: Path, cli: Cli) -> None:
    overflow(run / "checkpoint-2")
    refused = cli("run", run, *ASKED)
    assert refused.code == 1 and "run/checkpoint-2 on sums: the model computes NaN" in refused.err
    assert len(list(Path("reports").glob("*/DONE"))) == 2, "what was scored before it stays"
    done = cli("run", run, *ASKED, "--skip-broken", "--json")
    *scored, first, second = json.loads(done.out)
    assert done.code == 1 and [row["step"] for row in scored] == [1, 1, 3, 3]
    assert [row["reused"] for row in scored] == [True, True, False, False]
    assert {first["benchmark"], second["benchmark"]} == {"sums", "more"} and "computes NaN" in first["skipped"]


def test_an_engine_that_dies_loading_or_decoding_is_started_anew_for_the_next(run: Path, cli: Cli, use_engine: Any,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    engine = use_engine()
    load, generate = engine.load, engine.generate

    def dies_on_the_first(folder: Path) -> Any:
        if folder.name == "checkpoint-1":
            raise RuntimeError("out of memory\nand more")
        return load(folder)

    def dies_after_one(prompts: Any, decoding: Any, stops: Any) -> Any:
        for number, finished in enumerate(generate(prompts, decoding, stops)):
            if number == 1 and engine.loaded[-1].name == "checkpoint-2":
                raise ValueError("half-way")
            yield finished

    monkeypatch.setattr(engine, "load", dies_on_the_first)
    monkeypatch.setattr(engine, "generate", dies_after_one)
    done = cli("run", run, *ASKED, "--skip-broken", "--json")
    rows = json.loads(done.out)
    assert [(row["checkpoint"], row["benchmark"], row.get("skipped")) for row in rows] == [
        ("run/checkpoint-2", "more", None),
        ("run/checkpoint-3", "sums", None),
        ("run/checkpoint-3", "more", None),
        ("run/checkpoint-1", "sums", "RuntimeError: out of memory (see the log)."),
        ("run/checkpoint-1", "more", "RuntimeError: out of memory (see the log)."),
        ("run/checkpoint-2", "sums", "ValueError: half-way (see the log)."),
    ]
    assert engine.closed == 4, "after each failure, and at the end"
    assert [folder.name for folder in engine.loaded] == ["checkpoint-2", "checkpoint-2", "checkpoint-3"]
    assert "Traceback" not in done.err and "half-way" in Path("reports/eval.log").read_text()
    stored = sum(path.read_text().count("\n") for path in Path("reports").glob("*/predictions.jsonl"))
    assert stored == 1 + 1 + 2 + 1, "what was decoded before it died stays"


def test_a_full_disk_is_no_checkpoints_fault(run: Path, tmp_path: Path) -> None:
    listed: list[Any] = []
    around = Skips(listed, several=True).around("run/checkpoint-1")
    with pytest.raises(UserError, match="cannot be written"), around, store.full_disk(tmp_path):
        raise OSError(28, "No space left on device")
    assert listed == []


def test_watching_goes_on_behind_a_broken_checkpoint(run: Path, cli: Cli, use_engine: Any) -> None:
    use_engine()
    cut(run / "checkpoint-2")
    (run / "finished.json").write_text("{}")
    refused = cli("watch", run, *ASKED)
    assert refused.code == 1 and "--skip-broken" in refused.err and "half written" in refused.err
    done = cli("watch", run, *ASKED, "--skip-broken")
    assert done.code == 1 and "skipped: run/checkpoint-2/model.safetensors is half" in done.err
    steps = {json.loads(path.read_text())["step"] for path in Path("reports").glob("*/summary.json")}
    assert steps == {1, 3}


def test_names_out_of_files_of_others_do_not_command_the_terminal(run: Path, cli: Cli) -> None:
    path = run / "checkpoint-2" / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"\x1b[2Jx.weight": tensors["model.norm.weight"] * float("nan")}, path)
    for more in ([], ["--skip-broken"]):
        done = cli("run", run, *ASKED, *more)
        assert done.code == 1 and "\x1b" not in done.err and "\\x1b[2Jx.weight holds NaN" in done.err
