"""Files of the command line: what a user can get wrong is one sentence, and nothing is ever half written."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"id": 1, "gold": "5", "answer": "5"}\n{"id": 2, "gold": "\xff", "answer": "5"}\n', ["line 2", "0xff"]),
        ('{"id": 1, "gold": "5", "answer": "½"}\n'.encode("latin-1"), ["line 1", "0xbd", "UTF-8"]),
        (b'{"id": 1, "gold": "5", "answer": "\\ud800"}\n', ["line 1", '"answer"', r"'\ud800'", r"\ufffd"]),
        (b'{"id": "\\udc00", "gold": "5", "answer": "5"}\n', ["line 1", '"id"', r"'\udc00'"]),
        (b'{"id": ["\\ud83d"], "gold": "5", "answer": "5"}\n', ["line 1", '"id"']),
        (b'{"id": ' + b"9" * 5000 + b', "gold": "5", "answer": "5"}\n', ["line 1", "is not JSON"]),
        (b"[" * 5000 + b"\n", ["line 1", "is not JSON"]),
    ],
)
def test_bytes_that_are_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes, said: list[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(raw)
    message = _refused(source, capsys)
    assert [word for word in said if word not in message] == []


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "gold": "5", "answer": "\\ud83d\\ude00"}\n')
    assert main(["grade", str(source), "--out", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["extracted"] == "\N{GRINNING FACE}"


def test_gzip_and_byte_order_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.dumps(GOOD).encode() + b"\n"
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + line))
    assert read_pairs(packed) == [GOOD]
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


def test_words_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "5", "\udcff"]) == 2
    assert "ANSWER" in capsys.readouterr().err


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
    hard = "+".join(rf"\sin(\sqrt{{{k}}}+10^{{1900}})" for k in range(2, 250))
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
