"""A Llama of 20,000 weights whose tokens are bytes, an engine that reads its outputs from a table, and the command line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.numpy import load_file, save_file

from eval.engines.base import Loaded, Prompt, Stops
from eval.records import Completion, Decoding

CONTEXT_TOKENS = 512


@pytest.fixture(scope="session")
def byte_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model folder with tied embeddings; copy it (`make_model`) before changing anything."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = ["<s>", "</s>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=len(tokens),
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    folder = tmp_path_factory.mktemp("byte-llama") / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_model(byte_llama: Path) -> Callable[..., Path]:
    """make_model(folder, shift=0.0): a copy of the byte Llama at `folder`; `shift` is added to one weight."""

    def make(folder: Path, shift: float = 0.0) -> Path:
        shutil.copytree(byte_llama, folder)
        if shift:
            tensors = load_file(folder / "model.safetensors")
            tensors["model.norm.weight"][7] += shift
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


@pytest.fixture
def write_benchmark(tmp_path: Path) -> Callable[..., Path]:
    """write_benchmark(name, {problem: answer}): benchmarks/<name>.jsonl, ids p0, p1, …; returns the folder."""

    def write(name: str, answers: dict[str, str]) -> Path:
        rows = [
            {"id": f"p{number}", "problem": problem, "answer": answer}
            for number, (problem, answer) in enumerate(answers.items())
        ]
        folder = tmp_path / "benchmarks"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return folder

    return write


class FakeEngine:
    """Answers `problem` with `says(problem, sample)`, and remembers what it was asked.

    Yields in reverse order, because engines may finish in any; an output that ends in "…" counts as cut off.
    """

    name = "fake"
    version = "1"

    def __init__(self, says: Callable[[str, int], str]) -> None:
        self.says = says
        self.max_model_tokens = 0
        self.loaded: list[Path] = []
        self.asked: list[str] = []
        self.closed = 0
        self.fails_after: int | None = None
        self.failure: BaseException = RuntimeError("the engine died\nof natural causes")

    def load(self, folder: Path) -> Loaded:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.loaded.append(folder)
        return Loaded(2.0, 0.0) if len(self.loaded) == 1 else Loaded(0.0, 0.25)

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops
    ) -> Iterator[tuple[int, list[Completion]]]:
        for done, index in enumerate(reversed(range(len(prompts)))):
            if done == self.fails_after:
                raise self.failure
            prompt = self.tokenizer.decode(prompts[index].token_ids)
            problem = prompt.removeprefix("<s>### Problem: ").removesuffix("\n### Solution:")
            self.asked.append(problem)
            outputs = [self.says(problem, sample) for sample in range(decoding.n_samples)]
            yield index, [self._completion(output, stops) for output in outputs]

    def close(self) -> None:
        self.closed += 1

    def _completion(self, output: str, stops: Stops) -> Completion:
        token_ids = tuple(self.tokenizer(output).input_ids)
        if output.endswith("…"):
            return Completion(token_ids, "length")
        return Completion((*token_ids, stops.token_ids[0]), "stop")


@pytest.fixture
def use_engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeEngine]:
    """use_engine(says): a FakeEngine that every evaluation of this test gets, whatever --engine says."""

    def use(says: Callable[[str, int], str] | None = None) -> FakeEngine:
        engine = FakeEngine(says or (lambda problem, sample: r"so \boxed{4}"))
        monkeypatch.setattr("eval.run.choose_engine", lambda options, device: engine)
        return engine

    return use


class Done(NamedTuple):
    """What a command left: its exit code and what came through file descriptors 1 and 2."""

    code: Any
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """cli(*arguments): `python -m eval …` in this process, its Python streams on the real descriptors, as in a shell."""
    from eval.__main__ import main

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        with (
            open(1, "w", encoding="utf-8", closefd=False) as out,
            open(2, "w", encoding="utf-8", closefd=False) as err,
            monkeypatch.context() as patched,
        ):
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as usage:
                code = usage.code
        return Done(code, *capfd.readouterr())

    return call
