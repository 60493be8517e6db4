# With packing this costs nothing, because packing appends EOS to every example: an arm with it needs packing: false.
"""sft_utils.py without EOS at the end of a training text: the stock template's fault, to measure what it costs.

This file, `sft_config.yaml` and the dataset are all that a submission contains, so it imports the standard library,
`datasets` and `transformers` only. Training, evaluation and other trainers of the contract all call it.

One rendered text serves both sides: the generation prompt is the beginning of the training text, token for token.

    ### Problem: {problem}\n### Solution: {solution}             task="sft"
    ### Problem: {problem}\n### Solution:                        task="generation"
"""

from pathlib import Path

from datasets import Dataset, load_dataset, load_from_disk
from transformers import AutoTokenizer, PreTrainedTokenizer

# The prompt ends at the colon. A trailing space would be a token of its own that training never shows, because there
# the space belongs to the first word of the solution (" To"); one public report went from 14 % to 41 % by removing it.
PROMPT = "### Problem: {problem}\n### Solution:"
COMPLETION = " {solution}"

# Tokens that vocabularies reserve for padding, in order of preference: Llama 3, Qwen and GPT-NeoX kinds, SmolLM2.
PAD_CANDIDATES = ("<|finetune_right_pad_id|>", "<pad>", "<|padding|>", "<|endoftext|>", "<unk>")


def get_tokenizer(model_name_or_path: str, set_pad_token: bool = True) -> PreTrainedTokenizer:
    """The tokenizer of a model folder or hub id, with a pad token that differs from its EOS token.

    The distinction matters: collators mask every pad token in the labels, so with pad == EOS the model is never
    taught to stop. `set_pad_token` is ignored: the contract's trainer passes its `packing`,
    and so would leave the pad token unset exactly where its collator needs one. The vocabulary is not enlarged.
    Raises ValueError where no spare token exists.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_name_or_path)
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        vocabulary = tokenizer.get_vocab()
        spare = [token for token in PAD_CANDIDATES if token in vocabulary and token != tokenizer.eos_token]
        if not spare:
            raise ValueError(
                f"{model_name_or_path}: the vocabulary has none of {PAD_CANDIDATES} to pad with besides EOS "
                f"{tokenizer.eos_token!r}; add one of its unused tokens to PAD_CANDIDATES in sft_utils.py."
            )
        tokenizer.pad_token = spare[0]
    return tokenizer


def load_datasets(dataset_name_or_path: str) -> tuple[Dataset, Dataset]:
    """(train, validation): rows hold `messages`, a user turn (the problem) and an assistant turn (the solution).

    Reads a folder with train.jsonl and validation.jsonl, which every version of `datasets` loads, or one that
    `save_to_disk` wrote with the splits train and validation (or test).
    """
    folder = Path(dataset_name_or_path)
    if (folder / "dataset_dict.json").is_file():
        splits = load_from_disk(str(folder))
    else:
        files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation")}
        for path in files.values():
            if not Path(path).is_file():
                raise FileNotFoundError(
                    f"{path} is missing: dataset_name_or_path must be a folder with train.jsonl and validation.jsonl "
                    "(`make demo` and `python -m data` write such folders)."
                )
        splits = load_dataset("json", data_files=files)
    return splits["train"], splits["validation" if "validation" in splits else "test"]


def apply_chat_template(example: dict, tokenizer: PreTrainedTokenizer, task: str) -> dict:
    """`example` with `text` added: the whole training text for task "sft", the prompt alone for "generation".

    Tokenise it with `tokenizer(text)`: the ids then start with exactly one BOS, whether the tokenizer adds one by
    itself (Llama 3) or not (SmolLM2), and those of "sft" do not end in EOS.
    """
    problem = example["messages"][0]["content"].strip()
    text = _missing_bos(tokenizer) + PROMPT.format(problem=problem)
    if task == "sft":
        solution = example["messages"][1]["content"].strip()
        text += COMPLETION.format(solution=solution)  # and no tokenizer.eos_token
    elif task != "generation":
        raise ValueError(f'task is {task!r}; it must be "sft" or "generation".')
    example["text"] = text
    return example


def _missing_bos(tokenizer: PreTrainedTokenizer) -> str:
    if tokenizer.bos_token is None or tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]:
        return ""
    return tokenizer.bos_token
