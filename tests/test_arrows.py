"""What the design says of the tree holds of the tree: import arrows, targets, and what the README promises."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


# Who may import whom inside the repository. `eval.x` stands for that module alone. Beside architecture.md's arrows,
# training takes the prompt's fingerprint, what a checkpoint is, provenance and the console from eval: one definition each, where
# the design would have needed two. data takes eval.prompts too: tokens are counted under the prompt that training renders.
FROM_EVAL = {
    "sft_utils",
    "eval.adapters",
    "eval.prompts",
    "eval.checkpoints",
    "eval.console",
    "eval.files",
    "eval.provenance",
    "eval.records",
}
FOR_DATA = {
    "eval.benchmarks",
    "eval.cluster",
    "eval.console",
    "eval.files",
    "eval.prompts",
    "eval.records",
    "eval.report",
}
SUBMISSION = {"eval.checkpoints", "eval.provenance", "eval.store"}
ARROWS = {
    "graders": set(),
    "sft_utils": set(),
    "training": {"graders", *FROM_EVAL},
    "sft": {"training", *FROM_EVAL},
    "eval": {"graders", "sft_utils"},
    # A submission states an accuracy only by what eval stored of it; its parity table asks our own trainer, as a process.
    # An ablation starts training and evaluation as processes; its table and page are made from the store by the room that
    # makes the other tables, so that statistics have one definition. An audit's page has the look of the reports.
    # A submission states an accuracy only by what eval stored of it; its parity table asks our own trainer, as a process.
    "data": {"graders", "sft_utils", "training", *FOR_DATA, *SUBMISSION},
    "bench": {"graders", "sft_utils", "eval", "data"},
    # Runs sft.py as it is, and the contract's trainer in the environment that submissions are rehearsed in.
    "parity": {"sft", "training", "data.submission", "eval.console", "eval.files", "eval.records"},
}
# Engines know token ids and decoding only: no text, no grading.
ENGINES = {"eval.engines", "eval.checkpoints", "eval.cluster", "eval.records"}


def sources(room: str) -> list[Path]:
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").is_file() else sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of what a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def allowed(name: str, room: str, rooms: set[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in {room} | rooms)


@pytest.mark.parametrize("room", ARROWS)
def test_imports_follow_the_arrows(room):
    files = sources(room)
    assert files
    for path in files:
        inside = {name for name in imports(path) if name.split(".")[0] in ARROWS}
        wrong = {name for name in inside if not allowed(name, room, ARROWS[room])}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_engines_know_token_ids_only():
    for path in sources("eval/engines"):
        inside = {name for name in imports(path) if name.split(".")[0] in ARROWS}
        assert all(allowed(name, "eval.engines", ENGINES) for name in inside), (path, inside)


def test_the_submitted_file_imports_only_what_travels():
    names = {name.split(".")[0] for name in imports(ROOT / "sft_utils.py")}
    assert names - set(sys.stdlib_module_names) <= {"datasets", "transformers"}


def test_nobody_shadows_the_builtin_eval():
    for room in ARROWS:
        for path in sources(room):
            assert not re.search(r"^\s*import eval\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_target_is_phony():
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony and set(phony[1].split()) == makefile_targets()


@pytest.mark.parametrize("target", sorted(makefile_targets()))
def test_a_dry_run_of_a_target_prints_it_and_does_nothing(target):
    """A recipe line with $(MAKE) in it runs even under -n: none may have one."""
    done = subprocess.run(["make", "-n", target, "CKPT=x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr
    assert "$(MAKE)" not in (ROOT / "Makefile").read_text()


def test_readme_and_makefile_name_the_same_targets():
    readme = set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text()))
    assert readme == makefile_targets()


def test_the_tree_in_the_readme_is_the_tree():
    block = re.search(r"```tree\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    named = {line.split()[0].rstrip("/") for line in block[1].splitlines() if line.strip()}
    missing = {name for name in named if not list(ROOT.glob(name))}
    assert not missing
    files = {
        str(path.relative_to(ROOT))
        for room in ("graders", "eval", "data", "training", "parity", "bench")
        for path in sources(room)
        if path.name != "__init__.py"
    }
    assert not files - named, "files without a line in the README's tree"


def test_tracked_texts_name_no_machine():
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "Makefile", *ROOT.glob("requirements/*")):
        assert not re.search(r"(^|[^\w.])/(work|root|home)/", path.read_text(encoding="utf-8")), path
