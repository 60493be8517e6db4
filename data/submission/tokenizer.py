"""A tokenizer that both stacks load: the files of the config's model, written in the form that old and new read alike.

What transformers 5 saves names a class that 4.48.1 does not know. The tokenizer itself, tokenizer.json, is the same; with
a plain tokenizer_config.json beside it both read it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval.records import UserError

CONFIG, VOCABULARY = "tokenizer_config.json", "tokenizer.json"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


def write(model: str, folder: Path) -> str:
    """Writes the tokenizer of `model` (a folder, or a hub id that was downloaded before) into `folder`.

    Returns a sentence where SmolLM2's stands in for it, "" where it is the model's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = find(model)
    stand_in = ""
    if source is None:
        stand_in = (
            f"the tokenizer of {model} is not on this machine; SmolLM2's stands in, so lengths are not the model's"
        )
        source = smollm2(folder)
    vocabulary, config = (source / VOCABULARY).read_bytes(), json.loads((source / CONFIG).read_text(encoding="utf-8"))
    plain: dict[str, Any] = {key: text_of(config[key]) for key in SPECIAL if config.get(key)}
    plain |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if isinstance(config.get("chat_template"), str):
        plain["chat_template"] = config["chat_template"]
    (folder / VOCABULARY).write_bytes(vocabulary)
    (folder / CONFIG).write_text(json.dumps(plain, indent=1), encoding="utf-8")
    # Read by AutoTokenizer to learn what kind of model this is; the tiny Llama's own replaces it.
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    return stand_in


def find(model: str) -> Path | None:
    """The folder with the files of a model's tokenizer; None where they are not on this machine."""
    folder = Path(model)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = [try_to_load_from_cache(model, name) for name in (VOCABULARY, CONFIG)]
        except HFValidationError:
            return None
        if not all(isinstance(path, str) for path in cached):
            return None
        folder = Path(str(cached[0])).parent
    if not (folder / VOCABULARY).is_file() or not (folder / CONFIG).is_file():
        raise UserError(f"{folder} has no {VOCABULARY} with {CONFIG}; name a model folder with a fast tokenizer.")
    return folder


def smollm2(folder: Path) -> Path:
    """SmolLM2's tokenizer out of the package that carries the demo's weights, saved below `folder`."""
    from transformers import AutoTokenizer

    from data.demo import GGUF_FILE, _gguf_folder

    saved = folder / "smollm2"
    AutoTokenizer.from_pretrained(_gguf_folder(), gguf_file=GGUF_FILE).save_pretrained(saved)
    return saved


def text_of(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
