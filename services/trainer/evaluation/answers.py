"""Answers as they are recorded: one line of JSON each, in an order that does not depend on who came first."""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

import msgspec

from libs.kit.errors import ServiceError

NOT_ANSWERED: Final = "not_answered"
"""The code of an answer that nobody recorded."""


class Side(StrEnum):
    """Who answered."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side said to one item."""

    task: str
    item: str
    side: Side = Side.CANDIDATE
    temperature: float = 0.0
    sample: int = 0
    text: str = ""
    finish_reason: str = ""
    latency_ms: float | None = None
    first_token_ms: float | None = None
    error: str = ""
    """The code with which it never came."""


Key = tuple[str, Side, float, str, int]
_encode: Final = msgspec.json.Encoder().encode


def key_of(answer: Answer) -> Key:
    """What makes an answer this one."""
    return (answer.task, answer.side, answer.temperature, answer.item, answer.sample)


class Answers:
    """Every answer of an evaluation, by task, side, temperature and item."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._by_key = {key_of(answer): answer for answer in answers}

    def of(self, key: Key) -> Answer:
        """The recorded answer, or one that never came."""
        found = self._by_key.get(key)
        if found is not None:
            return found
        task, side, temperature, item, number = key
        return Answer(task=task, side=side, temperature=temperature, item=item, sample=number, error=NOT_ANSWERED)

    def has_side(self, side: Side) -> bool:
        """Whether this side said anything at all."""
        return any(key[1] is side for key in self._by_key)


def read_answers(path: Path, side: Side | None = None) -> list[Answer]:
    """The answers of a file, as those of `side` if one is given.

    Raises:
        ServiceError: `bad_dataset`, a line is no answer.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ServiceError("bad_dataset", f"{path.name}, line {number} is no recorded answer: {error}.") from error
        found.append(answer if side is None else msgspec.structs.replace(answer, side=side))
    return found


def write_answers(path: Path, answers: Sequence[Answer], order: Mapping[tuple[str, str], int]) -> None:
    """Write them sorted by task and item (`order` has the place of each), temperature, sample and side."""
    placed = sorted(
        answers,
        key=lambda a: (order.get((a.task, a.item), math.inf), a.temperature, a.sample, a.side is Side.BASELINE),
    )
    path.write_bytes(b"".join(_encode(answer) + b"\n" for answer in placed))


class Journal:
    """Keeps answers as they come, so that an evaluation that is killed does not ask again."""

    def __init__(self, path: Path, plan: str) -> None:
        """Prepare.

        Args:
            path: the file.
            plan: digest of what is asked of whom; a file with another one is begun anew.
        """
        self._path = path
        self._plan = plan
        self._file: IO[bytes] | None = None

    def open(self) -> list[Answer]:
        """The answers that were kept; a line that was cut off by a kill is dropped."""
        kept: list[Answer] = []
        header = self._plan.encode() + b"\n"
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        if lines and lines[0] == header:
            kept = [msgspec.json.decode(line, type=Answer) for line in lines[1:] if line.endswith(b"\n")]
        self._path.write_bytes(header + b"".join(_encode(answer) + b"\n" for answer in kept))
        self._file = self._path.open("ab", buffering=0)
        return kept

    def add(self, answer: Answer) -> None:
        """Keep one that came; what never came is asked for again by whoever goes on."""
        if self._file is not None and not answer.error:
            self._file.write(_encode(answer) + b"\n")

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()
