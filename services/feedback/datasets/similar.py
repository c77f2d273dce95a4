"""Fifth step: rows that say the same, exactly (by digest) or nearly (by MinHash), in time linear in the rows.

datasketch makes the sketches and chooses the bands. The bands are compared here, sorted one after another, because an
index of hash tables takes gigabytes at a million rows.
"""

import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped] # it ships no types

from libs.kit.shingles import shingles

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PERMUTATIONS: Final = 64
_NO_SKETCH: Final = np.zeros(PERMUTATIONS, dtype=np.uint32)
_SCHEME: Final = "affine32"
_WEIGHTS: Final = (0.05, 0.95)
"""Of false candidates, which a second look removes, and of missed ones, which are lost."""
_ROUNDS: Final = 8
_CHUNK: Final = 65_536
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)


class Sketcher:
    """Makes MinHash sketches; two with the same seed agree."""

    def __init__(self, seed: int = 1) -> None:
        self._made = MinHash(PERMUTATIONS, seed=seed, scheme=_SCHEME, hashfunc=zlib.crc32)

    def sketch(self, text: str) -> npt.NDArray[np.uint32]:
        """The sketch of one text."""
        self._made.clear()
        self._made.update_batch(shingles(text))
        values: npt.NDArray[np.uint32] = self._made.digest()
        return values


class SketchFile:
    """Sketches of a fixed size in a file, in the order in which they were added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("wb")
        self._count = 0

    def add(self, sketch: npt.NDArray[np.uint32]) -> None:
        """Append one."""
        self._file.write(sketch.tobytes())
        self._count += 1

    def skip(self) -> None:
        """Append nothing in particular, for a row that is never compared."""
        self.add(_NO_SKETCH)

    def read(self) -> npt.NDArray[np.uint32]:
        """All of them, one per line of the array; they stay in the file until they are looked at."""
        self._file.close()
        if not self._count:
            return np.zeros((0, PERMUTATIONS), np.uint32)
        return np.memmap(self._path, np.uint32, "r", shape=(self._count, PERMUTATIONS))


def oldest_of_clusters(sketches: npt.NDArray[np.uint32], salts: U64, rows: I64, ranks: I64, threshold: float) -> I64:
    """For each of `rows` the oldest row (by `ranks`) of its cluster, which may be itself.

    Two rows are linked when they have the same salt, agree in a band, and their sketches say a Jaccard similarity of
    at least `threshold`; links join clusters.
    """
    by_age = rows[np.argsort(ranks[rows], kind="stable")]
    parents = np.arange(len(by_age), dtype=np.int64)
    plan: Any = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=_WEIGHTS)
    for band in range(plan.b):
        keys = _band_keys(sketches, salts, by_age, slice(band * plan.r, (band + 1) * plan.r))
        _link(sketches, by_age, keys, parents, threshold)
    oldest = np.empty(len(sketches), dtype=np.int64)
    oldest[by_age] = by_age[_roots(parents)]
    return oldest[rows]


def _band_keys(sketches: npt.NDArray[np.uint32], salts: U64, rows: I64, columns: slice) -> U64:
    keys = salts[rows].astype(np.uint64)
    for at in range(0, len(rows), _CHUNK):
        chunk = rows[at : at + _CHUNK]
        mixed = keys[at : at + _CHUNK]
        for column in np.asarray(sketches[chunk, columns], dtype=np.uint64).T:
            mixed = (mixed ^ column) * _PRIME
            mixed ^= mixed >> np.uint64(29)
        keys[at : at + _CHUNK] = mixed
    return keys


def _link(sketches: npt.NDArray[np.uint32], rows: I64, keys: U64, parents: I64, threshold: float) -> None:
    """Join rows of equal keys that are alike; each is compared with the oldest of its run not yet like another."""
    if not len(rows):
        return
    order = np.argsort(keys, kind="stable")
    runs = np.cumsum(np.concatenate(([0], (np.diff(keys[order]) != 0).astype(np.int64))))
    sizes = np.bincount(runs)
    crowded = sizes[runs] > 1
    members, runs = order[crowded], runs[crowded]
    for _ in range(_ROUNDS):
        if not len(members):
            return
        leads = np.concatenate(([True], runs[1:] != runs[:-1]))
        leaders = members[leads][np.cumsum(leads) - 1]
        alike = _alike(sketches, rows[members], rows[leaders], threshold)
        for member, leader in zip(members[alike & ~leads], leaders[alike & ~leads], strict=True):
            _join(parents, int(member), int(leader))
        members, runs = members[~alike], runs[~alike]


def _alike(sketches: npt.NDArray[np.uint32], left: I64, right: I64, threshold: float) -> Mask:
    result = np.empty(len(left), dtype=np.bool_)
    for at in range(0, len(left), _CHUNK):
        part = slice(at, at + _CHUNK)
        result[part] = (sketches[left[part]] == sketches[right[part]]).mean(axis=1) >= threshold
    return result


def _find(parents: I64, one: int) -> int:
    while parents[one] != one:
        parents[one] = parents[parents[one]]
        one = int(parents[one])
    return one


def _join(parents: I64, one: int, other: int) -> None:
    one, other = _find(parents, one), _find(parents, other)
    # The smaller index is the older row and stays the root.
    parents[max(one, other)] = min(one, other)


def _roots(parents: I64) -> I64:
    roots = parents.copy()
    while True:
        above = roots[roots]
        if np.array_equal(above, roots):
            return roots
        roots = above


def resolve_equal(digests: U64, verdicts: Mask, raters: I64, ranks: I64) -> tuple[I64, I64]:
    """Which rows of equal text stay, and which leave because equal text was judged both ways.

    Of each group of equal digests (two words each) the verdict of more distinct raters wins and its oldest row stays;
    with a tie nobody stays.

    Returns:
        Indexes of the rows that stay, and of those that leave by contradiction; the others are duplicates.
    """
    codes = verdicts.astype(np.int8)
    order = np.lexsort((ranks, digests[:, 1], digests[:, 0]))
    if not len(order):
        return order, order
    same = np.concatenate(([False], (np.diff(digests[order], axis=0) == 0).all(axis=1)))
    starts = np.flatnonzero(~same)
    ends = np.concatenate((starts[1:], [len(order)])).astype(np.int64)
    alone = ends - starts == 1
    stay: list[int] = []
    contradicted: list[int] = []
    for start, end in zip(starts[~alone].tolist(), ends[~alone].tolist(), strict=True):
        group = order[start:end]
        kinds = codes[group]
        winner = int(kinds[0]) if (kinds == kinds[0]).all() else _winner(kinds, raters[group])
        stay.extend(int(one) for one in group[kinds == winner][:1])
        contradicted.extend(int(one) for one in group[kinds != winner])
    singles = order[starts[alone]]
    return np.sort(np.concatenate((singles, np.array(stay, dtype=np.int64)))), np.array(contradicted, dtype=np.int64)


def _winner(kinds: npt.NDArray[Any], raters: I64) -> int:
    """The verdict of the most raters; -1 for a tie."""
    counts = sorted(
        ((len(set(raters[kinds == kind].tolist())), int(kind)) for kind in set(kinds.tolist())), reverse=True
    )
    return -1 if counts[0][0] == counts[1][0] else counts[0][1]
