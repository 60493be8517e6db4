"""Weights that cannot be trusted are refused by name: other formats, values that are no numbers, files outside the folder."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from eval.checkpoints import find, identify
from eval.records import UserError
from eval.weights import not_finite

MakeModel = Callable[..., Path]
NORM = "model.norm.weight"


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def put(value: float, dtype: torch.dtype = torch.float32) -> Callable[[Path], None]:
    """One value of one tensor, all of a type."""

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.to(dtype) for name, tensor in tensors.items()})
        tensors[NORM][31] = value

    return lambda folder: change(folder, edit)


def index(folder: Path, file: Any) -> None:
    (folder / "model.safetensors").rename(folder.parent / "away.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {NORM: file}}))


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_pickles(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    shards = {name: f"pytorch_model-0000{1 + (name == NORM)}-of-00002.bin" for name in tensors}
    for shard in set(shards.values()):
        torch.save({name: tensor for name, tensor in tensors.items() if shards[name] == shard}, folder / shard)
    whole = {"metadata": {"total_size": 1}, "weight_map": shards}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(whole))
    (folder / "model.safetensors").unlink()


def instead(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name) and None


def shards_of_zero(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "global_step12").mkdir()
    (folder / "latest").write_text("global_step12")


def config(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def quantize(folder: Path) -> None:
    config(quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})(folder)
    change(folder, lambda tensors: tensors.pop("model.layers.0.mlp.up_proj.weight"))


def whole_numbers(folder: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change(folder, lambda tensors: tensors.update({name: tensors[name].to(torch.int8)}))


NOISE = "so every output would be noise and score as wrong"
DAMAGES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "NaN": (put(float("nan")), (f"model.safetensors: {NORM} holds NaN, {NOISE}",)),
    "infinity": (put(float("inf")), (f"{NORM} holds infinity, {NOISE}",)),
    "minus infinity": (put(float("-inf")), (f"{NORM} holds infinity",)),
    "NaN, bfloat16": (put(float("nan"), torch.bfloat16), (f"{NORM} holds NaN",)),
    "infinity, float16": (put(float("inf"), torch.float16), (f"{NORM} holds infinity",)),
    "NaN, float64": (put(float("nan"), torch.float64), (f"{NORM} holds NaN",)),
    "NaN, float8": (put(float("nan"), torch.float8_e4m3fn), (f"{NORM} holds NaN",)),
    "whole numbers": (whole_numbers, ("up_proj.weight is int8, quantized without a quantization_config",)),
    "quantized": (quantize, ("holds quantized weights (bitsandbytes)", "evaluate the model that they were made from")),
    "a pickle": (as_pickle, ("pytorch_model.bin is weights as pickles", "python -c ")),
    "pickles": (as_pickles, ("pytorch_model-00001-of-00002.bin is weights as pickles", "python -c ")),
    "GGUF": (instead("model-q8.gguf"), ("model-q8.gguf is weights as GGUF", "gguf_file='model-q8.gguf'")),
    "Meta's": (instead("consolidated.00.pth"), ("consolidated.00.pth is weights in the format of Meta's own download",)),
    "Flax": (instead("flax_model.msgpack"), ("flax_model.msgpack is weights of Flax", "from_flax=True")),
    "TensorFlow": (instead("tf_model.h5"), ("tf_model.h5 is weights of TensorFlow", "from_tf=True")),
    "a .pt": (instead("weights.pt"), ("weights.pt is pickled weights without a standard layout",)),
    "DeepSpeed": (shards_of_zero, ("global_step12 is ZeRO shards of DeepSpeed", "python -m deepspeed.utils.zero_to_fp32 ")),
    "no tensors": (lambda folder: change(folder, dict.clear), ("model.safetensors holds no tensors; save again",)),
    "an index that climbs": (
        lambda folder: index(folder, "../away.safetensors"),
        ("model.safetensors.index.json names '../away.safetensors', which is no file of its own folder",),
    ),
    "an index with a path": (
        lambda folder: index(folder, str(folder.parent / "away.safetensors")),
        ("away.safetensors', which is no file of its own folder",),
    ),
    "an index of numbers": (lambda folder: index(folder, 7), ("index.json is half written or damaged",)),
    "an index of lists": (lambda folder: index(folder, [1]), ("index.json is half written or damaged",)),
    "a folder for weights": (
        lambda folder: ((folder / "model.safetensors").unlink(), (folder / "model.safetensors").mkdir()),
        ("model.safetensors is half written or damaged",),
    ),
    "a link to nothing": (
        lambda folder: ((folder / "model.safetensors").unlink(), (folder / "model.safetensors").symlink_to("gone")),
        ("model.safetensors is half written or damaged",),
    ),
    "config is a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        ("config.json describes no causal language model",),
    ),
    "config holds NaN": (config(rms_norm_eps=float("nan")), ("config.json describes", "it holds NaN for a number")),
    "config is a folder": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        ("has no config.json",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_weights_that_cannot_be_trusted_are_refused_by_name(
    damage: Callable[[Path], Any], said: tuple[str, ...], make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "checkpoint-5")
    damage(folder)
    with pytest.raises(UserError) as refused:
        identify(folder)
    assert refused.value.exit_code == 1
    for words in (str(folder), *said):
        assert words in str(refused.value)
    assert "\n" not in str(refused.value) and "ZeRO-3" not in str(refused.value)


UNUSUAL: dict[str, Callable[[Path], Any]] = {
    "bfloat16": put(1.0, torch.bfloat16),
    "float64": put(1.0, torch.float64),
    "float8": put(1.0, torch.float8_e4m3fn),
    "no architectures": config(architectures=None),
    "the largest number": put(torch.finfo(torch.float32).max),
    "a link to a file": lambda folder: (
        (folder / "model.safetensors").rename(folder.parent / "blob"),
        (folder / "model.safetensors").symlink_to("../blob"),
    ),
    "whole numbers that are no weights": lambda folder: change(
        folder, lambda tensors: tensors.update({"steps": torch.tensor([3])})
    ),
}


@pytest.mark.parametrize("variant", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_only_unusual_passes(variant: Callable[[Path], Any], make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    variant(folder)
    assert identify(folder).path == folder


@pytest.mark.parametrize("make", [as_pickle, as_pickles])
def test_the_command_that_is_given_converts_pickles(
    make: Callable[[Path], None], make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "my model")
    before = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    make(folder)
    with pytest.raises(UserError) as refused:
        identify(folder)
    found = re.search(r"convert it once: (python .+\")\.$", str(refused.value))
    assert found
    subprocess.run([sys.executable, *shlex.split(found[1])[1:]], check=True, capture_output=True)
    after = AutoModelForCausalLM.from_pretrained(identify(folder).path).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_folder_of_nothing_but_other_formats_says_so(tmp_path: Path) -> None:
    for name in ("consolidated.00.pth", "params.json"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"has no config\.json, and consolidated\.00\.pth is weights in the format"):
        find(str(tmp_path))
    shutil.rmtree(tmp_path)
    (tmp_path / "global_step5").mkdir(parents=True)
    with pytest.raises(UserError, match="global_step5 is ZeRO shards of DeepSpeed"):
        find(str(tmp_path))


@pytest.mark.parametrize("place", [0, 70, 99])
def test_blocks_of_a_converted_type_are_all_looked_at(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.weights.BLOCK_ELEMENTS", 32)
    tensor = torch.ones(10, 10)
    tensor.view(-1)[place] = float("nan")
    assert not_finite(tensor.to(torch.float8_e5m2)) == "NaN"
    assert not_finite(torch.ones(0, 4)) == not_finite(torch.ones(10, 10)) == ""
