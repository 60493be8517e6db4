"""What several tests need: the data beside the project, where there is any, and a tiny Llama with a real tokenizer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# Read at import by the libraries concerned: no hub, and tokenizers that may be forked.
os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
# Models here are tiny, and `make test` runs two files at a time: one thread each, rather than threads that wait for cores.
os.environ.update({"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"})
# The same tests serve machines with a GPU, where the lock brings vLLM's CUDA build.
DEVICE = "cuda" if shutil.which("nvidia-smi") else "cpu"
if DEVICE == "cpu":
    os.environ["DS_ACCELERATOR"] = "cpu"

# Files that take longest, those with real training and engines first.
LONG = (
    "test_whole_way",
    "test_runs",
    "test_stops",
    "test_stock",
    "test_engines",
    "test_ray",
    "test_kill",
    "test_submission_stock",
    "test_ablate",
    "test_real_recipe",
    "test_sources",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, so that in the end neither of two workers is left with one while the other has nothing to do."""
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


# What a model that repeats itself writes, and what makes patterns search a text again and again.
REPEATED = (
    *("\\boxed{", "{", "}", "\\boxed ", "\\", "\\\\", "$", "\\boxed{1} "),
    *("\\fbox{", "\\fbox 1", "\\boxed{}", "#### ", "#### 5\n", " ", "\n", "."),
    *("The answer is ", "<<", "5\\text{ ", "\\(", "\\["),
)


@pytest.fixture(params=REPEATED, ids=repr)
def million(request: pytest.FixtureRequest) -> str:
    """A text of a million characters that repeats one unit: every scan of it has to be linear."""
    return str(request.param) * (1_000_000 // len(request.param))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the project; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` beside the project: this test reads real data from there")
    return SHARED


@pytest.fixture(scope="session")
def stock() -> str:
    """The Python of .venv-stock; it takes gigabytes, so `make rehearse` and CI make it, and `make test` does not."""
    python = ROOT / ".venv-stock" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no .venv-stock: `make rehearse` makes it, then this test runs on the contract's own versions")
    return str(python)


@pytest.fixture(scope="session")
def device() -> str:
    """ "cuda" or "cpu": what training and decoding run on here."""
    return DEVICE


@pytest.fixture(scope="session")
def smollm2_tokenizer():
    """A tokenizer of the kind that adds no BOS by itself: SmolLM2's, out of the package that carries the weights."""
    from transformers import AutoTokenizer

    from data.demo import GGUF_FILE, _gguf_folder

    return AutoTokenizer.from_pretrained(_gguf_folder(), gguf_file=GGUF_FILE)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory, smollm2_tokenizer) -> Path:
    """A random two-layer Llama with SmolLM2's tokenizer. vLLM's CPU attention refuses heads narrower than 32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=len(smollm2_tokenizer),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=smollm2_tokenizer.bos_token_id,
        eos_token_id=smollm2_tokenizer.eos_token_id,
        # Wide enough that greedy choices are far apart: engines must agree on every one of them.
        initializer_range=0.2,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    LlamaForCausalLM(config).save_pretrained(folder)
    smollm2_tokenizer.save_pretrained(folder)
    return folder
