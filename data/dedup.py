"""Exact and near duplicates among problems: MinHash through rensa, bands to find candidates, and a rule for whom to keep.

Problems that differ in a number, a sign, a formula, or a word such as "least" for "greatest" are different problems
however alike their sentences are: what decides the answer must agree before similarity is asked at all. So templates of
arithmetic word problems stay apart, and renamed, reworded or differently typed copies do not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import rensa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data.placeholders import is_never_an_answer
from data.text import is_number, normalised
from graders import extract_boxed

# Signatures of 128 estimate a Jaccard similarity to 0.03 (standard error at 0.8); 16 bands of 8 find a pair of
# similarity 0.8 with probability 0.95, of 0.9 with 0.9999.
HASHES, ROWS_A_BAND, SEED = 128, 8, 42
SHINGLE_TOKENS = 3
THRESHOLD = 0.8
# Beyond so many characters a row is no problem: what follows is neither compared nor paid for.
LONGEST_ROW = 100_000
# Words that turn a problem into another one, besides numbers and signs.
DECIDING_WORDS = (
    "more less fewer greater smaller larger greatest least largest smallest biggest maximum minimum highest lowest most "
    "sum product difference quotient mean median odd even not first last before after increase decrease sin cos tan "
    "log ln inside outside left right same different without positive negative interior exterior distinguishable "
    "indistinguishable alpha beta gamma theta phi rho pi sqrt area perimeter "
    "volume length radius diameter"
)
DECIDING = frozenset(DECIDING_WORDS.split())
# What is asked is often a letter of a formula ("Find $x$"), or a word to be spelled.
DELIMITER = re.compile(r"\\\$|\\[()\[\]]|\$\$")
CAPITALS = re.compile(r"\b[A-Z]{2,}\b")
PAIRS_AT_A_TIME = 200_000
ROUNDS = 8  # leaders tried in a bucket, and looks at what is left of a chain: a bound for hostile data

Vector = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Digests = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]
Signatures = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]


def signatures(texts: Sequence[str]) -> Signatures:
    """uint32 of shape (texts, HASHES + 1): MinHash over shingles of three tokens, and last a digest of what decides.

    The same text has the same row in every process and order, so chunks may be computed anywhere.
    """
    if not len(texts):
        return np.empty((0, HASHES + 1), dtype=np.uint32)
    bounded = [text[:LONGEST_ROW] for text in texts]
    tokens = [normalised(text).split() for text in bounded]
    hashes = rensa.RMinHash.digest_matrix_from_token_sets([_shingles(words) for words in tokens], HASHES, SEED)
    facts = np.array([[_facts(*pair)] for pair in zip(bounded, tokens, strict=True)], dtype=np.uint32)
    return np.hstack([np.array(hashes.to_rows(), dtype=np.uint32), facts])


def group(signatures: Signatures, keys: Sequence[Hashable], threshold: float = THRESHOLD) -> Vector:
    """The group number of each text: the index of the group's first member, for all that repeat it.

    Members of a group have the first one's key, or what decides the answer agrees and the estimated Jaccard similarity
    to the first member is at least `threshold`. Memory is the signatures' own and 100 bytes a text.
    """
    groups = first_of_equal(keys)
    rows = np.unique(groups)
    pairs = [pair for columns in _bands() for pair in _alike(signatures, rows, columns, threshold)]
    if pairs:
        codes = np.unique(np.concatenate([found[:, 0] << 32 | found[:, 1] for found in pairs]))
        edges = np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)
        groups = _stars(signatures, edges, threshold)[groups]
    return groups


def first_of_equal(keys: Sequence[Hashable]) -> Vector:
    """The index of the first text with the same key, for each text."""
    first: dict[Hashable, int] = {}
    return np.fromiter((first.setdefault(key, index) for index, key in enumerate(keys)), np.int64, len(keys))


def kept(groups: Vector, ranks: Sequence[tuple[float, ...]]) -> Mask:
    """True for the one member to keep of each group: that of the lowest rank, the earlier one of equals."""
    best: dict[int, int] = {}
    for index, number in enumerate(groups.tolist()):
        if number not in best or ranks[index] < ranks[best[number]]:
            best[number] = index
    mask = np.zeros(len(groups), dtype=np.bool_)
    mask[list(best.values())] = True
    return mask


def rank(solution: str, answer: str | None, longest: int = 4000) -> tuple[int, int, int]:
    """Sorts solutions of one problem, best first.

    A closed last box that is the stated answer letter for letter, then any closed last box, then none; within these,
    a solution of at most `longest` characters (about 1,300 tokens) before a longer one; then the one that shows more
    working, and of two that are too long the shorter one.
    """
    box = extract_boxed(solution)
    form = (
        2
        if box is None or is_never_an_answer(box)
        else 0
        if answer is not None and box.strip() == answer.strip()
        else 1
    )
    too_long = len(solution) > longest
    return form, int(too_long), len(solution) if too_long else -len(solution)


def _shingles(words: list[str]) -> list[str]:
    return list(map(" ".join, zip(*(words[start:] for start in range(SHINGLE_TOKENS)), strict=False))) or [
        " ".join(words)
    ]


def _facts(text: str, words: list[str]) -> int:
    """A digest of what decides the answer, in any order: numbers, signs, deciding words, letters of formulas, words in capitals.

    Between two prices stands no formula, but nothing is made of that: there, single letters are as good as none.
    """
    facts = [word for word in words if is_number(word) or not word[0].isalpha() or word in DECIDING]
    if "$" in text or "\\" in text:
        formulas = DELIMITER.sub("$", text).split("$")[1::2]
        facts += [word for word in normalised(" ".join(formulas)).split() if len(word) == 1 and word.isalpha()]
    facts += CAPITALS.findall(text)
    return zlib.crc32(" ".join(sorted(facts)).encode("utf-8", errors="replace"))


def _bands() -> Iterator[slice]:
    return (slice(start, start + ROWS_A_BAND) for start in range(0, HASHES, ROWS_A_BAND))


def _alike(signatures: Signatures, rows: Vector, columns: slice, threshold: float) -> Iterator[Vector]:
    """Pairs (first, other) of shape (n, 2) that share a band, agree in what decides, and are verified.

    Every member of a bucket is compared with the bucket's first one; those that are unlike it form a bucket again.
    """
    digests = _digests(signatures, rows, columns)
    for _ in range(ROUNDS):
        order = np.argsort(digests, kind="stable")
        rows, digests = rows[order], digests[order]
        starts = np.flatnonzero(np.diff(digests, prepend=~digests[:1]))
        leaders = np.repeat(rows[starts], np.diff(starts, append=len(rows)))
        others = leaders != rows
        if not others.any():
            return
        pairs = np.stack([leaders[others], rows[others]], axis=1)
        similar = _similar(signatures, pairs, threshold)
        yield pairs[similar]
        rows, digests = rows[others][~similar], digests[others][~similar]


def _digests(signatures: Signatures, rows: Vector, columns: slice) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """64 bits for a band and what decides: equal ones are candidates only, so chance collisions cost time, not truth."""
    digest: Digests = signatures[rows, -1].astype(np.uint64)
    for column in range(columns.start, columns.stop):
        digest = (digest ^ signatures[rows, column]) * np.uint64(0x9E3779B97F4A7C15)
        digest ^= digest >> np.uint64(29)
    return digest


def _similar(signatures: Signatures, pairs: Vector, threshold: float) -> Mask:
    """Whether what decides agrees and the share of equal hashes reaches the threshold, for each of the pairs."""
    found = np.empty(len(pairs), dtype=np.bool_)
    for start in range(0, len(pairs), PAIRS_AT_A_TIME):
        one, other = (signatures[side] for side in pairs[start : start + PAIRS_AT_A_TIME].T)
        equal = one == other
        found[start : start + PAIRS_AT_A_TIME] = equal[:, -1] & (equal[:, :-1].mean(axis=1) >= threshold)
    return found


def _stars(signatures: Signatures, edges: Vector, threshold: float) -> Vector:
    """For each text the first member of its group, where all members are alike to the first one, not only to a neighbour."""
    count = len(signatures)
    numbers = np.arange(count)
    for _ in range(ROUNDS):
        graph = coo_array((np.ones(len(edges), dtype=np.bool_), edges.T), shape=(count, count))
        _, labels = connected_components(graph, directed=False)
        members = np.unique(edges)
        firsts = np.full(labels.max() + 1, count)
        np.minimum.at(firsts, labels[members], members)
        pairs = np.stack([firsts[labels[members]], members], axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        similar = _similar(signatures, pairs, threshold)
        numbers[pairs[similar, 1]] = pairs[similar, 0]
        # What hangs on a neighbour alone is grouped again without those that have found their group.
        left = np.isin(edges, pairs[~similar, 1]).all(axis=1)
        edges = edges[left]
        if not len(edges):
            break
    return numbers
