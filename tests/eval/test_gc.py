"""What nothing refers to is listed with its reason, and goes only when asked."""

import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from eval import gc, store
from eval.records import UserError


@pytest.fixture
def reports(tmp_path, make_model, cli, use_engine, write_benchmark, monkeypatch) -> Path:
    """Three models scored on one benchmark each: kept/, gone/ and retrained/ are what became of them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    use_engine()
    for shift, name in enumerate(("kept", "gone", "retrained")):
        folder = make_model(Path(name), shift / 4)
        write_benchmark(name, {f"{name}?": "4"})
        assert cli("run", name, "--benchmark", name, "--benchmarks-dir", "benchmarks", "--max-tokens", "64").code == 0
    shutil.rmtree("gone")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return Path("reports")


def test_what_is_listed_and_why(reports):
    (reports / "benchmarks" / ".x.jsonl.1.partial").write_text("torn")
    rows = gc.unreferenced(reports)
    assert sorted(row.reason for row in rows) == [
        "gone is gone",
        "left by a write that was cut off",
        "no evaluation that stays uses it",
        "no evaluation that stays uses it",
        "retrained holds other weights by now",
    ]
    assert all(row.size_bytes > 0 for row in rows)


def test_nothing_goes_without_being_asked(reports, cli):
    before = sorted(reports.rglob("*"))
    listed = cli("gc")
    assert listed.code == 0 and "gone is gone" in listed.out and "pass --delete" in listed.out
    assert sorted(reports.rglob("*")) == before
    assert "deleted 4" in cli("gc", "--delete").out
    (left,) = reports.glob("*/DONE")
    assert store.read_object(left.parent / "summary.json")["run"] == "kept"
    assert "nothing to delete" in cli("gc").out


def test_an_evaluation_that_is_being_written_stays(reports):
    rows = [row for row in gc.unreferenced(reports) if row.reason == "gone is gone"]
    with store.locked(rows[0].path), pytest.raises(UserError, match="is being written by another evaluation"):
        gc.delete(rows)
    assert (rows[0].path / "DONE").exists()


def test_a_model_from_the_hub_is_taken_to_be_there():
    assert gc._why_unreferenced({"path": "nobody/a-model", "run": "nobody/a-model", "weights_sha": "0"}, {}) == ""
