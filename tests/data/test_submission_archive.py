"""The archive: the same bytes for the same content, and a malicious one is refused before anything is unpacked."""

import io
import json
import os
import py_compile
import stat
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from data.submission import archive
from eval.records import UserError

STOCK_PYTHON = Path(__file__).resolve().parents[2] / ".venv-stock" / "bin" / "python"


def entry(name: str, kind: int = stat.S_IFREG, **changes) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for info, content in entries:
            opened.writestr(info, content)
    return path


def claims(path: Path, size: int) -> Path:
    """An archive whose directory says that its one file has `size` bytes."""
    zipped(path, (entry("dataset/train.jsonl"), b"\0" * 1000))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(signature) + offset
        content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def overlapping(path: Path) -> Path:
    """Two entries of the directory that share the bytes of one: the bomb that no single ratio shows."""
    zipped(path, (entry("a"), bytes(range(256)) * 40), (entry("b"), b"x"))
    content = path.read_bytes()
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    end = content.index(b"PK\x05\x06")
    record, last = content[first:second], bytearray(content[end:])
    copies = b"".join(record[:46] + name + record[47:] for name in (b"a", b"c", b"d", b"e", b"f", b"g"))
    struct.pack_into("<HHI", last, 8, 6, 6, len(copies))
    path.write_bytes(content[:first] + copies + bytes(last))
    return path


MALICIOUS = {
    "path traversal": (lambda p: zipped(p, (entry("../../evil"), b"x")), "archive-path"),
    "traversal inside": (lambda p: zipped(p, (entry("dataset/../../evil"), b"x")), "archive-path"),
    "absolute path": (lambda p: zipped(p, (entry("/etc/evil"), b"x")), "archive-path"),
    "Windows path": (lambda p: zipped(p, (entry("C:\\evil"), b"x")), "archive-path"),
    "newline in a name": (lambda p: zipped(p, (entry("a\nb"), b"x")), "archive-path"),
    "symlink": (lambda p: zipped(p, (entry("sft_utils.py", stat.S_IFLNK), b"/etc/passwd")), "archive-link"),
    "device": (lambda p: zipped(p, (entry("sda", stat.S_IFBLK), b"")), "archive-special"),
    "character device": (lambda p: zipped(p, (entry("zero", stat.S_IFCHR), b"")), "archive-special"),
    "pipe": (lambda p: zipped(p, (entry("wait", stat.S_IFIFO), b"")), "archive-special"),
    "3.9 GB in a kilobyte": (lambda p: claims(p, 3_900_000_000), "archive-bomb"),
    "overlapping entries": (overlapping, "archive-bomb"),
    "too many files": (lambda p: zipped(p, *((entry(f"f{n}"), b"x") for n in range(51))), "archive-files"),
    "the same name twice": (lambda p: zipped(p, (entry("a.py"), b"1"), (entry("./A.py"), b"2")), "archive-twice"),
    "encrypted": (lambda p: flagged(zipped(p, (entry("a"), b"x"))), "archive-encrypted"),
    "LZMA": (lambda p: zipped(p, (entry("a", compress_type=zipfile.ZIP_LZMA), b"x")), "archive-method"),
    "no zip": (lambda p: p.write_bytes(b"PK nothing") and p, "zip"),
}


def flagged(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("make", "check"), MALICIOUS.values(), ids=MALICIOUS)
def test_a_malicious_archive_is_refused_before_extraction(make, check, tmp_path):
    path = make(tmp_path / "bad.zip")
    assert check in {finding.check for finding in archive.findings(path)}
    with pytest.raises(UserError, match="nothing was unpacked") as caught:
        archive.extract(path, tmp_path / "inner" / "out")
    assert caught.value.exit_code == 1
    assert {each.name for each in tmp_path.iterdir()} == {"bad.zip"}


def test_ten_gigabytes_are_refused_by_what_the_directory_says(tmp_path):
    """Zip64's sizes, as a real bomb of 10 GB has them, without its 10 GB."""
    path = zipped(tmp_path / "bomb.zip", (entry("dataset/train.jsonl"), b"\0" * 1000))
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    record = bytearray(content[at:end])
    record[24:28] = b"\xff\xff\xff\xff"
    record[30:32] = struct.pack("<H", 12)
    record += struct.pack("<HHQ", 1, 8, 10 * 2**30)
    last = bytearray(content[end:])
    struct.pack_into("<I", last, 12, len(record))
    path.write_bytes(content[:at] + bytes(record) + bytes(last))
    assert {finding.check for finding in archive.findings(path)} == {"archive-size", "archive-bomb"}


@pytest.mark.parametrize("size", [10, 5000], ids=["holds more than it says", "holds less"])
def test_an_archive_that_lies_about_sizes_leaves_nothing_behind(size, tmp_path):
    path = claims(tmp_path / "lies.zip", size)
    with pytest.raises(UserError, match="damaged"):
        archive.extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_files_are_the_same_archive_and_come_back(tmp_path):
    folder = tmp_path / "submission"
    (folder / "dataset").mkdir(parents=True)
    for name, content in (("sft_utils.py", "x = 1\n"), ("dataset/train.jsonl", "é" * 5000)):
        (folder / name).write_text(content)
    archive.pack(folder, tmp_path / "a.zip")
    (folder / "sft_utils.py").touch()
    archive.pack(folder, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    archive.extract(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "dataset" / "train.jsonl").read_text() == "é" * 5000
    assert archive.findings(tmp_path / "a.zip") == []


def test_random_bytes_end_in_one_sentence(tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as opened:
        opened.writestr("a", b"x" * 100)
    content = whole.getvalue()
    for cut in range(0, len(content), 7):
        path = tmp_path / "cut.zip"
        path.write_bytes(content[:cut] + b"\xff" * 3 + content[cut + 3 :])
        try:
            archive.extract(path, tmp_path / f"out{cut}")
        except UserError as error:
            assert str(error)


def packed(folder: Path, problem: str) -> Path:
    """A submission's archive; all problems of one length give files of one size."""
    (folder / "dataset").mkdir(parents=True)
    for split in ("train", "validation"):
        (folder / "dataset" / f"{split}.jsonl").write_text(json.dumps({"problem": problem}) + "\n")
    (folder / "sft_utils.py").write_text(f"problem = {problem!r}\n")
    archive.pack(folder, folder.with_suffix(".zip"))
    return folder.with_suffix(".zip")


def unzip(path: Path, place: Path) -> None:
    """Unpacks over what is there, with the entries' times, as the command of that name does."""
    with zipfile.ZipFile(path) as opened:
        for info in opened.infolist():
            written = time.mktime((*info.date_time, 0, 0, -1))
            os.utime(opened.extract(info, place), (written, written))


LOAD = """
import datasets, sys
files = {split: f"{sys.argv[1]}/dataset/{split}.jsonl" for split in ("train", "validation")}
rows = datasets.load_dataset("json", data_files=files)
print(rows["train"]["problem"][0], rows["validation"]["problem"][0], sep="|")
"""


@pytest.mark.parametrize("python", [sys.executable, str(STOCK_PYTHON)], ids=["current", "stock"])
def test_a_second_submission_at_the_same_place_is_loaded_not_the_first(python, tmp_path):
    """`datasets` keeps what it read by path and time; sizes are equal here too."""
    if not Path(python).is_file():
        pytest.skip("no .venv-stock: `make rehearse` makes it, then this runs on the contract's own versions")
    loaded, environment = [], os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_DATASETS_OFFLINE": "1"}
    for problem in ("first?", "other?"):
        unzip(packed(tmp_path / problem[:-1], problem), tmp_path / "place")
        command = [python, "-c", LOAD, str(tmp_path / "place")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        loaded.append(done.stdout.strip())
    assert loaded == ["first?|first?", "other?|other?"]


def test_bytecode_of_an_earlier_submission_is_not_run(tmp_path):
    """Python compares time and size of a source with those that its bytecode was made from."""
    for problem in ("first?", "other?"):
        unzip(packed(tmp_path / problem[:-1], problem), tmp_path / "place")
        command = [sys.executable, "-c", "import sft_utils; print(sft_utils.problem)"]
        done = subprocess.run(command, cwd=tmp_path / "place", capture_output=True, text=True, check=True)
        assert done.stdout.strip() == problem
        py_compile.compile(str(tmp_path / "place" / "sft_utils.py"))


def test_times_are_by_content_valid_and_past(tmp_path):
    digests = [f"{number:064x}" for number in (*range(2000), archive.TIMES - 1, archive.TIMES * 7 - 1)]
    times = {archive.time_of(digest) for digest in digests}
    assert len(times) == len(digests) - 1, "the last two are the same, TIMES apart"
    assert min(times) == (1980, 1, 1, 0, 0, 0) and max(times) < (2020, 1, 1) < time.gmtime()
    assert all(second % 2 == 0 for *_, second in times)


def test_files_that_we_unpack_have_the_time_of_their_content_whatever_the_archive_says(tmp_path):
    """An archive of somebody else, with one time for all: that of 1980, as zip files without times have."""
    for name in ("first", "other"):
        path = zipped(tmp_path / f"{name}.zip", (entry("dataset/train.jsonl"), name.encode()))
        archive.extract(path, tmp_path / name)
    ours = packed(tmp_path / "ours", "first?")
    archive.extract(ours, tmp_path / "out")
    unzip(ours, tmp_path / "unzipped")
    times = [(tmp_path / name / "dataset" / "train.jsonl").stat().st_mtime for name in ("first", "other")]
    assert times[0] != times[1]
    both = [(tmp_path / name / "sft_utils.py").stat().st_mtime for name in ("out", "unzipped")]
    assert both[0] == both[1], "what `unzip` restores is what we set"
