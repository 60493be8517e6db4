"""The shipped GSM8K + MATH recipe on the real files of `shared`: the funnel adds up, a second build is the same bytes, and
what comes out passes training's preflight."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
from pathlib import Path

import pytest
from datasets import Dataset
from rich.console import Console
from trl import SFTConfig

import sft_utils
from data.build import build
from data.recipe import read_recipe
from training import preflight
from training.examples import load_splits, render
from training.settings import ContractArguments

SILENT = Console(quiet=True)
RECIPE = Path(__file__).parents[2] / "data/recipes/gsm8k-math.yaml"
RENDERED_EVERY = 25  # rows whose token ids preflight looks at; the build itself has looked at all of them


@pytest.fixture(scope="module")
def benchmarks(shared, tmp_path_factory) -> Path:
    """The two test sets that these training sets leak; the other sixteen would only cost time."""
    folder = tmp_path_factory.mktemp("benchmarks")
    for name in ("gsm8k-test", "math-test"):
        shutil.copy(shared / f"data/benchmarks/{name}.jsonl.gz", folder)
    return folder


@pytest.fixture(scope="module")
def copies(shared) -> dict[str, str]:
    files = {"gsm8k": "gsm8k_train_boxed", "math": "math_train"}
    return {name: str(shared / f"data/sft/{file}.jsonl.gz") for name, file in files.items()}


@pytest.fixture(scope="module")
def built(copies, benchmarks, tiny_tokenizer, tmp_path_factory):
    recipe = read_recipe(RECIPE, copies, str(tiny_tokenizer))
    return build(recipe, tmp_path_factory.mktemp("real"), benchmarks, SILENT)


def test_the_funnel_adds_up_and_names_the_known_leaks(built):
    manifest = built.manifest
    splits = {name: found["rows"] for name, found in manifest["splits"].items()}
    assert sum(splits.values()) == sum(manifest["rows_read"].values()) == 14_973
    for before, after in zip(manifest["funnel"], manifest["funnel"][1:], strict=False):
        assert before["rows"] - sum(before["dropped"].values()) == before["kept"] == after["rows"]
    dropped = [json.loads(line) for line in (built.folder / "dropped.jsonl").open(encoding="utf-8")]
    leaks = [row["detail"] for row in dropped if row["step"] == "decontaminate"]
    assert len(dropped) == splits["dropped"] and len(leaks) > 100  # MATH train holds near copies of MATH test
    assert all(leak["benchmark"] in ("gsm8k-test", "math-test") and leak["text"] for leak in leaks)


def test_a_second_build_is_the_same_bytes_with_any_number_of_processes(copies, benchmarks, tiny_tokenizer, tmp_path):
    few = {}
    for name, path in copies.items():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            few[name] = str(tmp_path / f"{name}.jsonl")
            Path(few[name]).write_text("".join(itertools.islice(lines, 0, None, 40)), encoding="utf-8")
    recipe = read_recipe(RECIPE, few, str(tiny_tokenizer))
    first, second = (build(recipe, tmp_path / str(workers), benchmarks, SILENT, workers) for workers in (0, 2))
    assert first.folder.name == second.folder.name and not second.reused
    for file in first.folder.iterdir():
        assert file.read_bytes() == (second.folder / file.name).read_bytes(), file.name


def test_what_is_kept_passes_preflight(built, tiny_tokenizer, tmp_path):
    contract = ContractArguments("m", str(built.folder), "local")
    raw = load_splits(contract)
    tokenizer = sft_utils.get_tokenizer(str(tiny_tokenizer))
    shown = {
        name: Dataset.from_list(rows.to_list()[:: RENDERED_EVERY if name == "train" else 1])
        for name, rows in raw.items()
    }
    rendered = {name: render(rows, tokenizer, name, SILENT) for name, rows in shown.items()}
    arguments = SFTConfig(
        str(tmp_path), use_cpu=True, bf16=False, max_length=2048, report_to="none", save_strategy="epoch"
    )
    run = preflight.Run(contract, arguments, tokenizer, raw, rendered, 1000, 1)
    assert [check for check in preflight.checks(run) if not check.ok] == []
    tokens = built.manifest["splits"]["validation"]["tokens"]
    assert sum(map(len, rendered["validation"]["input_ids"])) == tokens


def llama_tokenizer(folder: Path) -> Path:
    """Llama 3's own tokenizer out of the package `llama-models`; skips where that is not installed."""
    models = pytest.importorskip("llama_models", reason="Llama's tokenizer: pip install --no-deps llama-models")
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    vocabulary = Path(models.__file__).parent / "llama3/tokenizer.model"
    special = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{n}|>" for n in range(254))]
    backend = TikTokenConverter(str(vocabulary), extra_special_tokens=special).converted()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=special[0], eos_token=special[1], pad_token=special[2]
    )
    fast.save_pretrained(folder)
    return folder


def test_tokens_are_counted_under_llamas_tokenizer_too(shared, tmp_path):
    folder = llama_tokenizer(tmp_path / "llama")
    recipe = tmp_path / "recipe.yaml"
    source = f"{{name: val, path: {shared}/data/sft/rise_math_val.jsonl.gz}}"
    recipe.write_text(f"name: llama\ntokenizer: {folder}\nsources: [{source}]\nsteps: [validation]\n")
    made = build(read_recipe(recipe), tmp_path, None, SILENT, 0)
    tokenizer = sft_utils.get_tokenizer(str(folder))
    rows = load_splits(ContractArguments("m", str(made.folder), "local"))["train"]
    texts = [sft_utils.apply_chat_template(dict(row), tokenizer, "sft")["text"] for row in rows]
    assert made.manifest["splits"]["train"]["tokens"] == sum(map(len, tokenizer(texts).input_ids))
