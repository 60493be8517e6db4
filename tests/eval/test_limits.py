"""What a model cannot take is refused before the engine starts: prompts beyond its context, ids beyond its vocabulary."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import CONFIG_MAPPING, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from eval.limits import context_tokens

SCALED = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}
TEXT = {"model_type": "gemma3_text", "max_position_embeddings": 256}
# A config -> its context: by the names of each architecture, scaled as vLLM scales it, without a sliding window's width.
CONTEXTS: dict[str, tuple[str, dict[str, Any], int | None]] = {
    "Llama": ("llama", {"max_position_embeddings": 1024}, 1024),
    "GPT-2": ("gpt2", {"n_positions": 128}, 128),
    "GPT-2, old": ("gpt2", {"n_positions": 128, "n_ctx": 64}, 64),
    "MPT": ("mpt", {"max_seq_len": 96}, 96),
    "OpenAI GPT": ("openai-gpt", {"n_positions": 77}, 77),
    "a name of others": ("mamba", {"max_sequence_length": 55}, 55),
    "without a limit": ("mamba", {}, None),
    "a limit that is none": ("xlnet", {}, None),
    "text beside images": ("gemma3", {"text_config": TEXT}, 256),
    "scaled, linear": ("llama", {"max_position_embeddings": 1024, "rope_scaling": SCALED}, 4096),
    "scaled, YaRN": ("llama", {"max_position_embeddings": 4096, "rope_scaling": YARN}, 4096),
    "scaled, Llama 3": ("llama", {"max_position_embeddings": 4096, "rope_scaling": LLAMA3}, 4096),
    "sliding window": ("mistral", {"max_position_embeddings": 1024, "sliding_window": 64}, 1024),
}


@pytest.mark.parametrize(("kind", "settings", "tokens"), CONTEXTS.values(), ids=CONTEXTS)
def test_the_context_is_found_under_each_name(kind: str, settings: dict[str, Any], tokens: int | None) -> None:
    assert context_tokens(CONFIG_MAPPING[kind](**settings)) == tokens


@pytest.fixture
def place(byte_llama: Path, make_model: Callable[..., Path], write_benchmark: Any, tmp_path: Path,
          monkeypatch: pytest.MonkeyPatch) -> Path:  # fmt: skip
    """gpt2/ with a context of 64 tokens, llama/, and a benchmark that asks in two letters of Greek."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = GPT2Config(n_positions=64, n_embd=32, n_layer=1, n_head=2, vocab_size=259, bos_token_id=0, eos_token_id=1)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    AutoTokenizer.from_pretrained(byte_llama).save_pretrained(tmp_path / "gpt2")
    make_model(tmp_path / "llama")
    write_benchmark("sums", {"2 + 2?": "4", "\u03b1\u03b2?": "6"})
    return tmp_path


def asked(model: str, tokens: int, *more: str) -> list[str]:
    files = ["--benchmark", "sums", "--benchmarks-dir", "benchmarks"]
    return ["run", model, *files, "--engine", "hf", "--max-tokens", str(tokens), *more]


def test_a_gpt2_is_scored_within_its_context_and_refused_beyond(place: Path, cli: Callable[..., Any]) -> None:
    beyond = cli(*asked("gpt2", 64))
    assert beyond.code == 2 and "gpt2: its context of 64 tokens is too short for a prompt of 34 of sums" in beyond.err
    assert not list(place.glob("reports/*/manifest.json"))
    fits = int(beyond.err.rpartition("--max-tokens ")[2].split()[0])
    assert fits == 30 and cli(*asked("gpt2", fits)).code == 0


def add_token(folder: Path, token: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token])
    tokenizer.save_pretrained(folder)


def end_in_added_token(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"eos_token": "<end>"})
    tokenizer.save_pretrained(folder)


def without_eos(folder: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            settings = json.loads((folder / name).read_text())
            settings.pop("eos_token", None)
            (folder / name).write_text(json.dumps(settings))


BAD_TEMPLATE = "{{ raise_exception('no \u001b[2J system') }}"
TOKENIZERS: dict[str, tuple[Callable[[Path], Any], list[str], tuple[str, ...]]] = {
    "a token of a prompt": (
        lambda folder: add_token(folder, "\u03b1\u03b2"),
        [],
        ("token 259 ('\u03b1\u03b2') for problem p1 of sums", "embeddings for 259 tokens", "resize_token_embeddings(260)"),
    ),
    "the token that ends an output": (end_in_added_token, [], ("token 259 ('<end>') for the end of an output",)),
    "no EOS": (without_eos, [], ("its tokenizer has no EOS token", "name eos_token in tokenizer_config.json")),
    "no EOS, own template": (without_eos, ["--prompt", "tokenizer"], ("its tokenizer has no EOS token",)),
    "a template that fails": (
        lambda folder: (folder / "chat_template.jinja").write_text(BAD_TEMPLATE),
        ["--prompt", "tokenizer"],
        ("the chat template fails (no", "system); use --prompt current"),
    ),
    "damaged": (lambda folder: (folder / "tokenizer.json").write_text("{}"), [], ("its tokenizer cannot be used",)),
    "a folder": (
        lambda folder: ((folder / "tokenizer.json").unlink(), (folder / "tokenizer.json").mkdir()),
        [],
        ("has no tokenizer (tokenizer.json)",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "more", "said"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_of_another_model_is_refused(
    change: Callable[[Path], Any], more: list[str], said: tuple[str, ...], place: Path, cli: Callable[..., Any]
) -> None:
    change(place / "llama")
    done = cli(*asked("llama", 16, *more))
    assert done.code == 1 and done.err.startswith("error: ") and done.err.count("\n") == 1
    for words in ("llama", *said):
        assert words in done.err
    assert not list(place.glob("reports/*/manifest.json"))


def test_tokens_that_no_prompt_uses_do_not_matter(place: Path, cli: Callable[..., Any]) -> None:
    add_token(place / "llama", "never")
    assert cli(*asked("llama", 16)).code == 0
    shutil.rmtree(place / "reports")
