"""What is certainly garbage goes when asked; predictions go only by name, or where their weights are nowhere any more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from eval import adapters, gc, store
from eval.records import UserError
from eval.report import load_evaluations
from tests.eval.report_folder import make_summary, write_evaluation


@pytest.fixture
def reports(tmp_path, make_model, cli, use_engine, write_benchmark, monkeypatch) -> Path:
    """Three models scored on one benchmark each: kept/, gone/ and retrained/ are what became of them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    use_engine()
    for shift, name in enumerate(("kept", "gone", "retrained")):
        make_model(Path(name), shift / 4)
        write_benchmark(name, {f"{name}?": "4"})
        assert score(cli, name).code == 0
    shutil.rmtree("gone")
    change(Path("retrained"))
    return Path("reports")


def score(cli, *names, benchmark=None):
    options = ["--benchmark", benchmark or names[0], "--benchmarks-dir", "benchmarks", "--max-tokens", "64"]
    return cli("run", *names, *options)


def change(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def evaluated(reports: Path) -> set[str]:
    """The runs of the finished evaluations."""
    return {evaluation.summary["run"] for evaluation in load_evaluations(reports)}


def ended_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_by_default_no_evaluation_is_listed_and_none_goes(reports, cli):
    (reports / "benchmarks" / "unused-0123456789ab.jsonl").write_text("{}\n")
    before = sorted(reports.rglob("*"))
    listed = cli("gc")
    assert listed.code == 0 and "unused-0123456789ab.jsonl" in listed.out and "pass --delete" in listed.out
    assert "3 evaluations stay: " in listed.out and " MB. They are listed only when they are named" in listed.out
    assert sorted(reports.rglob("*")) == before
    assert "deleted 1" in cli("gc", "--delete").out
    assert evaluated(reports) == {"kept", "gone", "retrained"}
    assert len(list((reports / "benchmarks").glob("*.jsonl"))) == 3
    assert "nothing to delete" in cli("gc", "--delete").out


def test_weights_gone_lists_first_then_deletes_with_the_problems_that_only_they_used(reports, cli):
    listed = cli("gc", "--weights-gone")
    words = " ".join(listed.out.split())
    assert listed.code == 0 and "is gone" in words and "other weights" in words and "together" in words
    assert evaluated(reports) == {"kept", "gone", "retrained"}
    done = cli("gc", "--weights-gone", "--delete")
    assert "deleted 4" in done.out and "gone on gone" in done.out and "1 evaluation stays" in done.out
    assert evaluated(reports) == {"kept"}
    assert [path.name.split("-")[0] for path in (reports / "benchmarks").glob("*.jsonl")] == ["kept"]


def test_called_from_another_folder_it_judges_alike(reports, cli, monkeypatch, tmp_path):
    (tmp_path / "elsewhere" / "kept").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "deleted 4" in cli("gc", "--weights-gone", "--delete", "--reports", "../reports").out
    assert evaluated(tmp_path / "reports") == {"kept"}


def test_a_run_that_was_moved_and_used_again_stays(reports, cli):
    Path("kept").rename("moved")
    assert "kept" in {Path(row.reason.split(" on ")[0]).name for row in gc.weights_gone(reports)}
    assert score(cli, "moved", benchmark="kept").code == 0
    assert {row.reason.split(" on ")[0] for row in gc.weights_gone(reports)} == {"gone", "retrained"}


@pytest.mark.parametrize(
    ("spelled", "goes"),
    [
        ("kept", "kept"),
        ("./kept/", "kept"),
        ("{here}/kept", "kept"),
        ("{key}", "kept"),
        ("{prefix}", "kept"),
        ("reports/{key}", "kept"),
        ("{here}/reports/{key}/", "kept"),
        ("gone", "gone"),
        ("{here}/gone", "gone"),
    ],
)
def test_what_is_named_goes_and_nothing_else(reports, cli, spelled, goes):
    (key,) = (e.folder.name for e in load_evaluations(reports) if e.summary["run"] == "kept")
    name = spelled.format(here=Path.cwd(), key=key, prefix=key[:8])
    listed = cli("gc", name)
    assert listed.code == 0 and f"{goes} on {goes}" in listed.out and "nothing is deleted yet" in listed.out
    assert evaluated(reports) == {"kept", "gone", "retrained"}
    assert "deleted 2" in cli("gc", name, "--delete").out
    assert evaluated(reports) == {"kept", "gone", "retrained"} - {goes}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keptt"], "keptt is no evaluation in reports (did you mean kept?)"),
        (["kept", "nothing"], "nothing is no evaluation in reports"),
        (["kept", "--weights-gone"], "--weights-gone picks the evaluations by itself"),
        (["--reports", "none"], "none is no folder"),
        (["ffff"], "ffff is no evaluation in reports"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_goes(reports, cli, arguments, said):
    done = cli("gc", *arguments, "--delete")
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
    assert evaluated(reports) == {"kept", "gone", "retrained"}


def test_a_run_stands_for_all_its_checkpoints_and_one_of_two_must_be_named(reports, cli, make_model):
    for number, run in enumerate(("a/run", "b/run")):
        for step in (1, 2):
            make_model(Path(run) / f"checkpoint-{step}", 2 + number + step / 8)
        assert score(cli, run, benchmark="kept").code == 0
    refused = cli("gc", "run", "--delete")
    assert refused.code == 2 and "run stands for 2 models; name one of them: a/run, b/run." in refused.err
    assert "deleted 2" in cli("gc", "a/run", "--delete").out
    assert "deleted 1" in cli("gc", "b/run step 1", "--delete").out
    assert sorted(str(e.summary["step"]) for e in load_evaluations(reports) if "run" in e.summary["run"]) == ["2"]


def test_an_unfinished_evaluation_is_kept_and_can_be_named(reports, cli):
    (gone,) = (e.folder for e in load_evaluations(reports) if e.summary["run"] == "gone")
    for name in ("DONE", "summary.json"):
        (gone / name).unlink()
    assert "1 of them unfinished" in cli("gc", "--delete").out
    assert gone.is_dir()
    assert "unfinished" in cli("gc", "gone").out
    assert cli("gc", "gone", "--delete").code == 0 and not gone.exists()


def test_an_evaluation_that_is_being_written_stays(reports, cli):
    (row,) = gc.named(reports, ["gone"])
    with store.locked(row.path):
        done = cli("gc", "gone", "--delete")
    assert done.code == 1 and "is being written by another evaluation" in done.err
    assert (row.path / "DONE").exists()


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"checkpoint": 1, "benchmark": []}'])
def test_a_damaged_manifest_costs_no_problems_and_no_evaluation(reports, cli, damage):
    (kept,) = (e.folder for e in load_evaluations(reports) if e.summary["run"] == "kept")
    (kept / "manifest.json").write_text(damage)
    problems = sorted((reports / "benchmarks").iterdir())
    assert cli("gc", "--delete").code == 0
    assert cli("gc", "--weights-gone", "--delete").code == 0
    assert kept.is_dir() and next(path for path in problems if path.name.startswith("kept")).is_file()
    assert "an evaluation whose manifest cannot" in " ".join(cli("gc", kept.name).out.split())
    assert cli("gc", kept.name, "--delete").code == 0 and not kept.exists()


# Leftovers


def leftover_names(process: int) -> list[str]:
    return [
        f"benchmarks/.x.jsonl.{process}.partial",
        f".index.html.{process}.tmp",
        f"0123456789abcdef/pages/.outcomes.js.{process}.tmp",
        f"0123456789abcdef/.manifest.json.{process}.partial",
        f"ablations/one/.cells.json.{process}.partial",
        f"export/.items.parquet.{process}.tmp",
    ]


def test_leftovers_of_every_writer_are_found(tmp_path, cli):
    torn = [tmp_path / name for name in leftover_names(ended_process())]
    torn += [tmp_path / "export" / ".items.csv.tmp", tmp_path / ".gone.partial" / "predictions.jsonl"]
    for path in torn:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("torn")
    assert len(gc.certain(tmp_path)) == len(torn)
    assert f"deleted {len(torn)}" in cli("gc", "--delete", "--reports", tmp_path).out
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_writer_that_is_still_at_it_keeps_its_file(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for name in (*leftover_names(other.pid), *leftover_names(os.getpid())):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("half")
        assert gc.certain(tmp_path) == []
        other.communicate(b"\n")
    assert {row.path for row in gc.certain(tmp_path)} == {tmp_path / name for name in leftover_names(other.pid)}


def test_a_number_that_was_given_again_is_no_writer(tmp_path):
    path = tmp_path / f".index.html.{os.getpid()}.tmp"
    path.write_text("older than this process")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert [row.path for row in gc.certain(tmp_path)] == [path]


def test_what_lies_in_an_evaluation_that_is_held_stays(tmp_path):
    folder = write_evaluation(tmp_path, make_summary(15, 24), size=120)
    (folder / f".predictions.jsonl.{ended_process()}.partial").write_text("half")
    with store.locked(folder):
        assert gc.certain(tmp_path) == []
    assert len(gc.certain(tmp_path)) == 1


def test_a_link_is_removed_and_what_it_leads_to_is_not(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / ".x.partial").symlink_to(tmp_path / "precious")
    rows = gc.certain(tmp_path / "reports")
    gc.delete(rows)
    assert (tmp_path / "precious" / "file").read_text() == "kept" and len(rows) == 1
    assert not (tmp_path / "reports" / ".x.partial").is_symlink()


# Where weights are


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "lora" / "checkpoint-2"
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    for path in tiny_llama.glob("*token*"):
        shutil.copy2(path, folder)
    return folder


def forget(manifest: Path, *names: str) -> None:
    """Leaves what an earlier version wrote."""
    told = json.loads(manifest.read_text())
    for name in names:
        del told["checkpoint"][name]
    manifest.write_text(json.dumps(told))


def test_an_adapter_is_looked_for_where_it_is_and_not_where_it_was_merged(reports, cli, adapter):
    assert score(cli, "lora", benchmark="kept").code == 0
    (manifest,) = (e.folder / "manifest.json" for e in load_evaluations(reports) if e.summary["run"] == "lora")

    def gone() -> bool:
        return manifest.parent in {row.path for row in gc.weights_gone(reports)}

    assert not gone() and cli("compare", "lora", "kept", "--benchmark", "kept").code == 0
    shutil.rmtree(adapters.merged_folder(adapter))  # made again when it is needed
    assert not gone()
    saved = manifest.read_text()
    forget(manifest, "folder", "adapter_sha")
    assert not gone(), "an earlier version noted the merged weights alone, so it cannot be told"
    manifest.write_text(saved)
    partial = adapter.parent / "merged" / f".checkpoint-2.{ended_process()}.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_text("half")
    assert [row.path for row in gc.certain(reports)] == [partial]
    tensors = load_file(adapter / adapters.WEIGHTS)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, adapter / adapters.WEIGHTS)
    assert gone(), "another adapter by now"
    shutil.rmtree(adapter)
    assert gone()


def test_a_relative_path_of_an_earlier_version_is_not_judged(reports):
    for manifest in reports.glob("*/manifest.json"):
        forget(manifest, "folder")
    assert gc.weights_gone(reports) == []


def test_a_model_of_the_hub_is_taken_to_be_there(tmp_path):
    summary = make_summary(None, 3, run="nobody/a-model", checkpoint="nobody/a-model")
    write_evaluation(tmp_path, summary, size=120)
    assert gc.weights_gone(tmp_path) == []


def test_what_cannot_be_read_is_not_gone(reports):
    (Path("kept") / "model.safetensors.index.json").write_text("{")
    assert {row.reason.split(" on ")[0] for row in gc.weights_gone(reports)} == {"gone", "retrained"}


def test_a_deletion_that_is_cut_off_leaves_no_result(reports, monkeypatch):
    (row,) = gc.named(reports, ["gone"])
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda path: (_ for _ in ()).throw(UserError("killed")))
        with pytest.raises(UserError, match="killed"):
            gc.delete([row])
    assert evaluated(reports) == {"kept", "retrained"}
    (left,) = reports.glob(".*.partial")
    left.rename(left.with_name(f".{row.path.name}.{ended_process()}.partial"))
    assert any(one.path.name.startswith(f".{row.path.name}") for one in gc.certain(reports))
