"""Does what a stranger would: unpacks the archive elsewhere, looks at it, trains two steps, and believes no figure untested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.submission import archive
from data.submission.checks.findings import Finding
from data.submission.lint import Report
from data.submission.writer import FORMAT, MANIFEST


def read_manifest(folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    """(the manifest, findings); an empty manifest where it is missing, as in submissions of other tools, or cannot be read."""
    if not (folder / MANIFEST).exists():
        problem = "the manifest is missing, so the files cannot be compared with it"
        return {}, [Finding("manifest", MANIFEST, problem, "python -m data submission writes one", False)]
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        shapes = {"files": dict, "left_out": dict, "accuracy": list}
        if manifest["format"] != FORMAT or not all(isinstance(manifest[key], kind) for key, kind in shapes.items()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}, [
            Finding(
                "manifest",
                MANIFEST,
                "there is no manifest that can be read",
                "write it anew: python -m data submission",
            )
        ]
    return manifest, []


def check_files(folder: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    """Files that are not those of the manifest."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    there.pop(MANIFEST, None)
    for name in sorted(there.keys() | manifest["files"].keys()):
        if name not in there:
            yield Finding("manifest", name, "this file is in the manifest and not in the archive", "write it anew")
        elif name not in manifest["files"]:
            yield Finding("manifest", name, "this file is in the archive and not in the manifest", "write it anew")
        elif archive.sha256(there[name]) != dict(manifest["files"][name]).get("sha256"):
            yield Finding("manifest", name, "these are other bytes than when the manifest was written", "write it anew")


def check_accuracy(manifest: dict[str, Any], report: Report) -> Iterator[Finding]:
    """Stated figures whose rows or tokens are not those that are here; they are refused."""
    for entry in manifest["accuracy"]:
        for name, here in (("rows_sha256", report.told.get("digests")), ("token_ids_sha256", tokens_here(report))):
            if here is not None and entry.get(name) != here:
                problem = f"the accuracy on {entry.get('benchmark')} was measured on another dataset ({name} differs)"
                yield Finding(
                    "accuracy", MANIFEST, problem, "state it for the dataset that was measured, or evaluate again"
                )


def check_stock_rows(report: Report, told: dict[str, Any], stated: bool) -> Iterator[Finding]:
    """Rows that the stock `datasets` reads differently from the current one; fatal where an accuracy is `stated`, which
    was measured with the current one's."""
    there, here = told["stock"].get("digests"), report.told.get("digests")
    if there and here and there != here:
        problem = "the stock `datasets` loads other rows than the current one"
        problem += ", with which the stated accuracy was measured" if stated else ""
        fix = "state contiguous=… in .shard(…), whose default differs; JSON Lines with the same columns in every row"
        yield Finding("stock-rows", "sft_utils.py", problem, fix, stated)


def tokens_here(report: Report) -> dict[str, str] | None:
    """Digests of the token ids; None where another tokenizer stands in, which proves nothing."""
    return None if report.stand_in else report.told.get("token_ids_sha256")
