"""What an unknown key probably means: a name from another version or trainer, or a typing error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# From this similarity on, a word of a key counts as a misspelling: `alfa` for `alpha`, but not `min` for `max`.
ALIKE = 0.65

_ATTENTION = "write model_init_kwargs: {attn_implementation: …}; left out, flash-attn is used if it is installed"
_PRECISION = "write bf16: true (bfloat16) or bf16: false (float32)"
_TOKENIZER = "set it in get_tokenizer (sft_utils.py)"
_LENGTH = "today's key is max_length; the contract's limit of 2,048 tokens applies anyway"
_QUANTISED = "quantised training is not supported; to save memory write use_peft: true or gradient_checkpointing: true"
_LAUNCH = "set it in deepspeed_zero3.yaml"
_BATCH = "write per_device_train_batch_size: …"
# Keys of other versions and other trainers that similarity alone does not resolve.
ELSEWHERE = (
    dict.fromkeys(("attn_implementation", "use_flash_attention_2", "use_flash_attention", "use_flash_attn"), _ATTENTION)
    | dict.fromkeys(("flash_attention", "flash_attn", "flash_attention_2", "attention", "sdp_attention"), _ATTENTION)
    | dict.fromkeys(("torch_dtype", "dtype", "precision", "mixed_precision", "fp32", "float32", "float16"), _PRECISION)
    | dict.fromkeys(("bfloat16", "half_precision", "model_dtype"), _PRECISION)
    | dict.fromkeys(("tokenizer", "tokenizer_name", "tokenizer_name_or_path", "tokenizer_path"), _TOKENIZER)
    | dict.fromkeys(("bos_token", "unk_token", "special_tokens", "add_eos_token", "add_bos_token"), _TOKENIZER)
    | dict.fromkeys(("chat_template", "prompt_template", "template"), "set it in apply_chat_template (sft_utils.py)")
    | dict.fromkeys(("max_seq_length", "max_seq_len", "seq_length", "seq_len", "sequence_len", "cutoff_len"), _LENGTH)
    | dict.fromkeys(("model_max_length", "block_size", "max_tokens", "context_length"), _LENGTH)
    | dict.fromkeys(
        ("load_in_4bit", "load_in_8bit", "use_bnb_nested_quant", "quantization", "bnb_4bit_quant_type"), _QUANTISED
    )
    | dict.fromkeys(("quantization_config", "bnb_4bit_compute_dtype"), _QUANTISED)
    | dict.fromkeys(("zero_stage", "zero_optimization", "deepspeed_config", "offload_optimizer_device"), _LAUNCH)
    | dict.fromkeys(("use_gpu", "use_cuda", "gpu", "cuda", "device"), "remove it: a GPU is used if one is found")
    | dict.fromkeys(("num_processes", "num_gpus", "n_gpus", "n_gpu", "world_size"), "pass it: make train PROCESSES=…")
    | dict.fromkeys(("batch_size", "train_batch_size", "micro_batch_size", "per_device_batch_size", "bs"), _BATCH)
    | dict.fromkeys(("eval_batch_size", "val_batch_size"), "write per_device_eval_batch_size: …")
    | dict.fromkeys(("lr", "max_lr", "peak_lr", "base_lr"), "write learning_rate: …")
    | dict.fromkeys(
        ("min_lr", "lr_end"), "write lr_scheduler_kwargs: {min_lr: …} with lr_scheduler_type: cosine_with_min_lr"
    )
    | dict.fromkeys(("epochs", "num_epochs", "n_epochs", "max_epochs", "train_epochs"), "write num_train_epochs: …")
    | dict.fromkeys(("steps", "num_steps", "train_steps", "num_train_steps", "max_iters"), "write max_steps: …")
    | dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule", "lr_decay_style"), "write lr_scheduler_type: …")
    | dict.fromkeys(("optimizer", "optimizer_type", "optimiser"), "write optim: …")
    | dict.fromkeys(("warmup", "num_warmup_steps", "warmup_iters"), "write warmup_steps: …")
    | dict.fromkeys(
        ("grad_clip", "gradient_clipping", "clip_grad", "max_norm", "clip_grad_norm"), "write max_grad_norm: …"
    )
    | dict.fromkeys(
        ("grad_accum", "accumulate_grad_batches", "gradient_accumulation"), "write gradient_accumulation_steps: …"
    )
    | dict.fromkeys(("wd", "l2"), "write weight_decay: …")
    | dict.fromkeys(("save_every", "save_interval", "save_freq"), "write save_steps: …")
    | dict.fromkeys(("eval_every", "eval_interval", "val_check_interval"), "write eval_steps: …")
    | dict.fromkeys(("log_every", "log_interval", "logging_interval"), "write logging_steps: …")
    | dict.fromkeys(("model", "model_name", "model_id", "base_model", "model_path"), "write model_name_or_path: …")
    | dict.fromkeys(
        ("dataset", "dataset_name", "dataset_path", "datasets", "train_file"), "write dataset_name_or_path: …"
    )
    | dict.fromkeys(("output", "out_dir", "save_dir", "checkpoint_dir"), "write output_dir: …")
    | dict.fromkeys(("name", "experiment_name", "run"), "write run_name: …")
    | dict.fromkeys(("sample_packing", "pack", "use_packing"), "write packing: …")
    | dict.fromkeys(("lora", "peft", "use_lora", "adapter"), "write use_peft: true")
    | dict.fromkeys(("lora_rank", "r", "rank"), "write lora_r: …")
    | dict.fromkeys(("target_modules", "lora_target", "lora_modules"), "write lora_target_modules: […]")
    | dict.fromkeys(
        ("lora_modules_to_save", "modules_to_save"),
        "only adapters are trained; to train other weights, train the whole model",
    )
    | dict.fromkeys(("train_on_inputs", "mask_prompt", "train_on_prompt"), "write completion_only_loss: true or false")
    | dict.fromkeys(("resume", "resume_from", "auto_resume"), "remove it and run make train RESUME=1")
    | dict.fromkeys(("wandb_name", "wandb_run_name"), "write run_name: …")
    | dict.fromkeys(("random_seed", "manual_seed"), "write seed: …")
)


def hint(key: str, known: Iterable[str]) -> str:
    """What to do about an unknown key, as the second half of a sentence."""
    plain = key.casefold().replace("-", "_")
    if plain in ELSEWHERE:
        return ELSEWHERE[plain] + ("" if ELSEWHERE[plain].endswith((".", "…")) else ".")
    near = nearest(key, known)
    return f"did you mean {near!r}?" if near else "remove it, or see the key list of transformers' TrainingArguments."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` is a misspelling of; None where it reads as something else.

    Each part between underscores must be similar, and digits equal: `adam_beta3` is not adam_beta2.
    """
    alike = {name: ratio for name in known if (ratio := _alike(word, name))}
    return max(alike, key=lambda name: alike[name]) if alike else None


def _alike(word: str, name: str) -> float:
    mine, theirs = (re.split(r"[_\-\s]+", text.casefold()) for text in (word, name))
    if "".join(mine) == "".join(theirs):
        return 1.0
    if len(mine) != len(theirs) or re.findall(r"\d", word) != re.findall(r"\d", name):
        return 0.0
    ratios = [difflib.SequenceMatcher(None, *pair).ratio() for pair in zip(mine, theirs, strict=True)]
    return sum(ratios) / len(ratios) if min(ratios) >= ALIKE else 0.0
