"""The contract's stock sft_utils.py, written anew from what it does: a fixture, not a test."""

# ruff: noqa: F401 - the stock file imports what it does not use
import dataclasses
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Literal, Optional  # noqa: UP035

import datasets
from transformers import AutoTokenizer, PreTrainedTokenizer

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '### Problem: ' + message['content'] + '\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '### Solution: ' + message['content'] + '\n' }}{% endif %}"
    "{% if loop.last and message['role'] == 'user' and add_generation_prompt %}{{ '### Solution: ' }}{% endif %}"
    "{% endfor %}"
)


def apply_chat_template(example: dict, tokenizer: PreTrainedTokenizer, task: Literal["sft", "generation"]) -> dict:
    messages = example["messages"]
    if task not in ("sft", "generation"):
        raise ValueError(f"Task {task} not supported")
    if messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": ""})
    example["text"] = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=task == "generation"
    )
    return example


def get_tokenizer(model_name_or_path: str, set_pad_token: bool = True) -> PreTrainedTokenizer:
    tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, trust_remote_code=False)
    if set_pad_token and tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id
    if tokenizer.model_max_length > 100_000:
        tokenizer.model_max_length = 2048
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def load_datasets(dataset_name_or_path: str) -> tuple[datasets.Dataset, datasets.Dataset]:
    splits = datasets.load_from_disk(os.fspath(Path(dataset_name_or_path)))
    return splits["train"].shard(num_shards=10, index=0), splits["test"]
