"""One look for all pages of the project: the template folder, the style sheet, the policy, and how a page is written.

Each page is one file that loads nothing from elsewhere: style and script are inlined and admitted by their digest in a
content security policy, which forbids everything else but data files that the page's own script asks for. Text of models
and people is hostile; Jinja2 escapes it, and the policy stands behind.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.report.maths import to_markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """The page of a template under TEMPLATES; `scripts` are files beside it, run in order."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    surroundings = {"style": Markup(style), "script": Markup(script), "policy": _policy(style, script)}
    return _environment().get_template(template).render(surroundings | values)


def replace_file(path: Path, text: str) -> None:
    """Writes `text` beside `path`, then moves it there, so that a reader or a full disk never meets half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Model text may hold half of a surrogate pair, which UTF-8 can't.
        temporary.write_bytes(text.encode("utf-8", errors="replace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"urlpath": lambda text: quote(text, safe=""), "math": to_markup}
    return environment


def _policy(style: str, script: str) -> str:
    """The content security policy under which only these two texts may style the page or run in it.

    'strict-dynamic' lets the script load data files that it names itself, and no element in the page's text any.
    """
    allowed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    scripts = f"'sha256-{allowed[1]}' 'strict-dynamic'" if script else "'none'"
    return (
        f"default-src 'none'; style-src 'sha256-{allowed[0]}'; script-src {scripts}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
