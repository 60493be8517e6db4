"""Ablations: cells are found again by their content, resumed after any kill, and never mixed; arms may bring a template."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from data import processes
from data.ablate import ablate, make_plan, parse_budget, tell_appended
from data.arms import Arm, leave_one_out, read_arm, read_arms
from data.budget import with_budget
from data.cells import Cell, Scoring
from data.content import benchmark_files
from data.recipe import read_recipe
from data.steps import run_cell, scores_of
from eval.files import read_mapping
from eval.records import UserError
from tests.data.fake_project import write_data, write_project

ROOT = Path(__file__).resolve().parents[2]
SILENT = Console(quiet=True)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(processes, "POLL_S", 0.01)
    monkeypatch.setenv("TRACE", str(tmp_path / "trace.jsonl"))
    return write_project(tmp_path / "project")


def arguments(*recipes: str, **changes: object) -> argparse.Namespace:
    from data.__main__ import _parser

    options = {"--benchmark": "b", "--benchmarks-dir": "tests", "--config": "config.yaml"} | changes
    flags = [str(text) for name, value in options.items() for text in ((name, value) if value is not True else (name,))]
    return _parser().parse_args(["ablate", *recipes, *flags])


def plan_of(project: Path, *recipes: str, seeds: tuple[int, ...] = (0, 1), **changes: object):
    args = arguments(*recipes, **changes)
    args.seeds = list(seeds)
    return make_plan(args, project)


CHECKS = ("preflight", "check")


def everything_traced(project: Path) -> list[dict]:
    path = project.parent / "trace.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def traced(project: Path) -> list[dict]:
    """All but what only looks: the checks of arms that come before the first training."""
    return [line for line in everything_traced(project) if line["step"] not in CHECKS]


def steps(project: Path) -> list[str]:
    return [line["step"] for line in traced(project)]


def accuracies(found) -> dict[str, float]:
    return {row.name: round(row.shares["equivalent"], 3) for row in found.tables[0].rows}


# The main path


def test_recipes_are_ranked_against_the_control_over_seeds(project):
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    found, problems = ablate(plan_of(project, good, bad), SILENT)
    assert not problems and accuracies(found) == {"good": 0.8, "bad": 0.3}
    assert steps(project) == ["train", "evaluate"] * 4
    (worse,) = [row for row in found.tables[0].rows if row.over]
    assert worse.p < 0.001 and worse.over.high < -0.3 and [seed.seed for seed in worse.seeds] == [0, 1]
    assert [seed.summary["step"] for seed in worse.seeds] == [2, 2], "the last checkpoint stands for a cell"
    result = json.loads((found.folder / "ablation.json").read_text())
    assert result["control"] == "good" and result["benchmarks"][0]["rows"][1]["difference"]["p_holm"] == worse.p
    assert "bad is worse than good by 50.0 points" in result["benchmarks"][0]["sentences"][0]
    index = (project / "reports" / "index.html").read_text()
    assert f"ablations/{found.folder.name}/index.html" in index
    models = [line["models"] for line in traced(project) if line["step"] == "evaluate"]
    assert [names[0] == "models/base" for names in models] == [True, False, False, False], "the base model once"


def test_a_second_call_does_nothing_and_a_third_arm_adds_its_own_cells(project):
    good, bad, new = (write_data(project, name, share) for name, share in (("good", 0.8), ("bad", 0.3), ("new", 0.5)))
    first, _ = ablate(plan_of(project, good, bad), SILENT)
    before, result = len(traced(project)), (first.folder / "ablation.json").read_bytes()
    again, _ = ablate(plan_of(project, good, bad), SILENT)
    assert len(traced(project)) == before and (again.folder / "ablation.json").read_bytes() == result
    wider, _ = ablate(plan_of(project, good, bad, new), SILENT)
    assert steps(project)[before:] == ["train", "evaluate"] * 2 and wider.folder != first.folder
    assert len(accuracies(wider)) == 3


def test_scored_together_an_engine_starts_once_a_template_and_a_failed_training_costs_only_itself(project):
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    lost = write_data(project, "lost", 0.5, fails=True)
    (project / "no_eos.py").write_text("no eos")
    (project / "arm.yaml").write_text(f"recipe: {good}\nname: own\nsft_utils: no_eos.py\n")
    together = {"--score-together": True}
    found, problems = ablate(plan_of(project, good, bad, lost, "arm.yaml", **together), SILENT)
    assert accuracies(found) == {"good": 0.8, "bad": 0.3, "own": 0.8} and len(problems) == 2
    evaluations = [line for line in traced(project) if line["step"] == "evaluate"]
    runs = [[Path(name).name.split("-")[0] for name in line["models"]] for line in evaluations]
    assert runs == [["base", "good", "bad", "good", "bad"], ["own", "own"]]
    assert [line["utils"] for line in evaluations] == ["ordinary", "no eos"] and steps(project)[-2:] == ["evaluate"] * 2
    ablate(plan_of(project, good, bad, "arm.yaml"), SILENT)
    assert steps(project)[-2:] == ["evaluate"] * 2, "what was scored together is found cell by cell"


def test_equal_recipes_under_two_names_are_scored_together_though_they_share_a_place(project):
    good = write_data(project, "good", 0.8)
    (project / "twin.yaml").write_text(f"recipe: {good}\nname: twin\n")
    found, problems = ablate(plan_of(project, good, "twin.yaml", seeds=(0,), **{"--score-together": True}), SILENT)
    assert not problems and accuracies(found) == {"good": 0.8, "twin": 0.8}


def test_what_cannot_be_trusted_is_told_of_its_own_cell_and_the_base_models_of_the_one_that_scores_it(project):
    from data.cells import make_cell
    from data.steps import scores_of

    write_data(project, "good", 0.8)
    arm = read_arm("data/built/good", project)
    place = (arm.recipe, read_mapping(project / "config.yaml"), project, plan_of(project, "x").scoring)
    first, second = make_cell(arm, 0, *place, base=True), make_cell(arm, 1, *place)
    names = ["models/base", f"{first.run}/checkpoint-2", f"{second.run}/checkpoint-2"]
    lines = [f"not to be trusted: {name} on b: 1 of 80 outputs are error" for name in names]
    rows = [{"checkpoint": name, "step": 2, "benchmark": "b", "key": name} for name in names[1:]]
    assert scores_of(first, rows, lines) == {"keys": {"b": {"2": names[1]}}, "untrusted": lines[:2]}
    assert scores_of(second, rows, lines) == {"keys": {"b": {"2": names[2]}}, "untrusted": lines[2:]}


CHANGES = {
    "data": lambda project: write_data(project, "good", 0.7),
    "model": lambda project: (project / "models/base/config.json").write_text('{"share": 0.2, "seed": 0}'),
    "settings": lambda project: (project / "config.yaml").write_text(
        (project / "config.yaml").read_text() + "warmup_steps: 3\n"
    ),
    "template": lambda project: (project / "sft_utils.py").write_text("another"),
    "trainer": lambda project: (project / "sft.py").write_text("# another"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_decides_a_run_makes_another_cell(what, project):
    from data.cells import make_cell
    from data.content import model_digest

    def key() -> str:
        model_digest.cache_clear()
        arm = read_arm("data/built/good", project)
        settings = read_mapping(project / "config.yaml")
        scoring = plan_of(project, "x").scoring
        return make_cell(arm, 0, arm.recipe, settings, project, scoring).key

    write_data(project, "good", 0.8)
    before = key()
    assert key() == before
    CHANGES[what](project)
    assert key() != before


def test_scores_are_owed_again_where_the_store_lost_them(project):
    import shutil

    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    ablate(plan_of(project, good, bad, seeds=(0,)), SILENT)
    shutil.rmtree(project / "reports")
    found, _ = ablate(plan_of(project, good, bad, seeds=(0,)), SILENT)
    assert steps(project)[4:] == ["evaluate"] * 2 and accuracies(found) == {"good": 0.8, "bad": 0.3}


# Killed and restarted


def call(project: Path, *recipes: str, kill_at: str = "") -> subprocess.CompletedProcess:
    """`python -m data ablate` as a process of its own, which the step `kill_at` kills half-way."""
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.environ['DRIVER'] = str(os.getpid())\n"
        "from data.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    options = ["--benchmark", "b", "--benchmarks-dir", "tests", "--config", "config.yaml", "--seeds", "0", "--json"]
    # -P: the project's own packages are fakes, which the processes that are started see.
    command = [sys.executable, "-P", "-c", program, "ablate", *recipes, *options]
    return subprocess.run(command, cwd=project, env=os.environ | {"KILL_AT": kill_at}, capture_output=True, text=True)


def test_a_call_killed_at_each_step_goes_on_and_its_orphans_are_ended(project):
    (project / "data/recipes").mkdir()
    (project / "data/recipes/good.yaml").write_text("share: 0.8\nsources: []\n")
    bad = write_data(project, "bad", 0.3)
    for step in ("build", "train", "evaluate"):
        assert call(project, "good", bad, kill_at=step).returncode == -9, step
    last = call(project, "good", bad)
    assert last.returncode == 0, last.stderr
    told = traced(project)
    assert "orphan lived" not in steps(project)
    trainings = [(line["run"].split("-")[0], line["resume"]) for line in told if line["step"] == "train"]
    assert trainings == [("good", False), ("good", True), ("bad", False)], "resumed from its state, then the other"
    rows = json.loads(last.stdout)["benchmarks"][0]["rows"]
    assert {row["arm"]: row["equivalent"] for row in rows} == {"good": 0.8, "bad": 0.3}


def test_a_run_without_optimizer_state_begins_anew(project):
    from data.cells import make_cell

    write_data(project, "good", 0.8)
    arm = read_arm("data/built/good", project)
    cell = make_cell(arm, 0, arm.recipe, read_mapping(project / "config.yaml"), project, plan_of(project, "x").scoring)
    half = project / cell.run / "checkpoint-1"
    half.mkdir(parents=True)
    (half / "run.json").write_text('{"step": 1}')
    (half / "of the killed run").touch()
    told = run_cell(cell)
    assert told["error"] is None and told["tokens_seen"] == 2000
    assert not (half / "of the killed run").exists() and traced(project)[0]["resume"] is False


def test_a_cell_in_work_is_left_to_who_holds_it(project):
    import fcntl

    from data.cells import make_cell

    write_data(project, "good", 0.8)
    arm = read_arm("data/built/good", project)
    cell = make_cell(arm, 0, arm.recipe, read_mapping(project / "config.yaml"), project, plan_of(project, "x").scoring)
    cell.place.mkdir(parents=True)
    with (cell.place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "being worked on by another call" in run_cell(cell)["error"]
    assert not traced(project)


# What fails


def test_a_cell_that_fails_is_named_and_the_others_go_on(project):
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3, fails=True)
    found, problems = ablate(plan_of(project, good, bad, seeds=(0,)), SILENT)
    assert accuracies(found) == {"good": 0.8}
    assert (
        len(problems) == 1
        and "bad seed 0 has no result: bad seed 0: preflight stops this run (eos: rows)." in problems[0]
    )
    assert "cell.log" in problems[0]
    done = call(project, good, bad)
    assert done.returncode == 1 and "bad seed 0 has no result" in done.stderr and "Traceback" not in done.stderr


def test_without_its_control_nothing_is_compared(project):
    good, bad = write_data(project, "good", 0.8, fails=True), write_data(project, "bad", 0.3)
    other = write_data(project, "other", 0.4)
    found, problems = ablate(plan_of(project, good, bad, other, seeds=(0,)), SILENT)
    assert problems and all(row.over is None for row in found.tables[0].rows)
    assert found.tables[0].sentences[0] == "The control good has no result, so nothing is compared."


REQUESTS = [
    (("good",), {}, "needs at least two recipes"),
    (("good", "good"), {}, "two arms are called 'good'"),
    (("good", "goood"), {}, "goood is no recipe, no arm and no folder with train.jsonl; did you mean good?"),
    (
        ("good", "bad"),
        {"--control": "data/built/other"},
        "--control data/built/other is none of the recipes: good, bad",
    ),
    (("good", "broken"), {}, "recipe data/recipes/broken.yaml could not be built: source web has no rows."),
    (("good", "bad"), {"--leave-one-out": True}, "takes one recipe"),
    (("good",), {"--leave-one-out": True}, "needs a recipe with at least two sources"),
    (("good", "typo"), {}, "unknown key 'sftutils'; did you mean 'sft_utils'?"),
    (("good", "lost"), {}, "sft_utils nowhere.py is not there"),
    (("good", "text"), {}, "holds str, not a mapping"),
    (("good", "bad"), {"--budget": "steps=5"}, "write tokens=N"),
    (("good", "bad"), {"--benchmark": "bb"}, "has no benchmark 'bb'; did you mean 'b'?"),
    (("good", "bad"), {"--limit": -3}, "--limit -3: it must be a whole number above 0"),
    (("good", "bad"), {"--score-together": True, "--ray": True}, "leave one of them out"),
    (("good", "bad"), {"--config": "nowhere.yaml"}, "nowhere.yaml cannot be read"),
    (("good", "data/built/torn"), {}, "validation.jsonl is missing"),
]


@pytest.mark.parametrize(("recipes", "options", "said"), REQUESTS, ids=[said[:40] for _, _, said in REQUESTS])
def test_a_wrong_request_is_refused_before_anything_is_trained(recipes, options, said, project):
    folder = project / "data/recipes"
    folder.mkdir()
    write_data(project, "other", 0.5)
    (project / "data/built/torn").mkdir()
    (project / "data/built/torn/train.jsonl").write_text("{}\n")
    for name, text in {
        "good": "share: 0.8\nsources: [{name: a}]\n", "bad": "share: 0.3\n", "broken": "share: -1\n", "text": "x",
        "typo": "recipe: data/built/other\nsftutils: x.py\n", "lost": "recipe: data/built/other\nsft_utils: nowhere.py\n",
    }.items():  # fmt: skip
        (folder / f"{name}.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        ablate(plan_of(project, *recipes, **options), SILENT)
    assert said in str(refused.value)
    assert "train" not in steps(project)


# Checked before the first training


def test_every_arm_is_checked_before_the_first_is_trained_and_once(project):
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    (project / "no_eos.py").write_text("no eos")
    (project / "arm.yaml").write_text(f"recipe: {good}\nname: own\nsft_utils: no_eos.py\nallow: [eos]\n")
    ablate(plan_of(project, good, bad, "arm.yaml"), SILENT)
    told = everything_traced(project)
    assert [line["step"] for line in told[:5]] == ["preflight", "check", "preflight", "preflight", "train"]
    assert [line["run"].split("-")[0] for line in told if line["step"] == "preflight"] == ["good", "bad", "own"]
    assert told[1]["models"] == ["models/base"] and "--benchmark" in told[1]["options"]
    assert told[3]["utils"] == "no eos" and told[3]["argv"][-3:] == ["--allow", "eos", "--preflight"]
    ablate(plan_of(project, good, bad, "arm.yaml"), SILENT)
    assert len(everything_traced(project)) == len(told)


def test_arms_that_training_would_refuse_are_all_named_before_one_is_trained(project):
    good = write_data(project, "good", 0.8)
    lost, torn = (write_data(project, name, 0.3, refused=True) for name in ("lost", "torn"))
    with pytest.raises(UserError) as refused:
        ablate(plan_of(project, good, lost, torn), SILENT)
    assert refused.value.exit_code == 1 and str(refused.value).startswith(
        "nothing is trained, because 2 of 3 arms fail: "
    )
    for name in ("lost", "torn"):
        assert f"{name} seed 0: preflight stops this run (eos: rows). (exit code 1; " in str(refused.value)
    assert steps(project) == []
    done = call(project, good, lost)
    assert done.returncode == 1 and done.stderr.startswith("error: nothing is trained") and steps(project) == []
    write_data(project, "lost", 0.3)
    found, problems = ablate(plan_of(project, good, lost, seeds=(0,)), SILENT)
    assert not problems and accuracies(found) == {"good": 0.8, "lost": 0.3}


def test_what_scoring_would_refuse_is_said_before_one_is_trained(project):
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    with pytest.raises(UserError, match=r"1 of 2 arms fail: good seed 0: its context of 8 tokens is too short"):
        ablate(plan_of(project, good, bad, **{"--max-tokens": 9999}), SILENT)
    assert steps(project) == []
    ablate(plan_of(project, good, bad, **{"--max-tokens": 8}), SILENT)
    assert len(steps(project)) == 8


def test_a_finished_arm_and_one_that_another_call_trains_are_not_checked(project):
    import fcntl

    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    ablate(plan_of(project, good, bad, seeds=(0,)), SILENT)
    for path in project.glob("ablations/cells/*/checked"):
        path.unlink()
    before = len(everything_traced(project))
    ablate(plan_of(project, good, bad, seeds=(0,)), SILENT)
    assert len(everything_traced(project)) == before
    new = write_data(project, "new", 0.5)
    cells = {path.name for path in project.glob("ablations/cells/*")}
    ablate(plan_of(project, good, new, seeds=(0,)), SILENT)
    (place,) = (path for path in project.glob("ablations/cells/*") if path.name not in cells)
    for path in (*project.glob("checkpoints/new-*/finished.json"), place / "checked"):
        path.unlink()
    before = len(everything_traced(project))
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _, problems = ablate(plan_of(project, good, new, seeds=(0,)), SILENT)
    assert len(problems) == 1 and "being worked on by another call" in problems[0]
    assert len(everything_traced(project)) == before


# Arms


def test_an_arm_brings_its_template_its_settings_and_what_may_fail(project):
    good = write_data(project, "good", 0.8)
    (project / "no_eos.py").write_text("without EOS")
    (project / "no-eos.yaml").write_text(
        f"recipe: {good}\nsft_utils: no_eos.py\nallow: [eos]\nsettings: {{learning_rate: 0.5}}\n"
    )
    found, problems = ablate(plan_of(project, good, "no-eos.yaml", seeds=(0,)), SILENT)
    assert not problems and set(accuracies(found)) == {"good", "no-eos"}
    told = {line["step"] + line.get("run", "x").split("-")[0]: line for line in traced(project)}
    assert told["trainno"]["utils"] == "without EOS" and told["trainno"]["argv"][-2:] == ["--allow", "eos"]
    assert told["traingood"]["utils"] == "ordinary" and "--allow" not in told["traingood"]["argv"]
    assert [line["utils"] for line in traced(project) if line["step"] == "evaluate"] == ["ordinary", "without EOS"]
    cells = {cell["arm"]: cell["key"] for cell in found.record["cells"]}
    config = read_mapping(project / "ablations/cells" / cells["no-eos"] / "project/sft_config.yaml")
    assert config["learning_rate"] == 0.5 and config["seed"] == 0 and config["model_name_or_path"] == "models/base"
    own = ("sft_utils.py", "sft_config.yaml")
    assert [(project / name).read_text() for name in own] == ["ordinary", "the user's own"], (
        "the project's are left alone"
    )
    assert found.record["arms"][1]["own"] == "learning_rate: 0.5, sft_utils: no_eos.py, eos allowed to fail"


def test_leaving_each_source_out_makes_the_other_arms(project):
    (project / "data/recipes").mkdir()
    recipe = project / "data/recipes/mixed.yaml"
    for source in ("a", "b"):
        (project / source).touch()
    recipe.write_text(
        "name: mixed\nshare: 0.6\nsources: [{name: gsm8k, path: a}, {name: math, path: b}]\n"
        "steps: [boxed, {mix: {rows: 9, weights: {gsm8k: 1, math: 2}, caps: {source: {math: 5}}}}]\n"
    )
    found, _ = ablate(plan_of(project, "mixed", seeds=(0,), **{"--leave-one-out": True}), SILENT)
    assert list(accuracies(found)) == ["mixed", "mixed-without-gsm8k", "mixed-without-math"]
    made = read_mapping(project / "ablations/recipes/mixed-without-math.yaml")
    assert made["name"] == "mixed-without-math" and [source["name"] for source in made["sources"]] == ["gsm8k"]
    assert made["steps"] == ["boxed", {"mix": {"rows": 9, "weights": {"gsm8k": 1}, "caps": {"source": {}}}}]


def test_what_leaving_out_makes_is_a_recipe(tmp_path):
    (tmp_path / "mixed.yaml").write_text(
        "name: mixed\ntokenizer: models/base\nsources: [{name: gsm8k, path: a.jsonl}, {name: numina, path: b.jsonl}]\n"
        "steps:\n  - has_box\n  - mix: {rows: 9, weights: {gsm8k: 1, numina/olympiads: 2}, caps: {source: {numina: 5}}}\n"
        "  - validation: {rows: 2}\n"
    )
    first, second = map(read_recipe, leave_one_out(tmp_path / "mixed.yaml", tmp_path / "made"))
    assert [source.name for source in first.sources] == ["numina"] and [source.name for source in second.sources] == [
        "gsm8k"
    ]
    assert first.steps[1].parameters["weights"] == {"numina/olympiads": 2}
    assert second.steps[1].parameters["weights"] == {"gsm8k": 1} and second.steps[1].parameters["caps"] == {
        "source": {}
    }


def test_a_source_that_is_not_there_is_named_before_anything_is_built(project):
    """Whichever arm it belongs to; a copy on the command line stands for it."""
    (project / "data/recipes").mkdir()
    (project / "data/recipes/good.yaml").write_text("share: 0.6\nsources: [{name: good, synthetic: 5}]\n")
    (project / "data/recipes/bad.yaml").write_text("share: 0.6\nsources: [{name: far, path: ../far/rows.jsonl}]\n")
    sentence = r"data/recipes/bad\.yaml: source far is \.\./far/rows\.jsonl, which is not there; .* --source far=PATH"
    with pytest.raises(UserError, match=sentence):
        ablate(plan_of(project, "good", "bad", seeds=(0,)), SILENT)
    assert traced(project) == []
    with pytest.raises(UserError, match=r"source far is near\.jsonl, which is not there"):
        ablate(plan_of(project, "good", "bad", seeds=(0,), **{"--source": "far=near.jsonl"}), SILENT)
    assert traced(project) == []


def test_a_config_without_a_model_is_named_before_anything_is_built(project):
    (project / "data/recipes").mkdir()
    for name in ("one", "two"):
        (project / f"data/recipes/{name}.yaml").write_text("share: 0.6\nsources: [{name: made, synthetic: 5}]\n")
    (project / "empty.yaml").write_text("output_dir: checkpoints\n")
    with pytest.raises(UserError, match=r"empty\.yaml: model_name_or_path is missing"):
        ablate(plan_of(project, "one", "two", seeds=(0,), **{"--config": "empty.yaml"}), SILENT)
    assert traced(project) == []


def test_copies_of_sources_go_to_the_recipes_that_have_them(project):
    (project / "data/recipes").mkdir()
    for name in ("one", "two"):
        (project / f"data/recipes/{name}.yaml").write_text(f"share: 0.6\nsources: [{{name: {name}}}]\n")
    (project / "a.jsonl").touch()
    plan = plan_of(project, "one", "two", seeds=(0,), **{"--source": "one=a.jsonl", "--tokenizer": "models/base"})
    ablate(plan, SILENT)
    options = [line["options"] for line in traced(project) if line["step"] == "build"]
    shared = ["--json", "--tokenizer", "models/base", "--benchmarks-dir", str(project / "tests")]
    assert options == [[*shared, "--source", "one=a.jsonl"], shared]


def test_a_recipe_with_one_source_has_none_to_leave_out(tmp_path):
    (tmp_path / "r.yaml").write_text("sources: [{name: a}]\n")
    with pytest.raises(UserError, match="at least two sources"):
        leave_one_out(tmp_path / "r.yaml", tmp_path)


def test_arms_of_one_name_can_be_told_apart_by_another(project):
    good = write_data(project, "good", 0.8)
    (project / "a.yaml").write_text(f"recipe: {good}\nname: fast\nsettings: {{learning_rate: 0.1}}\n")
    assert [arm.name for arm in read_arms([good, "a.yaml"], project)] == ["good", "fast"]


# The budget


@pytest.mark.parametrize(
    ("text", "tokens"), [("tokens=5000", 5000), ("tokens=5,000,000", 5_000_000), ("tokens=1_000", 1000)]
)
def test_a_budget_is_a_number_of_tokens(text, tokens):
    assert parse_budget(text) == tokens


@pytest.mark.parametrize("name", ["b.jsonl", "b.csv", "b.parquet.gz"])
def test_a_benchmark_in_any_format_decides_a_score(name, tmp_path):
    (tmp_path / name).touch()
    asked = ("--benchmark", "a,b", "--benchmarks-dir", str(tmp_path), "--limit", "5")
    assert benchmark_files(asked) == [tmp_path / name]


@pytest.mark.parametrize("text", ["5000", "tokens=", "tokens=0", "tokens=-3", "tokens=1e6", "steps=4"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UserError, match="write tokens=N"):
        parse_budget(text)


def test_a_budget_becomes_steps_by_the_rendered_length_of_the_rows(tmp_path, tiny_llama):
    """Twice as long rows, half as many steps; what is too long to be trained on is not counted."""
    from data.synthetic import write_dataset

    write_dataset(tmp_path / "short", train=40, test=1, validation=2)
    rows = [json.loads(line) for line in (tmp_path / "short/train.jsonl").read_text().splitlines()]
    for row in rows:
        row["messages"][1]["content"] += " So it is." * 40
    rows[0]["messages"][1]["content"] *= 500
    (tmp_path / "long").mkdir()
    (tmp_path / "long/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "long/validation.jsonl").write_bytes((tmp_path / "short/validation.jsonl").read_bytes())
    (tmp_path / "sft_utils.py").write_bytes((ROOT / "sft_utils.py").read_bytes())
    settings = {
        "model_name_or_path": str(tiny_llama),
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "packing": False,
    }
    found = {}
    for name in ("short", "long"):
        arm = read_arm(name, tmp_path)
        found[name] = with_budget(arm, Path(name), settings, 20_000, 2, tmp_path, SILENT)["max_steps"]
        count = json.loads(max((tmp_path / "ablations/tokens").iterdir(), key=os.path.getmtime).read_text())
        assert found[name] == round(20_000 / (16 * count["tokens"] / count["rows"]))
    assert count["rows"] == 39 and 2 * found["long"] < found["short"]
    packed = with_budget(
        read_arm("short", tmp_path), Path("short"), settings | {"packing": True}, 65_536, 2, tmp_path, SILENT
    )
    assert packed["max_steps"] == 2, "16 full rows of 2,048 tokens a step"
    del settings["packing"]  # the contract's default
    left_out = with_budget(read_arm("short", tmp_path), Path("short"), settings, 65_536, 2, tmp_path, SILENT)
    assert left_out["max_steps"] == 2


# Several machines


def test_each_cell_is_a_task_of_a_cluster(project, monkeypatch):
    import ray

    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3, fails=True)
    found, problems = ablate(plan_of(project, good, bad, **{"--ray": True, "--cpus": 1}), SILENT)
    assert accuracies(found) == {"good": 0.8} and len(problems) == 2
    trained = [line["run"].split("-")[0] for line in traced(project) if line["step"] == "train"]
    assert sorted(trained) == ["bad", "bad", "good", "good"]
    threads = [line["threads"] for line in traced(project) if line["step"] == "evaluate"]
    assert threads == [["1", "nobind"]] * 2, "engines that share a machine do not take all of its cores"
    assert not ray.is_initialized()


def test_an_address_without_a_cluster_is_refused(project, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    good, bad = write_data(project, "good", 0.8), write_data(project, "bad", 0.3)
    with pytest.raises(UserError, match=r"RAY_ADDRESS '127\.0\.0\.1:1' is no cluster that answers"):
        ablate(plan_of(project, good, bad, **{"--ray": True}), SILENT)


# The acceptance ablation's own files


def test_the_template_without_eos_is_the_projects_but_for_that():
    import difflib

    ours, theirs = ((ROOT / name).read_text().splitlines() for name in ("sft_utils.py", "data/ablations/no_eos.py"))
    changed = [line for line in difflib.ndiff(ours, theirs) if line[0] in "+-" and not line[1:].strip().startswith("#")]
    code = [line for line in changed if "COMPLETION" in line]
    assert len(changed) in (6, 8) and len(code) == 2 and "+ tokenizer.eos_token" in code[0], changed


@pytest.mark.parametrize("name", ["no-eos.yaml", "unboxed.yaml", "clean.yaml", "wrong.yaml", "unboxed-rows.yaml"])
def test_its_arms_and_their_recipes_are_read(name):
    arm = read_arm(f"data/ablations/{name}", ROOT)
    assert read_recipe(ROOT / arm.recipe).steps and set(arm.allow) <= {"eos", "box"}


def test_a_sentence_on_one_run_is_not_taken_for_one_on_a_run_whose_name_ends_alike():
    settings = {"output_dir": "runs", "run_name": "a", "model_name_or_path": "base"}
    cell = Cell(Arm("a", Path("r")), 0, Path("d"), settings, "k", Path(), Scoring((), Path()), base=True)
    said = [f"not to be trusted: {name} on sums: 1 of 2" for name in ("runs/a/x", "old/runs/a/x", "base", "my-base")]
    assert scores_of(cell, [], said)["untrusted"] == [said[0], said[2]]


@pytest.mark.parametrize(("seeds", "wrong"), [((-1,), "-1"), ((0, 1 << 32), "4294967296"), ((3, -5), "-5")])
def test_seeds_that_training_would_refuse_are_refused_before(seeds, wrong, project):
    with pytest.raises(UserError, match=rf"--seeds {wrong}: .* from 0 to 4294967295") as refused:
        plan_of(project, "good", "bad", seeds=seeds)
    assert refused.value.exit_code == 2
    assert plan_of(project, "good", "bad", seeds=(0, (1 << 32) - 1)).seeds == (0, 4294967295)


def test_an_arm_without_eos_is_told_that_packing_appends_it():
    def cell(name, allow, **settings):
        arm = Arm(name, Path("r"), allow=allow)
        return Cell(arm, 0, Path("d"), settings, "k", Path(), Scoring((), Path()), base=False)

    console = Console(file=io.StringIO(), width=200)
    cells = [cell("left out", ("eos",)), cell("packed", ("eos",), packing=True), cell("packed", ("eos",), packing=True)]
    tell_appended([*cells, cell("padded", ("eos",), packing=False), cell("sound", (), packing=True)], console)
    said = console.file.getvalue().splitlines()
    assert [line.partition(":")[0] for line in said] == ["left out", "packed"]
    assert all("packing appends EOS to every example" in line and "set packing: false" in line for line in said)
    assert "needs packing: false" in (ROOT / "data/ablations/no_eos.py").read_text().splitlines()[0]
