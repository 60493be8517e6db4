"""Model folders: found in the right order, refused when something is missing, identified by content alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import load_file, save_file

from eval.checkpoints import (
    check_complete,
    computation_of,
    find,
    identify,
    resolve,
    split_list,
    stop_token_ids,
    stored_shapes,
    weight_files,
    weights_sha,
)
from eval.records import UserError

MakeModel = Callable[..., Path]
Damage = Callable[[Path], object]


def change_tensors(folder: Path, **changes: numpy.ndarray | None) -> None:
    """Sets tensors by their full names; None removes one."""
    path = folder / "model.safetensors"
    tensors = load_file(path) | {name: value for name, value in changes.items() if value is not None}
    kept = {name: value for name, value in tensors.items() if name not in changes or changes[name] is not None}
    save_file(kept, path, metadata={"format": "pt"})


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def shard(folder: Path) -> list[Path]:
    """Splits the weights into two files and an index, as transformers does for large models."""
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[:4], "model-00002-of-00002.safetensors": names[4:]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, part in files.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    whole.unlink()
    return [folder / file for file in files]


def cut(path: Path) -> None:
    """What a save that was interrupted leaves: the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# What is wrong -> (how to bring it about, what the sentence must name).
DAMAGES: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), ("has no config.json",)),
    "config cut off": (lambda folder: cut(folder / "config.json"), ("config.json describes no causal language model",)),
    "config is null": (
        lambda folder: (folder / "config.json").write_text("null"),
        ("config.json describes no causal language model",),
    ),
    "config of an unknown architecture": (
        lambda folder: change_config(folder, model_type="lama"),
        ("config.json describes no causal language model", "lama"),
    ),
    "config without heads": (
        lambda folder: change_config(folder, num_attention_heads=0),
        ("config.json describes no causal language model",),
    ),
    "config with text for a size": (
        lambda folder: change_config(folder, hidden_size="big"),
        ("config.json describes no causal language model", "hidden_size", "big"),
    ),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        ("holds no *.safetensors weights", "zero3_save_16bit_model: true"),
    ),
    "weights cut off": (
        lambda folder: cut(folder / "model.safetensors"),
        ("model.safetensors is half written or damaged",),
    ),
    "weights empty": (
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        ("model.safetensors is half written or damaged",),
    ),
    "a tensor missing": (
        lambda folder: change_tensors(folder, **{"model.layers.0.mlp.up_proj.weight": None}),
        ("the weights lack model.layers.0.mlp.up_proj.weight", "zero3_save_16bit_model"),
    ),
    "a tensor of another shape": (
        lambda folder: change_tensors(folder, **{"model.norm.weight": numpy.ones(31, numpy.float32)}),
        ("model.norm.weight has shape [31]", "config.json implies [32]"),
    ),
    "a shard that was never gathered": (
        lambda folder: change_tensors(folder, **{"model.embed_tokens.weight": numpy.ones(0, numpy.float32)}),
        ("model.embed_tokens.weight has shape [0]", "[259, 32]", "gathered"),
    ),
    "an untied output layer missing": (
        lambda folder: change_config(folder, tie_word_embeddings=False),
        ("the weights lack lm_head.weight",),
    ),
    "more layers than weights": (
        lambda folder: change_config(folder, num_hidden_layers=2),
        ("the weights lack model.layers.1.",),
    ),
    "index naming a missing shard": (
        lambda folder: shard(folder)[1].unlink(),
        ("model-00002-of-00002.safetensors is half written or damaged", "No such file"),
    ),
    "one shard cut off": (
        lambda folder: cut(shard(folder)[0]),
        ("model-00001-of-00002.safetensors is half written or damaged",),
    ),
    "index cut off": (
        lambda folder: (shard(folder), cut(folder / "model.safetensors.index.json")),
        ("model.safetensors.index.json is half written or damaged",),
    ),
    "weights of two saves": (
        lambda folder: (
            shutil.copy(folder / "model.safetensors", folder / "kept"),
            shard(folder),
            (folder / "kept").rename(folder / "model.safetensors"),
        ),
        ("of another save; delete the older one",),
    ),
    "index without a map": (
        lambda folder: (folder / "model.safetensors.index.json").write_text("[]"),
        ("model.safetensors.index.json is half written or damaged",),
    ),
    "no tokenizer": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        ("has no tokenizer (tokenizer.json)", "copy the base model's"),
    ),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES)
def test_an_incomplete_checkpoint_is_refused_by_name(
    damage: Damage, named: tuple[str, ...], make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "checkpoint-5")
    damage(folder)
    with pytest.raises(UserError) as refusal:
        identify(folder)
    assert refusal.value.exit_code == 1
    for words in (str(folder), *named):
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


# What is unusual, but loads.
COMPLETE: dict[str, Damage] = {
    "as saved": lambda folder: None,
    "sharded": shard,
    "tied, with the copy stored": lambda folder: change_tensors(
        folder, **{"lm_head.weight": numpy.zeros((259, 32), numpy.float32)}
    ),
    "untied, with its own output layer": lambda folder: (
        change_config(folder, tie_word_embeddings=False),
        change_tensors(folder, **{"lm_head.weight": numpy.zeros((259, 32), numpy.float32)}),
    ),
    "one tensor too many": lambda folder: change_tensors(folder, extra=numpy.zeros(1, numpy.float32)),
}


@pytest.mark.parametrize("variant", COMPLETE.values(), ids=COMPLETE)
def test_a_complete_checkpoint_passes(variant: Damage, make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    variant(folder)
    check_complete(folder)


def test_shapes_are_read_over_all_shards(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    whole = stored_shapes(folder)
    assert whole["model.embed_tokens.weight"] == (259, 32)
    parts = shard(folder)
    assert weight_files(folder) == parts
    assert stored_shapes(folder) == whole


def test_files_that_the_index_does_not_name_are_no_weights(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    parts = shard(folder)
    shutil.copy(parts[0], folder / "left-over.safetensors")
    assert weight_files(folder) == parts


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with checkpoints 100, 9 and 10, and things beside them that are none."""
    folder = tmp_path / "checkpoints" / "demo"
    for name in ("checkpoint-100", "checkpoint-9", "checkpoint-10", "checkpoint-best", "runs", "tmp-checkpoint-20"):
        (folder / name).mkdir(parents=True)
    return folder


def test_a_run_folder_stands_for_its_checkpoints_by_step_number(run: Path) -> None:
    assert [folder.name for folder in find(str(run))] == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]


def test_a_model_folder_stands_for_itself(byte_llama: Path) -> None:
    assert find(str(byte_llama)) == [byte_llama]


# What was asked for, below a folder that holds the run `demo` -> what the sentence must say.
NOT_FOUND = {
    "mistyped run": ("checkpoints/dmeo", ("does not exist", "did you mean", "checkpoints/demo?")),
    "mistyped step": ("checkpoints/demo/checkpoint-90", ("does not exist", "checkpoint-9?")),
    "nothing like it": ("checkpoints/qqqq", ("does not exist; pass a checkpoint, a run folder or a hub id",)),
    "deeper than anything": ("no/such/place", ("does not exist",)),
    "a file": ("model.safetensors", ("is a file; pass the folder that holds config.json",)),
    "an empty folder": ("empty", ("neither config.json nor checkpoint-<step> folders",)),
}


@pytest.mark.parametrize(("name", "said"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_what_is_no_checkpoint_is_refused_with_a_hint(
    name: str, said: tuple[str, ...], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as refusal:
        find(name)
    assert refusal.value.exit_code == 2
    for words in (name, *said):
        assert words in str(refusal.value)


def test_a_hub_id_without_network_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as refusal:
        find("nobody/no-such-model")
    assert refusal.value.exit_code == 2
    assert re.fullmatch(
        r"nobody/no-such-model is no local folder and could not be had from the hub \(.+\); pass a local path\.",
        str(refusal.value),
    )


def test_a_checkpoint_knows_its_run_and_step(make_model: MakeModel, tmp_path: Path) -> None:
    checkpoint = identify(make_model(tmp_path / "demo" / "checkpoint-60"))
    assert (checkpoint.run, checkpoint.step) == ("demo", 60)
    base = identify(make_model(tmp_path / "base"))
    assert (base.run, base.step) == ("base", None)


def test_the_current_folder_has_a_run_and_step_too(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_model(tmp_path / "demo" / "checkpoint-60"))
    checkpoint = identify(Path())
    assert (checkpoint.run, checkpoint.step) == ("demo", 60)


def test_the_weights_sha_follows_content_and_not_the_path(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "a")
    sha = weights_sha(folder)
    assert weights_sha(make_model(tmp_path / "b")) == sha
    assert weights_sha(make_model(tmp_path / "c", shift=1e-3)) != sha
    (folder / "trainer_state.json").write_text("{}")
    assert weights_sha(folder) == sha


def test_the_weights_sha_follows_the_config(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "a")
    sha = weights_sha(folder)
    change_config(folder, rms_norm_eps=1e-5)
    assert weights_sha(folder) != sha


def test_a_checkpoint_named_twice_is_resolved_once(make_model: MakeModel, tmp_path: Path) -> None:
    run = tmp_path / "demo"
    for step in (10, 9):
        make_model(run / f"checkpoint-{step}", shift=step / 100)
    found = resolve([str(run / "checkpoint-10"), str(run), f"{run}/checkpoint-9/"])
    assert [checkpoint.step for checkpoint in found] == [10, 9]
    assert len({checkpoint.weights_sha for checkpoint in found}) == 2


def test_a_model_from_the_hub_keeps_its_name(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = make_model(tmp_path / "snapshots" / "0123abcd")
    monkeypatch.setattr("eval.checkpoints._download", lambda hub_id: copy)
    (found,) = resolve(["nobody/a-model", "nobody/a-model"])
    assert (found.path, found.name, found.run, found.step) == (copy, "nobody/a-model", "nobody/a-model", None)


# What of config.json makes it another model, though the tensors are the same; and what does not.
COMPUTED: tuple[dict[str, Any], ...] = (
    {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}},
    {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    {"rope_theta": 5.0, "rope_parameters": None},
    {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_parameters": None},
    {"rms_norm_eps": 0.01},
    {"hidden_act": "gelu"},
    {"head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 2},
    {"tie_word_embeddings": False},
    {"sliding_window": 16, "use_sliding_window": True},
    {"attention_bias": True},
    {"logit_scale": 0.5, "embedding_multiplier": 12.0},
    {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
    {"quantization_config": {"quant_method": "fp8"}},
    {"a_key_of_tomorrow": 1},
)
LABELS: tuple[dict[str, Any], ...] = (
    {"transformers_version": "4.0"},
    {"_name_or_path": "/elsewhere"},
    {"torch_dtype": "float16"},
    {"use_cache": False},
    {"eos_token_id": 7},
)


@pytest.mark.parametrize("changes", [*COMPUTED, *LABELS], ids=str)
def test_what_the_model_computes_is_told_from_labels(byte_llama: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    other = tmp_path / "other"
    shutil.copytree(byte_llama, other)
    change_config(other, **changes)
    assert (computation_of(other) == computation_of(byte_llama)) == (changes in LABELS)


def test_a_list_in_one_argument_is_taken_apart_unless_it_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make eval CKPT="a b"` hands its variable over letter for letter."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/one", "runs/two", "my model", "it's"):
        (tmp_path / name).mkdir(parents=True)
    cases = {
        "runs/one runs/two": ["runs/one", "runs/two"],
        "runs/*": ["runs/one", "runs/two"],
        "'my model' runs/one owner/model": ["my model", "runs/one", "owner/model"],
        "my model": ["my model"],
        "it's": ["it's"],
        "runs/one runs/three": ["runs/one runs/three"],  # named whole in what follows
        "$(touch x)": ["$(touch x)"],
        "": [""],
    }
    assert {name: split_list(name) for name in cases} == cases


def test_parts_without_their_index_are_refused(byte_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    shutil.copytree(byte_llama, folder)
    shard(folder)
    check_complete(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"2 parts of the weights .* but no model\.safetensors\.index\.json"):
        check_complete(folder)


@pytest.mark.parametrize("stops", ['"1"', "[1, null]", "[1.5]", "true", '{"a": 1}'])
def test_ends_of_an_output_that_are_no_ids_are_refused_with_their_file(tmp_path: Path, stops: str) -> None:
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": {stops}}}')
    with pytest.raises(UserError, match=r"generation_config\.json: eos_token_id is .*; write the id of a token"):
        stop_token_ids(tmp_path)


def test_a_checkpoint_that_training_did_not_finish_is_refused(byte_llama: Path, tmp_path: Path) -> None:
    """Its weights may be whole: what says how to ask it is written last."""
    folder = tmp_path / "run" / "checkpoint-3"
    shutil.copytree(byte_llama, folder)
    assert identify(folder).step == 3, "of another trainer, which writes no run.json"
    (folder.parent / "train.log").touch()
    with pytest.raises(UserError, match=r"checkpoint-3 is unfinished \(it has no run\.json\).*RESUME=1"):
        identify(folder)
    (folder / "run.json").write_text("{}")
    assert identify(folder).step == 3
