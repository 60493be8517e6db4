"""Files of the command line: what a user can get wrong is one sentence, and nothing is ever half written."""

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from graders.__main__ import EXIT_INTERRUPTED, main
from graders.files import UsageError, check_target, read_pairs, write_rows

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"id": 1, "gold": "5", "answer": "5"}


def _refused(source: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The message, after checking that it is one line, names the file and comes with exit code 2."""
    target = source.with_name("out.jsonl")
    assert main(["grade", str(source), "--out", str(target)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and str(source) in message
    assert not target.exists()
    return message


def _graded(tmp_path: Path, raw: bytes, *options: str, code: int = 0) -> list[dict[str, Any]]:
    """The rows that `grade` writes for a file of these bytes; they must be UTF-8 and JSON."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(raw)
    assert main(["grade", str(source), "--out", str(target), *options]) == code
    rows = target.read_bytes().decode("utf-8").split("\n")[:-1] if target.exists() else []
    return [json.loads(row, parse_constant=pytest.fail) for row in rows]


def _line(**fields: object) -> bytes:
    return json.dumps({"id": 1, "gold": "5", "answer": "5"} | fields).encode() + b"\n"


R = "\N{REPLACEMENT CHARACTER}"
# a line's bytes -> id, extracted, status
HOSTILE = {
    "half a pair": (_line(answer="\ud800"), 1, R, "wrong"),
    "half a pair in the gold": (_line(gold="\udfff", answer="\ud800"), 1, R, "correct"),
    "half a pair in an output": (
        b'{"id": 1, "gold": "5", "output": "\\udead \\\\boxed{5\\ud83d}"}\n', 1, f"5{R}", "wrong"
    ),
    "half a pair as an id": (_line(id="\udc00"), R, "5", "correct"),
    "half a pair inside an id": (_line(id=[{"\ud83d": "\ude00"}]), [{R: R}], "5", "correct"),
    "a byte that is not UTF-8": (_line(answer="5x").replace(b"x", b"\xff"), 1, f"5{R}", "wrong"),
    "an id in Latin-1": (_line(id="x").replace(b"x", b"\xbd"), R, "5", "correct"),
    "a cut character": (_line(answer="x").replace(b"x", "½".encode()[:1]), 1, R, "wrong"),
    "an encoded surrogate": (_line(answer="x").replace(b"x", b"\xed\xa0\x80"), 1, R * 3, "wrong"),
    "null": (_line(answer="5\0"), 1, "5\0", "wrong"),
    "control characters": (_line(answer="\x1b[31m\x07\x7f"), 1, "\x1b[31m\x07\x7f", "wrong"),
    "directions": (_line(answer="\u202e5\u2028"), 1, "\u202e5\u2028", None),
    "a large number as an id": (_line(id=10**4000), 10**4000, "5", "correct"),
    "a key twice": (b'{"id": 1, "gold": "6", "gold": "5", "answer": "5"}\n', 1, "5", "correct"),
    "not finite beside the fields": (_line(score=float("nan")), 1, "5", "correct"),
    "deep beside the fields": (
        _line(more=0).replace(b": 0", b": " + b"[" * 300 + b"]" * 300), 1, "5", "correct"
    ),
    "a line separator of Unicode": (_line(id="\u2028\x85"), "\u2028\x85", "5", "correct"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_an_answer_and_costs_no_other_line(tmp_path: Path, name: str) -> None:
    raw, identity, extracted, status = HOSTILE[name]
    first, row, last = _graded(tmp_path, _line(id="a") + raw + _line(id="b", answer="6"))
    assert (first["id"], first["status"]) == ("a", "correct")
    assert (last["id"], last["status"]) == ("b", "wrong")
    assert (row["id"], row["extracted"]) == (identity, extracted)
    assert row["status"] == status or status is None


def test_what_was_replaced_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _graded(tmp_path, _line(answer="\ud800") + _line() + _line(answer="x").replace(b"x", b"\xff"))
    assert "2 lines have bytes that are not UTF-8" in capsys.readouterr().err
    _graded(tmp_path, _line(answer=R))
    assert "UTF-8" not in capsys.readouterr().err


DEEP = b"[" * 100_000 + b"]" * 100_000
# a line's bytes -> words of the message
FAULTS = [
    (b"not json\n", ["'not json' is not JSON"]),
    (b"\0\n", [r"'\x00' is not JSON"]),
    (b"[1]\n", ["'[1]' is not an object"]),
    (b"NaN\n", ["'NaN' is not an object"]),
    (DEEP + b"\n", ["nests too deeply"]),
    (b'{"id": ' + DEEP + b', "gold": "5", "answer": "5"}\n', ["nests too deeply"]),
    (_line(id=0).replace(b": 0", b": " + b"[" * 25 + b"]" * 25), ['"id" nests deeper than 20']),
    (_line(id=0).replace(b": 0", b": " + b"9" * 5000), ["thousands of digits", "quotes"]),
    (_line(id=0).replace(b": 0", b": 1e999"), ['"id"', "not finite"]),
    (_line(id=float("nan")), ['"id"', "not finite"]),
    (_line(id=[float("inf")]), ['"id"', "not finite"]),
    (b'{"gold": "5", "answer": "5"}\n', ['"id" is missing', "add it"]),
    (b'{"id": 1, "answer": "5"}\n', ['"gold" is missing', "add it"]),
    (b'{"id": 1, "gold": "5"}\n', ["exactly one", '"output"', '"answer"']),
    (_line(output="5"), ["exactly one", '"output"', '"answer"']),
    (_line(gold=5), ['"gold" is 5, not a string', "quotes"]),
    (_line(answer=None), ['"answer" is null, not a string']),
    (_line(answer=["5"]), ['"answer" is a list, not a string']),
    (_line(gold=True), ['"gold" is true, not a string']),
    (_line(gold={}), ['"gold" is an object, not a string']),
    (_line(gold=float("nan")), ['"gold" is NaN, not a string']),
]


@pytest.mark.parametrize(("raw", "said"), FAULTS)
def test_a_faulty_line_is_one_sentence_and_can_be_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes, said: list[str]
) -> None:
    content = _line(id="a") + b"\n" + raw + _line(id="b")
    assert _graded(tmp_path, content, code=2) == []
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and len(message) < 400
    assert [w for w in ["in.jsonl, line 3: ", "--skip-bad", *said] if w not in message] == []
    assert main(["panel", str(tmp_path / "in.jsonl")]) == 2
    capsys.readouterr()
    assert [row["id"] for row in _graded(tmp_path, content, "--skip-bad")] == ["a", "b"]
    message = capsys.readouterr().err
    assert [w for w in ["skipped 1 of 3 lines", "line 3: ", *said] if w not in message] == []


def test_faulty_lines_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"".join(raw for raw, _ in FAULTS) + _line()
    assert _graded(tmp_path, content, code=2) == []
    message = capsys.readouterr().err
    lines = message.rstrip().split("\n")
    assert f"{len(FAULTS)} of {len(FAULTS) + 1} lines" in lines[0]
    assert "nothing was written" in lines[0]
    assert [line.split(":")[0] for line in lines[1:11]] == [f"  line {k}" for k in range(1, 11)]
    assert lines[11:] == [f"  and {len(FAULTS) - 10} more"]
    assert len(_graded(tmp_path, content, "--skip-bad")) == 1
    message = capsys.readouterr().err
    assert f"skipped {len(FAULTS)} of {len(FAULTS) + 1} lines" in message
    assert f"and {len(FAULTS) - 10} more" in message


@pytest.mark.parametrize(
    ("raw", "options"),
    [(b"", ()), (b"\n \r\n", ()), (b"\xef\xbb\xbf", ()), (b"no\n", ("--skip-bad",))],
)
def test_nothing_to_grade_is_no_rows(tmp_path: Path, raw: bytes, options: tuple[str, ...]) -> None:
    assert _graded(tmp_path, raw, *options) == []
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_files_that_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, pipe, wide = tmp_path / "packed.jsonl", tmp_path / "pipe", tmp_path / "wide.jsonl"
    cut, folder = tmp_path / "cut.jsonl.gz", tmp_path / "folder"
    packed.write_bytes(gzip.compress(_line()))
    cut.write_bytes(gzip.compress(_line() * 1000)[:60])
    wide.write_text(_line().decode(), encoding="utf-16")
    os.mkfifo(pipe)
    folder.mkdir()
    assert "packed with gzip" in _refused(packed, capsys)
    assert "cannot read" in _refused(cut, capsys)
    assert "UTF-16" in _refused(wide, capsys)
    assert "named pipe" in _refused(pipe, capsys)
    assert "is a folder" in _refused(folder, capsys)
    for source, said in [("/dev/zero", "is a device"), ("x" * 300, "cannot read")]:
        assert main(["grade", source, "--out", str(tmp_path / "out.jsonl")]) == 2
        assert said in capsys.readouterr().err


def test_pipes_of_a_shell(tmp_path: Path) -> None:
    """`<(command)`, /dev/stdin, and /dev/stdout, which is a link that must not be replaced."""
    target = tmp_path / "out.jsonl"
    target.write_text("before\n")
    line = _line().decode().strip()
    grade = f"'{sys.executable}' -m graders grade"
    script = (
        f"{grade} <(echo '{line}') --out /dev/stdout >> {target};"
        f"echo '{line}' | {grade} /dev/stdin --out /dev/stdout | cat >> {target}"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "graded 1" in done.stderr
    first, *rows = target.read_text().splitlines()
    assert first == "before" and [json.loads(row)["status"] for row in rows] == ["correct"] * 2
    assert Path("/dev/stdout").is_symlink()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.jsonl", tmp_path / "out.jsonl"
    real.write_text("before\n")
    link.symlink_to(real)
    assert len(_graded(tmp_path, _line())) == 1
    assert link.is_symlink() and len(real.read_text().splitlines()) == 1


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("before\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("graders.files.os.replace", full)
    with pytest.raises(UsageError, match="No space left on device; change --out or free"):
        write_rows(target, [{"id": 1}])
    assert target.read_text() == "before\n" and list(tmp_path.iterdir()) == [target]


def test_no_processes_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("graders.__main__.grade_answers", refused)
    assert _graded(tmp_path, _line(), code=1) == []
    assert "Resource temporarily unavailable; nothing was written" in capsys.readouterr().err


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "gold": "5", "answer": "\\ud83d\\ude00"}\n')
    assert main(["grade", str(source), "--out", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["extracted"] == "\N{GRINNING FACE}"


def test_gzip_and_byte_order_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.dumps(GOOD).encode() + b"\n"
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + line))
    assert read_pairs(packed).good == [GOOD]
    packed.write_bytes(line)
    assert "cannot read" in _refused(packed, capsys)


def test_targets_that_must_not_be_written(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(GOOD) + "\n")
    with pytest.raises(UsageError, match="it is the input"):
        check_target(source, source)
    with pytest.raises(UsageError, match="it is a folder"):
        check_target(tmp_path, source)
    with pytest.raises(UsageError, match="create it"):
        check_target(tmp_path / "no" / "out.jsonl", source)


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write_rows(pipe, [{"id": 1}])
        assert reader.communicate(timeout=20)[0] == b'{"id": 1}\n'
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("gold", "answer", "shown", "verdict"),
    [
        ("5", "\udcff", R, "wrong"),
        ("\ud800", "\udcff", R, "correct"),
        ("5", "\x1b[2J5", r"\x1b[2J5", "wrong"),
        ("5", "\0", r"\x00", "wrong"),
        (r"\ln 8", "3\\ln 2\ud800", f"2{R}", "wrong"),
    ],
)
def test_explain_takes_any_words(
    capsys: pytest.CaptureFixture[str], gold: str, answer: str, shown: str, verdict: str
) -> None:
    assert main(["explain", gold, answer]) == 0
    said = capsys.readouterr().out
    assert shown in said and f"verdict    {verdict}" in said and "\x1b" not in said


def test_a_case_is_made_of_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.jsonl"
    assert main(["label", "--table", str(table), "5", "\udcff", "different"]) == 2
    assert "ANSWER holds half of a surrogate pair" in capsys.readouterr().err
    assert not table.exists()


def test_a_locale_without_the_characters(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "graders", "explain", "½", "√2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "") and r"\u221a2" in done.stdout


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(GOOD) + "\n")
    monkeypatch.setattr("graders.__main__.grade_answers", interrupted)
    assert main(["grade", str(source), "--out", str(target)]) == EXIT_INTERRUPTED
    assert capsys.readouterr().err.strip().count("\n") == 0
    assert not target.exists()


def test_ctrl_c_while_workers_are_busy(tmp_path: Path) -> None:
    """The signal that a terminal sends goes to the workers too; neither may print a traceback."""
    hard = "+".join(rf"\sin({k}x+10^{{1900}})" for k in range(2, 60))
    rows = [{"id": k, "gold": f"{hard}+{k}", "answer": f"{hard}-{k}".replace("sin", "cos")} for k in range(60)]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "graders", "grade", str(source), "--out", str(target)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell starts in the background ignores the signal, and so would everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        time.sleep(3)
        os.killpg(running.pid, signal.SIGINT)
        message = running.communicate(timeout=20)[1]
    assert running.returncode == EXIT_INTERRUPTED
    assert "interrupted" in message and "Traceback" not in message
    assert not target.exists()


def test_a_reader_that_has_enough() -> None:
    code = (
        "import graders.__main__ as command, sys; command.explain = lambda *_: 'line\\n' * 200_000;"
        "sys.exit(command.main(['explain', '1', '2']))"
    )
    pipe = f"set -o pipefail; '{sys.executable}' -c \"{code}\" | head -1"
    done = subprocess.run(["bash", "-c", pipe], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")
