"""Leaves out items that training saw: the same question by digest, nearly the same one by MinHash.

A question is everything that was said up to it. A training row with several turns asked several questions; each counts
with and without its system prompt, so that a question is seen under whatever prompt it was asked.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped] # it ships no types

from libs.kit.errors import ServiceError
from libs.kit.shingles import shingles
from services.trainer.evaluation.items import Item, content_text

_PERMUTATIONS: Final = 64
_SEED: Final = 1
_WEIGHTS: Final = (0.05, 0.95)
"""Of false candidates, which the exact comparison removes, and of missed ones, which would be lost."""
_LOWEST_THRESHOLD: Final = 0.1
Message = dict[str, Any]


class _Row(msgspec.Struct, kw_only=True):
    """A row of any shape that trains."""

    messages: list[Message] | None = None
    prompt: list[Message] | str | None = None
    text: str | None = None


_decode: Final = msgspec.json.Decoder(_Row).decode


class SeenQuestions:
    """Finds which of some items occur in what training saw."""

    def __init__(self, items: Sequence[Item], near_duplicates: float) -> None:
        """Prepare.

        Args:
            items: what is to be asked.
            near_duplicates: Jaccard similarity from which two questions are the same; 0 or less compares exactly only.
        """
        self._threshold = near_duplicates
        self._same: dict[str, list[str]] = {}
        self._shingles: dict[str, frozenset[bytes]] = {}
        self._index: Any = None
        if near_duplicates > 0:
            threshold = min(max(near_duplicates, _LOWEST_THRESHOLD), 1.0)
            self._index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, weights=_WEIGHTS)
        self._hash = MinHash(_PERMUTATIONS, seed=_SEED, hashfunc=zlib.crc32)
        for item in items:
            text = dialogue_text(item.messages)
            self._same.setdefault(_normal(text), []).append(item.id)
            if self._index is not None:
                self._shingles[item.id] = frozenset(shingles(text))
                self._index.insert(item.id, self._sketch(self._shingles[item.id]))
        self.found: set[str] = set()

    def look_at(self, text: str) -> None:
        """Compare one question of training."""
        self.found.update(self._same.get(_normal(text), ()))
        if self._index is None:
            return
        pieces = frozenset(shingles(text))
        for name in self._index.query(self._sketch(pieces)):
            if name not in self.found and _jaccard(pieces, self._shingles[name]) >= self._threshold:
                self.found.add(name)

    def _sketch(self, pieces: frozenset[bytes]) -> Any:
        self._hash.clear()
        # In order, so that nothing depends on how a set happens to be laid out.
        self._hash.update_batch(sorted(pieces))
        return self._hash


def unseen(items: Sequence[Item], files: Iterable[Path], near_duplicates: float) -> tuple[Item, ...]:
    """The items that are in none of the files of training rows, nor nearly.

    Raises:
        ServiceError: `bad_dataset`, a file cannot be read: then nobody can say what training saw.
    """
    seen = SeenQuestions(items, near_duplicates)
    known: set[str] = set()
    for path in files:
        for text in _questions_of(path):
            if text not in known:
                known.add(text)
                seen.look_at(text)
    return tuple(item for item in items if item.id not in seen.found)


def dialogue_text(messages: Iterable[Message]) -> str:
    """A dialogue's words, one message per line."""
    return "\n".join(content_text(message.get("content")) for message in messages)


def _questions_of(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield from _row_questions(line, f"{path.name}, line {number}")
    except OSError as error:
        raise ServiceError(
            "bad_dataset", f"What training saw cannot be read: {path.name}: {error.strerror}."
        ) from error


def _row_questions(line: bytes, where: str) -> Iterator[str]:
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServiceError("bad_dataset", f"{where} is no row of a training set: {error}.") from error
    if row.text is not None:
        yield row.text
    dialogue = row.prompt if row.prompt is not None else row.messages
    if isinstance(dialogue, str):
        yield dialogue
    elif dialogue is not None:
        for messages in (dialogue, [m for m in dialogue if m.get("role") != "system"]):
            for position, message in enumerate(messages, start=1):
                if message.get("role") == "user":
                    yield dialogue_text(messages[:position])


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    return len(one & other) / len(one | other)
