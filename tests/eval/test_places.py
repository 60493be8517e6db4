"""Which model is which: by weights and full path, however it was spelled, moved, copied or trained again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval import store
from eval.checkpoints import resolve
from eval.report import load_evaluations, make_sections, write_report
from eval.report.scalars import write_scalars
from tests.eval.report_folder import Page

Cli = Callable[..., Any]


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_engine: Any, write_benchmark: Callable[..., Path]
) -> Path:
    """The working directory, with a benchmark of two sums; half of the answers are right."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", {"2 + 2?": "4", "1 + 1?": "2"})
    use_engine()
    return tmp_path


@pytest.fixture
def scored(place: Path, cli: Cli) -> Callable[..., Any]:
    """scored(name, …): `python -m eval run` on those models from the present directory, into the same reports."""

    def score(*names: str) -> Any:
        options = ["--benchmark", "sums", "--benchmarks-dir", place / "benchmarks", "--max-tokens", "64"]
        done = cli("run", *names, *options, "--reports", place / "reports")
        assert done.code == 0, done.err
        return done

    return score


def rows(place: Path) -> list[tuple[str, int | None, int]]:
    """(label, step, right answers) of every row of the store's one section."""
    (section,) = make_sections(load_evaluations(place / "reports"))
    return [(row.label, row.summary["step"], row.summary["statuses"]["correct"]) for row in section.group.rows]


def labels(place: Path) -> list[str]:
    return [label for label, _, _ in rows(place)]


def two_runs(place: Path, make_model: Callable[..., Path]) -> None:
    for number, parent in enumerate(("exp1", "exp2")):
        for step in (1, 2):
            make_model(place / parent / "run" / f"checkpoint-{step}", shift=(2 * number + step) / 8)


def test_two_runs_of_one_name_are_two_everywhere(place, make_model, scored, cli):
    two_runs(place, make_model)
    shown = scored("exp1/run", "exp2/run").err
    expected = [f"exp{n}/run step {step}" for n in (1, 2) for step in (1, 2)]
    assert labels(place) == expected
    assert all(label in shown for label in expected), "on the terminal"
    index = Page(write_report(place / "reports")).text
    assert "Superseded" not in index
    assert re.findall(r'<span class="run run-\d">(.*?)</span>', index) == ["exp1/run", "exp2/run"]
    assert index.count('class="curve"') >= 2 * 2, "a line for each run, in both drawings"
    assert all(label in (place / "reports" / "ledger.html").read_text() for label in expected)
    assert all(label in (place / "reports" / "report.md").read_text() for label in expected)
    assert cli("export", "csv", "tensorboard").code == 0
    told = list(csv.DictReader((place / "reports" / "export" / "summaries.csv").open()))
    assert [(row["run"], row["label"]) for row in told] == [(label[:8], label) for label in expected]
    assert {row["folder"] for row in csv.DictReader((place / "reports" / "export" / "items.csv").open())} == {
        str(place / parent / "run" / f"checkpoint-{step}") for parent in ("exp1", "exp2") for step in (1, 2)
    }
    for parent in ("exp1", "exp2"):
        assert len(list((place / parent / "run" / "runs" / "accuracy").glob("events*"))) == 1


def test_scalars_of_runs_that_are_not_here_have_a_folder_each(place, make_model, scored):
    two_runs(place, make_model)
    scored("exp1/run", "exp2/run")
    for parent in ("exp1", "exp2"):
        shutil.rmtree(parent)
    found = write_scalars(make_sections(load_evaluations(place / "reports")), Path("out"))
    assert found == [Path("out/tensorboard", parent, "run/accuracy") for parent in ("exp1", "exp2")]


def test_models_of_one_name_are_two_rows_with_one_curve_less(place, make_model, scored):
    for number, run in enumerate(("runA", "runB")):
        make_model(place / run / "final", shift=number / 4 + 0.25)
    scored("runA/final", "runB/final")
    assert labels(place) == ["runA/final", "runB/final"]


def test_runs_that_were_typed_alike_from_two_folders_are_two(place, make_model, scored, cli, monkeypatch):
    two_runs(place, make_model)
    for parent in ("exp1", "exp2"):
        monkeypatch.chdir(place / parent)
        scored("run")
    assert labels(place) == [f"exp{n}/run step {step}" for n in (1, 2) for step in (1, 2)]
    names = {evaluation.summary["checkpoint"] for evaluation in load_evaluations(place / "reports")}
    assert names == {str(place / p / "run" / f"checkpoint-{s}") for p in ("exp1", "exp2") for s in (1, 2)}
    done = cli("compare", "exp1/run", "exp2/run", "--reports", place / "reports")
    assert done.code == 0 and "exp1/run/checkpoint-2" in done.out and "exp2/run/checkpoint-2" in done.out


def test_every_spelling_of_a_folder_is_the_same_model(place, make_model, scored):
    make_model(place / "real" / "run" / "checkpoint-1", shift=0.5)
    make_model(place / "real" / "base")
    (place / "link").symlink_to("real/run")
    (place / "best").symlink_to("real/run/checkpoint-1")
    spelled = ["real/run", "real/run/", "./real/../real/run/checkpoint-1", str(place / "real/run"), "link", "best"]
    assert [found.step for found in resolve(spelled)] == [1]
    for name in spelled:
        scored(name)
    scored("real/base/")
    assert rows(place) == [("base", None, 1), ("step 1", 1, 1)]
    (checkpoint,) = [e for e in load_evaluations(place / "reports") if e.summary["step"]]
    assert [p.folder for p in checkpoint.places] == [str(place / "real/run/checkpoint-1")]


def test_a_checkpoint_that_is_a_link_into_a_store_of_contents_stays_in_its_run(place, make_model):
    blob = make_model(place / "blobs" / "0a1b")
    (place / "run").mkdir()
    (place / "run" / "checkpoint-7").symlink_to(blob)
    (found,) = resolve(["run"])
    assert (found.run, found.step, found.folder) == ("run", 7, place / "run" / "checkpoint-7")


def test_a_run_that_was_trained_again_supersedes_what_it_was(place, make_model, scored):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    scored("run")
    shutil.rmtree("run")
    make_model(place / "run" / "checkpoint-1", shift=0.5)
    scored("run")
    assert len(load_evaluations(place / "reports")) == 2
    assert labels(place) == ["step 1"]
    assert "Superseded by a newer evaluation" in Page(write_report(place / "reports")).text


def test_what_is_used_again_is_the_newest_even_if_it_was_made_first(place, make_model, scored):
    first = make_model(place / "run" / "checkpoint-1", shift=0.25)
    scored("run")
    old = load_evaluations(place / "reports")[0].folder.name
    first.rename("kept")
    make_model(first, shift=0.5)
    scored("run")
    shutil.rmtree(first)
    Path("kept").rename(first)
    scored("run")
    (section,) = make_sections(load_evaluations(place / "reports"))
    assert [e.folder.name for e in section.current] == [old] and len(section.superseded) == 1


def test_a_run_that_was_moved_is_shown_where_it_is(place, make_model, scored, cli):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    make_model(place / "base")
    scored("run", "base")
    Path("run").rename("run2")
    assert "reuse" not in scored("run2").err
    assert {e.summary["run"] for e in load_evaluations(place / "reports")} == {"run2", "base"}
    make_model(place / "run" / "checkpoint-1", shift=0.5)
    scored("run")
    assert labels(place) == ["base", "run step 1", "run2 step 1"], "what took its place supersedes nothing"
    assert cli("compare", "run2 step 1", "run step 1").code == 0


def test_a_run_that_was_copied_keeps_its_name_until_the_copy_is_all_there_is(place, make_model, scored, cli):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    make_model(place / "base")
    scored("run", "base")
    shutil.copytree("run", "copy")
    scored("copy")
    assert labels(place) == ["base", "step 1"]
    assert {e.summary["run"] for e in load_evaluations(place / "reports")} == {"run", "base"}
    assert cli("compare", "base", "copy").code == 0
    shutil.rmtree("run")
    make_model(place / "run" / "checkpoint-1", shift=0.75)
    scored("run")
    assert labels(place) == ["base", "copy step 1", "run step 1"]


def test_the_last_model_of_a_run_gives_its_score_to_the_checkpoint(place, make_model, scored):
    make_model(place / "run" / "final", shift=0.25)
    scored("run/final")
    shutil.copytree("run/final", "run/checkpoint-1")
    scored("run")
    assert labels(place) == ["step 1"]


def test_an_unfinished_evaluation_goes_on_at_the_new_place(place, make_model, scored):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    scored("run")
    (done,) = place.glob("reports/*/DONE")
    for name in ("DONE", "summary.json"):
        (done.parent / name).unlink()
    Path("run").rename("run2")
    scored("run2")
    (found,) = load_evaluations(place / "reports")
    assert (found.summary["run"], found.places[0].folder) == ("run2", str(place / "run2/checkpoint-1"))


def forget_folders(place: Path) -> None:
    """Leaves what an earlier version stored: a path as it was typed, in manifests and summaries."""
    for path in place.glob("reports/*/manifest.json"):
        manifest, summary = (store.read_object(path.with_name(name)) for name in ("manifest.json", "summary.json"))
        del manifest["checkpoint"]["folder"]
        del summary["folder"]
        path.write_text(json.dumps(manifest))
        path.with_name("summary.json").write_text(json.dumps(summary))


def test_a_store_of_an_earlier_version_opens_and_its_runs_go_on(place, make_model, scored, monkeypatch):
    two_runs(place, make_model)
    for parent in ("exp1", "exp2"):
        scored(f"{parent}/run/checkpoint-1")
    forget_folders(place)
    assert labels(place) == ["exp1/run step 1", "exp2/run step 1"]
    monkeypatch.chdir(place / "exp1")
    scored("run")
    assert labels(place) == ["exp1/run step 1", "exp1/run step 2", "exp2/run step 1"]


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"folder": 3}', '{"path": null, "folder": [], "run": 1, "step": "x", "seen": 2}']
)
def test_a_damaged_note_is_left_out(place, make_model, scored, damage):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    scored("run")
    scored("run")
    (note,) = place.glob("reports/*/places/*.json")
    note.write_text(damage)
    scored("run")
    assert labels(place) == ["step 1"]


@pytest.mark.parametrize("name", ["[red]x[/red]", "a\x1b[31mb", "a\nb", "step 1", "-x", "a b", "ünï", "<b>"])
def test_any_name_of_a_run_can_be_shown_and_compared(place, make_model, scored, cli, name):
    for number, parent in enumerate(("p", "q")):
        make_model(place / parent / name / "checkpoint-1", shift=number / 4 + 0.25)
        scored(f"{parent}/{name}")
    first, second = labels(place)
    assert first != second and first.isprintable() and second.isprintable()
    write_report(place / "reports")
    done = cli("compare", first, second)
    assert done.code == 0, done.err
    assert "\x1b" not in done.out


# What compare takes


def test_labels_are_taken_from_any_folder(place, make_model, scored, cli, monkeypatch):
    two_runs(place, make_model)
    make_model(place / "base")
    scored("exp1/run", "exp2/run", "base")
    elsewhere = place / "elsewhere"
    (elsewhere / "exp1" / "run").mkdir(parents=True)  # something else of that name
    make_model(elsewhere / "base", shift=0.9)
    asked = [*labels(place), "exp2/run", "exp1/run", "exp1/run/checkpoint-1", "run/checkpoint-1", "exp2/run/"]
    for folder in (place, elsewhere):
        monkeypatch.chdir(folder)
        for name in asked:
            other = "exp2/run step 2" if name != "exp2/run step 2" and "exp2/run" not in name else "exp1/run step 1"
            done = cli("compare", name, other, "--reports", place / "reports")
            if name == "run/checkpoint-1":
                assert done.code == 2 and "stands for 2 models" in done.err
            else:
                assert done.code == 0, (folder, name, done.err)


@pytest.mark.parametrize(
    ("asked", "choices"),
    [
        ("run", "exp1/run, exp2/run"),
        ("run/checkpoint-2", "exp1/run/checkpoint-2, exp2/run/checkpoint-2"),
        ("checkpoint-2", "exp1/run/checkpoint-2, exp2/run/checkpoint-2"),
        ("run/", "exp1/run, exp2/run"),
    ],
)
def test_a_name_of_several_gets_one_sentence_with_the_choices(place, make_model, scored, cli, asked, choices):
    two_runs(place, make_model)
    scored("exp1/run", "exp2/run")
    done = cli("compare", asked, "exp1/run")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {asked} stands for 2 models; name one of them: {choices}.\n"
    for choice in choices.split(", "):
        assert cli("compare", choice, "exp1/run step 1").code == 0


def test_a_short_label_means_the_same_in_the_whole_store(place, make_model, scored, cli):
    two_runs(place, make_model)
    make_model(place / "base")
    scored("base", "exp1/run")
    assert labels(place) == ["base", "step 1", "step 2"]
    shown = scored("exp2/run").err
    assert "exp2/run step 1" in shown, "another run is stored, so the step alone would say too little"
    assert cli("compare", "base", "exp2/run step 2").code == 0


def test_a_folder_that_was_trained_again_is_not_taken_for_what_it_was(place, make_model, scored, cli):
    make_model(place / "run" / "checkpoint-1", shift=0.25)
    make_model(place / "base")
    scored("run", "base")
    shutil.rmtree("run")
    make_model(place / "run" / "checkpoint-1", shift=0.5)
    done = cli("compare", "base", "run")
    assert done.code == 2 and "has no evaluation in reports with the weights it has now" in done.err
