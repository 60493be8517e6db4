"""Commands that messages suggest can be pasted, and lists of names may have spaces."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from data.__main__ import _parser
from data.ablate import make_plan
from data.content import benchmark_files
from eval.__main__ import _options, main, run
from eval.arguments import parser
from eval.compare import find_side
from eval.records import UserError, quoted, split_names
from tests.eval.report_folder import make_summary, write_evaluation

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "run",
    "my run",
    "it's",
    "a$(touch pwned)b",
    "$HOME",
    "x;ls",
    "`id`",
    'q"q',
    "a\\b",
    "#1",
    "~x",
    "模型",
    "a\x1b[31mb\n'",
]


def in_bash(words: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("name", [*NAMES, "-rf", "--json"])
def test_a_quoted_name_is_one_word_and_no_option(name: str) -> None:
    (word,) = in_bash(quoted(name))
    assert word == (f"./{name}" if name.startswith("-") else name)
    assert quoted(name).isprintable() and not quoted(name).startswith("-")
    assert quoted("checkpoints/run-1/checkpoint-60") == "checkpoints/run-1/checkpoint-60"


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_suggested_make_command_reaches_python_as_it_was_meant(name: str, tmp_path: Path) -> None:
    for reports in (tmp_path / "none", tmp_path):
        write_evaluation(tmp_path, make_summary(15, 24), size=120)
        with pytest.raises(UserError) as error:
            find_side(name, reports)
        command = str(error.value).partition("make eval ")[2].replace("BENCH=…", "BENCH='math500, gsm8k-test'")
        assert command, error.value
        done = subprocess.run(
            ["bash", "-c", f"make -n eval {command}"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        (line,) = [line for line in done.stdout.splitlines() if "-m eval run" in line]
        words = shlex.split(line)
        assert words[words.index("run") + 1] == name
        assert (
            split_names(words[words.index("--benchmark") + 1])
            == split_names("math500, gsm8k-test")[: 1 + ("BENCH" in command)]
        )


@pytest.mark.parametrize("target", ["eval", "watch", "compare", "data", "ablate", "rehearse", "verify", "preflight"])
def test_every_target_hands_paths_on_letter_for_letter(target: str) -> None:
    place = "a b'c$(d)"
    names = [
        "CKPT",
        "RUN",
        "A",
        "B",
        "RECIPE",
        "BENCH_DIR",
        "MODEL",
        "DATASET",
        "ACCURACY",
        "ZIP",
        "TOKENIZER",
        "CONTROL",
        "CONFIG",
    ]
    given = [f"{name}={place}" for name in names]
    done = subprocess.run(
        ["make", "-n", target, "RECIPES=x y", "BENCH=a, b", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    words = shlex.split(done.stdout.replace("\\\n", " "))
    assert place in words and ("a, b" in words) == (target in ("eval", "watch", "compare", "ablate"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ["a"]), ("a,b", ["a", "b"]), ("a, b", ["a", "b"]), (" a ,\tb ", ["a", "b"]), ("a,a, a", ["a"]),
    ],
)  # fmt: skip
def test_a_list_of_names_may_have_spaces(text: str, names: list[str], tmp_path: Path) -> None:
    assert split_names(text) == tuple(names)
    command = parser({"run": run}, "").parse_args(["run", "x", "--benchmark", text])
    assert _options(command).benchmarks == tuple(names)
    args = _parser().parse_args(["ablate", "x", "y", "--benchmark", text])
    plan = make_plan(args, tmp_path)
    assert plan.benchmarks == tuple(names) and plan.scoring.arguments[:2] == ("--benchmark", ",".join(names))
    for name in names:
        (tmp_path / f"{name}.jsonl").touch()
    files = benchmark_files(("--benchmark", text, "--benchmarks-dir", str(tmp_path)))
    assert sorted(path.stem for path in files) == sorted(names)


@pytest.mark.parametrize("text", ["", ",", "sums,", "sums, ,sums"])
def test_an_empty_name_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "" in split_names(text)
    for step in (15, 30):
        write_evaluation(tmp_path, make_summary(step, step), size=120)
    keys = [path.parent.name for path in sorted(tmp_path.glob("*/DONE"))]
    assert main(["compare", *keys, "--benchmark", text, "--reports", str(tmp_path)]) == 2
    assert "has an empty name" in capsys.readouterr().err
