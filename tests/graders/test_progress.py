"""The progress line: rate, time left, and silence where it would only be noise."""

import io

import pytest

from graders.progress import _duration, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _run(stream: io.StringIO, seconds: float, total: int = 50_000) -> list[str]:
    """What is written while `total` things take so many seconds."""
    now = 0.0

    def clock() -> float:
        return now

    show = progress_line(stream=stream, clock=clock)
    for done in range(1, total + 1):
        now = seconds * done / total
        show(done, total)
    return stream.getvalue().replace("\x1b[K", "").replace("\r", "\n").split("\n")


def test_rate_and_time_left() -> None:
    lines = [line for line in _run(Terminal(), 10.0) if line]
    assert 40 < len(lines) < 50
    assert lines[0] == "graded 5,000 of 50,000   5,000/s   9 s left"


def test_a_log_gets_few_lines() -> None:
    assert len([line for line in _run(io.StringIO(), 60.0) if line]) == 6


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "log"])
def test_a_short_run_is_silent(stream: io.StringIO) -> None:
    assert "".join(_run(stream, 0.9)) == ""


def test_nothing_done_yet() -> None:
    stream = Terminal()
    times = iter([0.0, 5.0])
    progress_line(stream=stream, clock=lambda: next(times))(0, 10)
    assert "time left unknown" in stream.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(9.4, "9 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")])
def test_durations(seconds: float, said: str) -> None:
    assert _duration(seconds) == said
