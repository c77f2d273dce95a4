"""Reads judgements from JSONL and CSV files, row by row, in bounded memory."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from deploy.local.errors import StackError

COLUMNS: Final = ("inference_id", "episode_id", "kind", "value", "rater", "tags", "source", "time_ms")
MAX_LINE_BYTES: Final = 4 << 20
_MAX_CELL: Final = 2 << 20
_BOM: Final = b"\xef\xbb\xbf"
_TRUE: Final = frozenset({"true", "up", "1", "yes"})
_FALSE: Final = frozenset({"false", "down", "0", "no"})


@dataclass(frozen=True)
class Row:
    """One row of a file: a judgement, or why it is none."""

    line: int
    """Where it begins, counted from 1."""
    end_bytes: int
    """How much of the file is read with it."""
    text: str
    """As it stands in the file, without what is not UTF-8."""
    body: dict[str, Any] | None = None
    fault: str = ""


def read(path: Path) -> Iterator[Row]:
    """Every row of a file; its name says which form it has.

    Raises:
        StackError: it cannot be read at all.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise StackError(f"{path} is neither .jsonl nor .csv.", "Name it after what is in it.")
    try:
        with path.open("rb") as file:
            yield from reader(file)
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}.") from error


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Number, end and content of each line; one that is too long comes cut."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        rest = line
        while not rest.endswith(b"\n") and len(rest) > MAX_LINE_BYTES:
            rest = file.readline(MAX_LINE_BYTES + 1)
        yield number, file.tell(), line


def _jsonl(file: IO[bytes]) -> Iterator[Row]:
    for number, end, line in _lines(file):
        text = line.decode(errors="replace").strip()
        if not text:
            continue
        if len(line) > MAX_LINE_BYTES:
            yield Row(number, end, text, fault=f"the line is longer than {MAX_LINE_BYTES} bytes")
            continue
        try:
            line.decode()
            body = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Row(number, end, text, fault=f"not JSON: {error}")
            continue
        if isinstance(body, dict):
            yield Row(number, end, text, body)
        else:
            yield Row(number, end, text, fault="not a JSON object")


def _csv(file: IO[bytes]) -> Iterator[Row]:
    place = [0, 0]
    source = _remembering(file, place)
    csv.field_size_limit(_MAX_CELL)
    cells = csv.reader(source, strict=True)
    try:
        header = [name.strip() for name in next(cells, [])]
    except csv.Error as error:
        raise StackError(f"The first line is no CSV header: {error}.") from error
    _check(header)
    while True:
        line = place[0] + 1
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, place[1], "", fault=f"not CSV: {error}")
            continue
        if row:
            yield _csv_row(line, place[1], header, row)


def _remembering(file: IO[bytes], place: list[int]) -> Iterator[str]:
    """Lines as text, what is not UTF-8 in disguise; `place` is the number and the end of the last one."""
    for number, end, line in _lines(file):
        place[:] = number, end
        yield line.decode(errors="surrogateescape")


def _check(header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if not header or unknown or len(set(header)) < len(header):
        told = f"does not know {', '.join(map(repr, unknown[:3]))}" if unknown else "needs each column once"
        raise StackError(f"The first line of a CSV file names its columns; this command {told}.", _KNOWN)


_KNOWN: Final = f"Columns: {', '.join(COLUMNS)}. Several tags in one cell have `;` between them."


def _csv_row(line: int, end: int, header: list[str], row: list[str]) -> Row:
    text = ",".join(row).encode(errors="surrogateescape").decode(errors="replace")
    if len(row) != len(header):
        return Row(line, end, text, fault=f"{len(row)} cells under {len(header)} columns")
    given = {name: cell for name, cell in zip(header, row, strict=True) if cell}
    try:
        "".join(given.values()).encode()
    except UnicodeEncodeError:
        return Row(line, end, text, fault="not UTF-8")
    body: dict[str, Any] = dict(given)
    if "tags" in given:
        body["tags"] = [tag.strip() for tag in given["tags"].split(";") if tag.strip()]
    if "value" in given:
        body["value"] = _value(given.get("kind", ""), given["value"])
    if given.get("time_ms", "").isdecimal():
        body["time_ms"] = int(given["time_ms"])
    return Row(line, end, text, body)


def _value(kind: str, cell: str) -> bool | float | str:
    """A cell as its kind wants it; what does not fit stays text, which the gateway refuses with its reason."""
    plain = cell.strip().lower()
    if kind == "thumb" and plain in _TRUE | _FALSE:
        return plain in _TRUE
    if kind == "score":
        try:
            return float(plain)
        except ValueError:
            return cell
    return cell


_READERS: Final[dict[str, Callable[[IO[bytes]], Iterator[Row]]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
}
