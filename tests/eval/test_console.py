"""Progress for people and for logs, and library noise that ends up in a file whatever happens."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from eval import console as console_module
from eval.console import console_on, progress, quiet, unexpected_errors
from eval.records import UserError

Printed = Callable[[], tuple[str, str]]


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """tick(seconds) moves the clock that progress reads."""
    now = 1000.0

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(console_module.time, "monotonic", lambda: now)
    return move


def plain() -> tuple[Console, Callable[[], list[str]]]:
    stream = io.StringIO()
    return console_on(stream), lambda: stream.getvalue().splitlines()


def test_progress_in_a_log_prints_a_line_now_and_then(tick: Callable[[float], None]) -> None:
    console, lines = plain()
    with progress(console, "decode checkpoint-60", 120, "problem") as advance:
        tick(10)
        advance(20, "90 tokens/s")
        assert lines() == []
        tick(10)
        advance(40, "95 tokens/s")
        tick(1)
        advance(41, "95 tokens/s")
        tick(79)
        advance(120, "99 tokens/s")
    assert lines() == [
        "decode checkpoint-60  40/120  2.0 problem/s  0:20 gone, 0:40 left  95 tokens/s",
        "decode checkpoint-60  120/120  1.2 problem/s  1:40 gone, 0:00 left  99 tokens/s",
    ]


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (1, 90, "1/10  90.0 s/step  1:30 gone, 13:30 left"),
        (0, 20, "0/10  - step/s  0:20 gone, time left unknown"),
        (10, 0, "10/10  - step/s  0:00 gone, 0:00 left"),
    ],
    ids=["slower than one a second", "nothing done yet", "done at once"],
)
def test_progress_gives_rate_and_time_left(done: int, seconds: float, line: str, tick: Callable[[float], None]) -> None:
    console, lines = plain()
    with progress(console, "train", 10, "step") as advance:
        tick(seconds)
        advance(done)
    assert [printed.rstrip() for printed in lines()] == [f"train  {line}"]


def test_progress_keeps_brackets_and_long_names_on_one_line() -> None:
    console, lines = plain()
    description = f"decode run[lr=1e-5][/b] {'x' * 130}"
    with progress(console, description, 1, "problem") as advance:
        advance(1)
    assert len(lines()) == 1
    assert lines()[0].startswith(f"{description}  1/1")


def test_progress_on_a_terminal_is_a_bar_with_count_rate_and_note() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160, color_system=None)
    with progress(console, "train run[/b]", 4, "steps") as advance:
        advance(3, "loss 0.123")
    for words in ("train run[/b]", "3/4", "steps", "left", "loss 0.123"):
        assert words in stream.getvalue()


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Printed:
    """What came through descriptors 1 and 2 since the last call."""
    return lambda: tuple(capfd.readouterr())  # type: ignore[return-value]


def make_noise(word: str) -> None:
    """Output of the kinds that redirecting sys.stdout does not catch."""
    os.write(1, f"{word} out\n".encode())
    os.write(2, f"{word} err\n".encode())
    subprocess.run(["echo", f"{word} child"], check=True)


def test_quiet_sends_noise_to_the_log_and_messages_to_the_terminal(tmp_path: Path, printed: Printed) -> None:
    log = tmp_path / "deeper" / "eval.log"
    for word in ("first", "second"):
        with quiet(log) as console:
            make_noise(word)
            console.print(f"message {word}")
    assert printed() == ("", "message first\nmessage second\n")
    assert log.read_text() == "".join(f"{word} out\n{word} err\n{word} child\n" for word in ("first", "second"))

    make_noise("after")
    assert printed() == ("after out\nafter child\n", "after err\n")


@pytest.mark.parametrize("error", [ValueError("no"), UserError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_quiet_gives_both_descriptors_back_when_the_body_raises(
    error: BaseException, tmp_path: Path, printed: Printed
) -> None:
    before = open_descriptors()
    with pytest.raises(type(error)), quiet(tmp_path / "eval.log"):
        make_noise("inside")
        raise error
    make_noise("after")
    assert printed() == ("after out\nafter child\n", "after err\n")
    assert open_descriptors() == before


def test_a_log_that_cannot_be_opened_is_one_sentence(tmp_path: Path, printed: Printed) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    log = tmp_path / "reports" / "eval.log"
    before = open_descriptors()
    with pytest.raises(UserError, match=r"reports is no folder to write to \(File exists\)") as refusal, quiet(log):
        pytest.fail("there is no log")
    assert refusal.value.exit_code == 2
    assert open_descriptors() == before
    make_noise("after")
    assert printed() == ("after out\nafter child\n", "after err\n")


def test_an_unforeseen_error_is_one_sentence_and_its_traceback_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as refusal, unexpected_errors(tmp_path / "eval.log"):
        raise RuntimeError("CUDA error\nand 40 lines more")
    assert refusal.value.exit_code == 1
    assert str(refusal.value) == f"RuntimeError: CUDA error (the whole story is at the end of {tmp_path / 'eval.log'})."
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_named_whatever_the_library_called_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=4096))
    with pytest.raises(UserError, match=r": the disk is full; free some space"), unexpected_errors(tmp_path / "x.log"):
        raise RuntimeError("unexpected pos 64 vs 0")


def test_a_foreseen_error_passes_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^no such folder$"), unexpected_errors(tmp_path / "eval.log"):
        raise UserError("no such folder")
    assert capsys.readouterr().err == ""


def open_descriptors() -> set[str]:
    if sys.platform != "linux":
        pytest.skip("counts descriptors in /proc")
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}
