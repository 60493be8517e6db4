"""Keys of the contract's stock config that today's libraries no longer know, read as today's or ignored, with one line each.

They are those of transformers 4.48.1's TrainingArguments and of the contract's own additions to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.records import UserError


def _same(value: Any) -> Any:
    return value


# Key -> (its default, which has no effect; today's key; a function from its value to that of today's key).
RENAMED: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "adafactor": (False, "optim", lambda _: "adafactor"),
    "evaluation_strategy": (None, "eval_strategy", _same),
    "group_by_length": (False, "train_sampling_strategy", lambda _: "group_by_length"),
    "no_cuda": (False, "use_cpu", _same),
    "per_gpu_eval_batch_size": (None, "per_device_eval_batch_size", _same),
    "per_gpu_train_batch_size": (None, "per_device_train_batch_size", _same),
    "push_to_hub_model_id": (None, "hub_model_id", _same),
    "push_to_hub_token": (None, "hub_token", _same),
    "torchdynamo": (None, "torch_compile_backend", _same),
}
# Keys that are parts of `accelerator_config` today.
PARTS = ("dispatch_batches", "split_batches")

_NO_UPLOAD = "nothing is uploaded without push_to_hub: true"
_TRACKER = "as in the contract's sft.py; set the tracker's own variables, such as WANDB_PROJECT"
_NOT_READ = "the contract's sft.py does not read it either"
_TPU = "TPUs are not supported"
_APEX = "it is for NVIDIA's apex, which current trainers do not use"
IGNORED = {
    "benchmarks": _NOT_READ,
    "fp16_opt_level": _APEX,
    "fsdp_min_num_params": "deepspeed_zero3.yaml shards the model, not FSDP",
    "fsdp_transformer_layer_cls_to_wrap": "deepspeed_zero3.yaml shards the model, not FSDP",
    "hub_model_revision": _NO_UPLOAD,
    "include_inputs_for_metrics": "validation has no metric but its loss",
    "include_tokens_per_second": "tokens per second are always logged",
    "jit_mode_eval": "it is for speed in validation only",
    "logging_dir": "the curves are in the run's folder, under runs/",
    "mask_user_turns": _NOT_READ + "; completion_only_loss does it",
    "overwrite_hub_revision": _NO_UPLOAD,
    "overwrite_output_dir": "checkpoints are never overwritten: resume with RESUME=1, or set another run_name",
    "push_to_hub_organization": "write hub_model_id: organization/name",
    "push_to_hub_revision": _NO_UPLOAD,
    "quants": _NOT_READ,
    "ray_scope": "it is for a search over settings, which this project does not do",
    "reward_loss_fn": _NOT_READ,
    "save_safetensors": "weights are always written as safetensors",
    "tpu_metrics_debug": _TPU,
    "tpu_num_cores": _TPU,
    "use_ipex": "it is for speed on a CPU only",
    "use_legacy_prediction_loop": "it changes no number",
    "use_mps_device": "the device is found automatically",
    "wandb_enabled": "report_to decides",
} | dict.fromkeys(("wandb_entity", "wandb_project", "wandb_run_group", "wandb_run_id", "wandb_tags"), _TRACKER)

# Keys whose effect today's libraries no longer support: the values that have no effect.
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "fp16_backend": ("auto", "cuda_amp", "cpu_amp"),
    "half_precision_backend": ("auto", "cuda_amp", "cpu_amp"),
    "mp_parameters": ("",),
    "past_index": (-1,),
}
OLD = {*RENAMED, *PARTS, *IGNORED, *WITHOUT_EFFECT, "warmup_ratio"}
# The contract's own keys that today's libraries know, too.
BOTH = {"max_length", "packing"}
# Keys of today's TrainingArguments that came after transformers 4.48.1.
LATER = {
    "dataloader_in_order", "dataloader_multiprocessing_context", "ddp_static_graph", "enable_jit_checkpoint", "hub_revision",
    "liger_kernel_config", "parallelism_config", "project", "train_sampling_strategy", "trackio_bucket_id",
    "trackio_space_id", "trackio_static_space_id", "use_cache",
}  # fmt: skip
# Keys where the stock parser takes null and today's libraries do not.
NULLABLE = {
    "average_tokens_across_devices", "ddp_timeout", "eval_delay", "eval_use_gather_object", "include_num_input_tokens_seen",
    "length_column_name", "load_best_model_at_end", "log_level", "log_level_replica", "max_length", "remove_unused_columns",
    "use_liger_kernel",
}  # fmt: skip


def as_today(path: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the settings under today's keys, one line for each that was renamed or ignored).

    Raises UserError for two spellings of one key that disagree, and for a key whose effect today's libraries do not have.
    """
    today = {key: value for key, value in settings.items() if key not in OLD}
    said = _drop_nulls(today)
    for key in settings:
        if key in RENAMED:
            said.append(_rename(path, settings, key, today))
        elif key in PARTS:
            said.append(_nest(path, settings, key, today))
        elif key in IGNORED:
            said.append(f"{key}: ignored, {IGNORED[key]}")
        elif key in WITHOUT_EFFECT:
            said.append(_refuse_effect(path, key, settings[key]))
        elif key == "warmup_ratio":
            said.append(_warm_up(path, settings, today))
    if today.get("optim") == "adamw_hf":
        today["optim"] = "adamw_torch"
        said.append("optim: adamw_hf is read as adamw_torch, the same method; adamw_hf no longer exists")
    return today, said


def _drop_nulls(today: dict[str, Any]) -> list[str]:
    """Removes from `today` the nulls that only the stock parser accepts; one line for each."""
    empty = [key for key in today if key in NULLABLE and today[key] is None]
    for key in empty:
        del today[key]
    return [f"{key}: null is read as left out" for key in empty]


def _rename(path: Path, settings: dict[str, Any], key: str, today: dict[str, Any]) -> str:
    default, name, translate = RENAMED[key]
    if settings[key] == default:
        return f"{key}: ignored, {_yaml(default)} is its default; today's key is {name}"
    _set(path, key, settings[key], name, translate(settings[key]), today)
    return f"{key}: read as {name}: {'…' if name == 'hub_token' else _yaml(today[name])}"


def _set(path: Path, key: str, value: Any, name: str, meant: Any, today: dict[str, Any]) -> None:
    """today[name] = meant, unless it already has another value."""
    if name in today and today[name] != meant:
        raise UserError(
            f"{path}: {key} is {_yaml(value)}, which means {name}: {_yaml(meant)}, but {name} is {_yaml(today[name])}; "
            f"keep {name} and remove {key}."
        )
    today[name] = meant


def _nest(path: Path, settings: dict[str, Any], key: str, today: dict[str, Any]) -> str:
    if settings[key] is None:
        return f"{key}: ignored, null is its default; today it is a part of accelerator_config"
    whole = today.get("accelerator_config") or {}
    if not isinstance(whole, dict):
        raise UserError(
            f"{path}: {key} and accelerator_config: {whole!r} cannot be combined; move {key} into that file."
        )
    inner = dict(whole)
    _set(path, key, settings[key], key, settings[key], inner)
    today["accelerator_config"] = inner
    return f"{key}: read as accelerator_config: {{{key}: {_yaml(settings[key])}}}"


def _refuse_effect(path: Path, key: str, value: Any) -> str:
    if value not in WITHOUT_EFFECT[key]:
        raise UserError(
            f"{path}: {key} is {value!r}, which changes what is learnt and is not supported by today's libraries; remove it."
        )
    return f"{key}: ignored, {_yaml(value)} changes nothing"


def _warm_up(path: Path, settings: dict[str, Any], today: dict[str, Any]) -> str:
    """A share of the steps is a warmup_steps below 1 today, rounded up as before; a number of steps takes precedence, as before."""
    ratio, steps = settings["warmup_ratio"], today.get("warmup_steps") or 0
    if ratio == 0:
        return "warmup_ratio: ignored, 0 is its default; today's key is warmup_steps"
    if steps > 0:
        return f"warmup_ratio: ignored, warmup_steps: {steps} takes precedence, as in the contract's trainer"
    today["warmup_steps"] = ratio
    return f"warmup_ratio: read as warmup_steps: {ratio}, a share of all steps, rounded up"


def _yaml(value: Any) -> str:
    """A value as the config would spell it."""
    return (
        {None: "null", True: "true", False: "false", "": '""'}.get(value, str(value)) if _plain(value) else str(value)
    )


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | str)
