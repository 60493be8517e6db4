"""What folders are called: as short as can be, never two alike, and nothing that a terminal would obey."""

import pytest

from eval.names import label_paths, printable

HUB = "owner/model"


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["/x/demo"], ["demo"]),
        (["/x/a", "/x/b"], ["a", "b"]),
        (["/x/runA/final", "/x/runB/final"], ["runA/final", "runB/final"]),
        (["/x/a/run/final", "/x/b/run/final"], ["a/run/final", "b/run/final"]),
        (["/1/a/run/final", "/2/a/run/final", "/x/other"], ["1/a/run/final", "2/a/run/final", "other"]),
        (["/x/final", "/x/runB/final"], ["x/final", "runB/final"]),
        (["/x/run", "/x/run/run"], ["x/run", "run/run"]),  # nested, and of one name
        (["/x/run", "/x/run/inner"], ["run", "inner"]),
        (["/x/demo", "/x/demo"], ["demo", "demo"]),
        (["/demo", "/x/demo"], ["/demo", "x/demo"]),
        (["demo", "/x/demo"], ["demo", "x/demo"]),  # one that an earlier version stored
        (["a/demo", "/a/demo"], ["a/demo", "/a/demo"]),
        ([HUB, "/x/llama"], [HUB, "llama"]),
        ([HUB, "/x/owner/model"], [HUB, "x/owner/model"]),
        ([HUB, "/x/model"], [HUB, "x/model"]),
        (["/x/a b", "/x/[red]c"], ["a b", "[red]c"]),
        (["/x/a\x1b[31m"], ["a[31m"]),
        (["/x/a\nb"], ["ab"]),
        (["/"], ["/"]),
        (["/x/\x1b\x1b"], ["_"]),
        (["/x/.\x1b."], ["_.."]),
        (["/x/\ud800a"], ["a"]),
    ],
)
def test_labels_are_the_shortest_ends_that_differ(paths: list[str], labels: list[str]) -> None:
    found = label_paths(paths, {HUB})
    assert [found[path] for path in paths] == labels
    assert label_paths(reversed(paths), {HUB}) == found, "the order does not matter"


def test_what_reads_alike_gets_digits() -> None:
    found = label_paths(["/x/a\x1b", "/x/a\x07", "/x/b"])
    assert len(set(found.values())) == 3 and found["/x/b"] == "b"
    assert all(label.startswith("/x/a (") and printable(label) == label for label in list(found.values())[:2])
