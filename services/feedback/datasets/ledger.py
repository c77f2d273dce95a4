"""What is kept in memory of each example on its way: numbers only; the text waits in a file."""

import hashlib
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from services.feedback.datasets.rows import Example, Label
from services.feedback.datasets.similar import I64, U64, Mask

LABELS: Final = tuple(Label)
_CODES: Final = {label: code for code, label in enumerate(LABELS)}
_SMALL_BYTES: Final = 8_192
_LENGTH: Final = struct.Struct("<I")
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Example)


def digest_words(value: object) -> tuple[int, int]:
    """The first 128 bits of the SHA-256 of a JSON value, as two words."""
    digest = hashlib.sha256(msgspec.json.encode(value, order="sorted")).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


class Raters:
    """Gives raters numbers, in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The rater's number."""
        return self._numbers.setdefault(name, len(self._numbers))

    def known(self, names: tuple[str, ...]) -> frozenset[int]:
        """The numbers of those of `names` that have come."""
        return frozenset(self._numbers[name] for name in names if name in self._numbers)

    def names(self) -> list[str]:
        """Every rater, by number."""
        return list(self._numbers)


class Ledger:
    """Appends examples to a file and notes about each what the comparing steps need: about 80 bytes a row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("wb", buffering=1 << 20)
        self.raters = Raters()
        self._times, self._labels, self._splits = array("q"), array("b"), array("b")
        self._digests, self._prompts = array("Q"), array("Q")
        self._owners, self._owner_ends = array("i"), array("q")
        self._offsets, self._end = array("q"), 0

    def __len__(self) -> int:
        return len(self._times)

    def add(self, example: Example, split: int) -> None:
        """Append one example."""
        line = _encoder.encode(example)
        self._file.write(_LENGTH.pack(len(line)) + line)
        self._offsets.append(self._end)
        self._end += _LENGTH.size + len(line)
        self._times.append(example.time_ms)
        self._labels.append(_CODES[example.label])
        self._splits.append(split)
        self._digests.extend(digest_words([example.prompt, example.completion]))
        self._prompts.append(digest_words(example.prompt)[0])
        self._owners.extend(self.raters.number(rater) for rater in example.raters)
        self._owner_ends.append(len(self._owners))

    def owners(self, row: int) -> "array[int]":
        """Numbers of the raters who decided the row's label."""
        return self._owners[self._owner_ends[row - 1] if row else 0 : self._owner_ends[row]]

    def lead_raters(self) -> I64:
        """The first deciding rater of each row; -1 where there is none."""
        leads = (self.owners(row) for row in range(len(self)))
        return np.fromiter((found[0] if found else -1 for found in leads), dtype=np.int64, count=len(self))

    def labelled(self, label: Label) -> Mask:
        """Which rows have this label."""
        return np.equal(self.labels(), _CODES[label])

    def labels(self) -> npt.NDArray[np.int8]:
        """Index into `LABELS` of each row."""
        return np.frombuffer(self._labels, dtype=np.int8)

    def splits(self) -> npt.NDArray[np.int8]:
        """The split of each row, by number."""
        return np.frombuffer(self._splits, dtype=np.int8)

    def prompts(self) -> U64:
        """A digest of each row's prompt."""
        return np.frombuffer(self._prompts, dtype=np.uint64)

    def digests(self) -> U64:
        """A digest of each row's prompt and answer, in two words."""
        return np.frombuffer(self._digests, dtype=np.uint64).reshape(-1, 2)

    def ranks(self) -> I64:
        """Place of each row by age; rows of one moment in the order in which they came."""
        order = np.argsort(np.frombuffer(self._times, dtype=np.int64), kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return ranks

    def read(self, row: int) -> Example:
        """One example, from wherever it lies."""
        with self._reading() as file:
            return self._read(file, row)

    def walk(self) -> "Reader":
        """Reads examples; from front to back this costs one pass over the file."""
        return Reader(self)

    def _reading(self, buffer_bytes: int = 1 << 20) -> IO[bytes]:
        if not self._file.closed:
            self._file.close()
        return self._path.open("rb", buffering=buffer_bytes)

    def _read(self, file: IO[bytes], row: int) -> Example:
        file.seek(self._offsets[row])
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        return _decoder.decode(file.read(length))


class Reader:
    """An open ledger file."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._file = ledger._reading()  # noqa: SLF001 - two halves of one thing
        self._elsewhere = ledger._reading(_SMALL_BYTES)  # noqa: SLF001 - as above

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._elsewhere.close()

    def jump(self, row: int) -> Example:
        """One example far from those that are read in order, which stay in their buffer meanwhile."""
        return self._ledger._read(self._elsewhere, row)  # noqa: SLF001 - as above

    def read(self, row: int) -> Example:
        """The next example, or one near it."""
        return self._ledger._read(self._file, row)  # noqa: SLF001 - as above

    def __iter__(self) -> Iterator[Example]:
        return (self.read(row) for row in range(len(self._ledger)))
