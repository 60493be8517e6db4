"""Chat templates of other people's models: rendered within bounds, because a template is a program that came with weights."""

from __future__ import annotations

import difflib
import inspect
import json
import re
import resource
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.console import printable
from eval.records import UserError, first_line

SECONDS = 10  # a template takes a millisecond
MEMORY_BYTES = 1 << 30
LONGEST_TEXT = 1_000_000  # characters: more than any context holds
# What every template may read without being told.
GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"}
CONSTANTS = {"True": True, "False": False, "None": None}
SWITCHES = {"true", "false", "none", "null", "yes", "no", "on", "off"}
GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")

Turns = Sequence[Mapping[str, str]]


class TemplateFault(Exception):
    """A chat template failed, or did not end; its text says how, in printable characters."""


def render_chat(turns: Turns, tokenizer: Any, arguments: Mapping[str, Any]) -> str:
    """The chat's text, up to where the model's answer begins. Raises TemplateFault."""
    try:
        with _bounded():
            text = tokenizer.apply_chat_template(
                [dict(turn) for turn in turns], add_generation_prompt=True, tokenize=False, **arguments
            )
    except Exception as error:  # a template is a program: it may raise anything
        raise TemplateFault(_said(error)) from None
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise TemplateFault(f"it writes more than {LONGEST_TEXT:,} characters for one problem")
    return text


def check_arguments(tokenizer: Any, arguments: Mapping[str, Any]) -> None:
    """Raises UserError for an argument that the template never reads, or that the evaluation itself sets."""
    own = {*inspect.signature(tokenizer.apply_chat_template).parameters, "messages"} - {"kwargs"}
    read = read_by(tokenizer) - own - GIVEN if arguments else set()
    for name in arguments:
        if name in own:
            raise UserError(f"--template-arg {name}: the evaluation sets that itself; leave it out.")
        if name not in read:
            near = difflib.get_close_matches(name, sorted(read), n=1)
            known = f"did you mean {near[0]}?" if near else f"it reads {', '.join(sorted(read)) or 'no argument'}."
            raise UserError(f"--template-arg {name}: the chat template never reads {name}; {known}")


def read_by(tokenizer: Any) -> set[str]:
    """The names that the template reads and does not set."""
    from jinja2 import TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        # transformers' own tag, which marks what the assistant says, hides nothing.
        source = GENERATION_TAG.sub("", str(tokenizer.get_chat_template()))
        with _bounded():
            parsed = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
        return {printable(name) for name in meta.find_undeclared_variables(parsed)}
    except (TemplateError, ValueError, RecursionError, MemoryError, TimeoutError) as error:
        raise UserError(f"--prompt tokenizer: the chat template cannot be read ({_said(error)}).", 1) from None


def parse_argument(text: str) -> tuple[str, Any]:
    """("enable_thinking", False) of "enable_thinking=false": a value that is no JSON is text. Raises ValueError."""
    name, mark, value = text.partition("=")
    if not mark or not name.isidentifier():
        raise ValueError(f"{text!r} is not KEY=VALUE with a name as KEY, such as enable_thinking=false")
    check_text(text)
    try:
        parsed = json.loads(value, parse_constant=lambda constant: constant)
    except (ValueError, RecursionError):
        return name, read_constant(value)
    check_text(json.dumps(parsed, ensure_ascii=False))
    return name, parsed


def read_constant(value: str) -> str | bool | None:
    """Text, or the constant that is meant by Python's spelling, as model cards write it. Raises ValueError for other ones.

    Any text is true to a template, `no` too.
    """
    if value in CONSTANTS:
        return CONSTANTS[value]
    if value.strip().casefold() in SWITCHES:
        raise ValueError(f"{value!r} would be a text, which a template takes for true; write true or false")
    return value


def check_text(text: str) -> str:
    """`text`; raises ValueError where UTF-8 cannot hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not UTF-8 (character {error.start}); write it as UTF-8") from None
    return text


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends what runs too long (TimeoutError) or takes too much memory (MemoryError). Signals reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        room = _address_space_bytes() + MEMORY_BYTES
        if soft == resource.RLIM_INFINITY or room < soft:
            resource.setrlimit(resource.RLIMIT_AS, (room, hard))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _too_long(number: int, frame: Any) -> None:
    raise TimeoutError(f"it did not end within {SECONDS} seconds")


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _said(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes more than 1 GB of memory"
    if isinstance(error, RecursionError):
        return "it calls itself without end"
    return printable(first_line(error))[:200]
