"""A tokenizer that both stacks load: the files of the config's model, written in the form that old and new read alike.

What transformers 5 saves names a class that 4.48.1 does not know. The tokenizer itself, tokenizer.json, is the same; with
a plain tokenizer_config.json beside it both read it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from data.submission.checks.vocabulary import LLAMA_SIZE, read_size
from eval.records import UserError

CONFIG, VOCABULARY, MODEL = "tokenizer_config.json", "tokenizer.json", "config.json"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")
# Llama 3's tokenizer fills the vocabulary of its models: an added token has no embedding.
LLAMA_3 = re.compile(r"llama-?3", re.IGNORECASE)
LLAMA_3_NAMED = {
    0: "begin_of_text",
    1: "end_of_text",
    4: "finetune_right_pad_id",
    5: "step_id",
    6: "start_header_id",
    7: "end_header_id",
    8: "eom_id",
    9: "eot_id",
    10: "python_tag",
}


def write(model: str, folder: Path) -> str:
    """Writes the tokenizer of `model` (a folder, or a hub id that was downloaded before) into `folder`, and a config.json
    with the size of the model's vocabulary.

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
    if stand_in and LLAMA_3.search(model):
        vocabulary = with_llama_3_tokens(vocabulary)
    size = base_size(vocabulary) if stand_in else vocabulary_size(model, source, vocabulary)
    plain: dict[str, Any] = {key: text_of(config[key]) for key in SPECIAL if config.get(key)}
    plain |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if isinstance(config.get("chat_template"), str):
        plain["chat_template"] = config["chat_template"]
    (folder / VOCABULARY).write_bytes(vocabulary)
    (folder / CONFIG).write_text(json.dumps(plain, indent=1), encoding="utf-8")
    # Read by AutoTokenizer to learn what kind of model this is; the tiny Llama's own replaces it.
    (folder / MODEL).write_text(json.dumps({"model_type": "llama", "vocab_size": size}), encoding="utf-8")
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


def vocabulary_size(model: str, source: Path, vocabulary: bytes) -> int:
    """The size of the model's vocabulary: by its config.json, by its name, or by its stored tokenizer."""
    size = read_size(source / MODEL)
    if size is not None and size > 0:
        return size
    return LLAMA_SIZE if LLAMA_3.search(model) else base_size(vocabulary)


def base_size(vocabulary: bytes) -> int:
    """The largest id in a tokenizer.json plus 1; 1 where no id can be read."""
    try:
        stored = json.loads(vocabulary)
        tokens = stored.get("model", {}).get("vocab") or {}
        last = max(tokens.values(), default=0) if isinstance(tokens, dict) else len(tokens) - 1
        return 1 + max([last, *(int(token["id"]) for token in stored.get("added_tokens") or ())])
    except (ValueError, AttributeError, KeyError, TypeError):
        return 1


def with_llama_3_tokens(vocabulary: bytes) -> bytes:
    """The stand-in's tokenizer.json with Llama 3's 256 special tokens after its own, so that code can use their names."""
    stored, first = json.loads(vocabulary), base_size(vocabulary)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = [LLAMA_3_NAMED.get(place, f"reserved_special_token_{place}") for place in range(256)]
    more = [{"id": first + place, "content": f"<|{name}|>", **plain} for place, name in enumerate(names)]
    return json.dumps(stored | {"added_tokens": [*stored["added_tokens"], *more]}, ensure_ascii=False).encode()


def smollm2(folder: Path) -> Path:
    """SmolLM2's tokenizer out of the package that carries the demo's weights, saved below `folder`."""
    from transformers import AutoTokenizer

    from data.demo import GGUF_FILE, _gguf_folder

    saved = folder / "smollm2"
    AutoTokenizer.from_pretrained(_gguf_folder(), gguf_file=GGUF_FILE).save_pretrained(saved)
    return saved


def text_of(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
