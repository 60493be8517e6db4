"""Verdicts carry GRADER_VERSION, so it must change when the rules do.

After a change of the rules: raise GRADER_VERSION in graders/batch.py if a verdict may differ, then run
`python tests/graders/test_grader_version.py`, which writes the new digest beside this file.
"""

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("grader_version.json")
# The modules that decide, limits included. The command line and the explanations do not.
RULES = [
    "algebra", "boxed", "clocks", "compare", "exact", "expression", "field", "formulas", "grammar", "ladder", "logic", "macros",
    "names", "normalize", "numeric", "points", "pool", "qualifiers", "quantities", "ranges", "relations", "separators",
    "structure", "symbolic", "tables", "text", "unicode", "units", "value", "words", "worker",
]  # fmt: skip


def digest() -> str:
    """sha256 over the source of the modules that decide verdicts, in name order."""
    total = hashlib.sha256()
    for name in RULES:
        total.update(name.encode() + (ROOT / "graders" / f"{name}.py").read_bytes())
    return total.hexdigest()


def test_version_is_tied_to_the_rules() -> None:
    from graders import GRADER_VERSION

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record == {"version": GRADER_VERSION, "sha256": digest()}, (
        "the rules of the grader changed: raise GRADER_VERSION in graders/batch.py if any verdict may differ, then run "
        "`python tests/graders/test_grader_version.py` to record the new digest"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from graders import GRADER_VERSION as VERSION

    RECORD.write_text(json.dumps({"version": VERSION, "sha256": digest()}, indent=1) + "\n", encoding="utf-8")
    print(f"recorded version {VERSION} in {RECORD.name}")
