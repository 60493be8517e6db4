"""The archive: the same bytes for the same content, and a malicious one is refused before anything is unpacked."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from data.submission import archive
from eval.records import UserError


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
