"""What is documented can be done by whoever has this checkout: files that commands name are there, and none lies beside it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("bench", "data", "eval", "graders")


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


FILES = [
    path for path in tracked() if path.suffix in {".md", ".sh", ".yaml", ".py", ".j2", ".in"} or path.name == "Makefile"
]
# Tests read real data where it lies, and say so where it does not.
USED = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tests"]
DOCS = [path for path in USED if path.suffix in {".md", ".sh", ".yaml"} and path.name not in {"CHANGELOG.md", "log.md"}]
RECIPES = [path for path in USED if path.suffix == ".yaml" and "sources" in path.read_text()]
# A path of the tree, as commands name it; what is built or trained is not in the tree.
PATH = re.compile(
    r"(?<![\w./<-])((?:data|docs|bench|eval|graders|training|requirements|tests)/[\w./-]+\.(?:yaml|sh|py|md|svg|png|jsonl))\b(?!\.)"
)
MADE = ("data/built/", "reports/", "tests/graders/cases/labelled.jsonl")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", USED, ids=name_of)
def test_nothing_that_is_used_lies_beside_the_project(path):
    found = [line for line in path.read_text(encoding="utf-8").split("\n") if re.search(r"\bshared/|\.\./shared", line)]
    assert found == []


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_files_that_documents_name_are_there(path):
    named = set(PATH.findall(path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not name.startswith(MADE) and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_recipes_take_their_rows_from_a_hub_at_a_commit_or_make_them(path):
    for source in yaml.safe_load(path.read_text())["sources"]:
        assert "synthetic" in source or re.fullmatch("[0-9a-f]{40}", source["revision"]), source


@pytest.mark.parametrize("module", MODULES)
def test_commands_that_documents_name_are_there(module):
    asked = re.compile(rf"python -m {module} ([a-z]+)")
    named = {name for path in DOCS for name in asked.findall(path.read_text(encoding="utf-8"))}
    help_text = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert named and [name for name in sorted(named) if not re.search(rf"\b{name}\b", help_text)] == []


BENCHES = [
    ("data", {}, "BENCH_DIR is not set; BENCH_DIR=<folder> names a folder of benchmarks"),
    ("data", {"BENCH_DIR": "no"}, "BENCH_DIR is no; BENCH_DIR=<folder> names a folder of benchmarks"),
    ("data", {"BENCH_DIR": "bench"}, "BENCH_DATA is not set; BENCH_DATA=<folder> names a folder of training files"),
    (
        "grading",
        {"BENCH_CASES": "no"},
        "no holds no .jsonl files; BENCH_CASES=<folder> names a folder of labelled cases",
    ),
]


@pytest.mark.parametrize(("name", "environment", "sentence"), BENCHES)
def test_a_benchmark_says_what_it_needs_before_it_works(name, environment, sentence, tmp_path, monkeypatch):
    from bench import data, grading
    from eval.records import UserError

    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/sums.jsonl").write_text('{"id": "1", "problem": "2+2", "answer": "4"}\n')
    monkeypatch.chdir(tmp_path)
    for variable in ("BENCH_DATA", "BENCH_DIR", "BENCH_CASES"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=re.escape(sentence)):
        list(data.rows((10,))) if name == "data" else grading.table()


def test_the_acceptance_ablation_says_what_is_missing_before_it_works(tmp_path):
    script = ROOT / "data/ablations/acceptance.sh"
    for python, copied, sentence in (
        ("nowhere/python", "", "error: nowhere/python is not there; run make setup first."),
        (
            sys.executable,
            "clean",
            "error: data/ablations/wrong.yaml is not there; git checkout data/ablations/wrong.yaml",
        ),
    ):
        place = tmp_path / (copied or "none") / "data/ablations"
        place.mkdir(parents=True)
        (place / script.name).write_text(script.read_text())
        if copied:
            (place / f"{copied}.yaml").touch()
        done = subprocess.run(
            ["bash", str(place / script.name)],
            env=os.environ | {"PYTHON": python}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith(sentence), done.stderr
