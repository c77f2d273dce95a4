"""`feedback import`: many judgements from a file, each taken once however often the command is repeated."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cli import address, show, ui
from cli.feedback import rows
from cli.feedback.door import Door
from cli.feedback.rows import Row
from deploy.local.errors import StackError
from libs.contracts.feedback import Source

_SENDERS: Final = 3
"""Requests on their way at once: while one is answered the next is read and sent."""
_ROWS: Final = 500
_BYTES: Final = 256 << 10
"""What one request holds, unless a single row is larger."""
_PATIENCE_S: Final = 120.0
_SHOWN: Final = 10
_MAX_TEXT: Final = 2_000
_REFUSALS: Final = (400, 409, 413, 422)
"""Statuses that are a row's own fault; everything else ends the import."""


class Refused(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row that is no judgement."""

    line: int
    code: str
    reason: str
    param: str = ""
    row: str = ""
    """The beginning of its text."""


@dataclass
class Result:
    """What has become of the rows so far."""

    rows: int = 0
    taken: int = 0
    repeated: int = 0
    """Rows that say exactly what an earlier one says."""
    refused: list[Refused] = field(default_factory=list)


def import_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl or .csv file, one judgement per row.")],
    *,
    report: Annotated[Path | None, typer.Option(help="Write refused rows there, as JSON lines.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Take in a file of judgements; repeated, it counts no row twice. Status 1 if any row was refused."""
    url, key = address.user()
    if not path.is_file():
        raise StackError(f"There is no file {path}.")
    result = Result()
    bar = Progress(
        TextColumn("  {task.fields[told]}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=ui.err, transient=True, disable=not ui.err.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=path.stat().st_size, told="reading")

        def progress(done_bytes: int) -> None:
            told = f"{result.taken} taken, {len(result.refused)} refused"
            bar.update(task, completed=done_bytes, told=told)

        try:
            found = _judgements(path, result)
            asyncio.run(_send_all(found, result, Door(url, key, patience_s=_PATIENCE_S), progress))
        except BaseException:
            if result.taken:
                ui.err.print(f"  {result.taken} rows were taken. Repeat the command: they do not count twice.")
            raise
    if report is not None:
        _write(report, result.refused)
    _tell(result, report, as_json=as_json)
    raise typer.Exit(1 if result.refused else 0)


Judgement = tuple[Row, bytes]
"""A row and the digest of what it says; the digest is empty where it is none."""


async def _send_all(found: Iterator[Judgement], result: Result, door: Door, progress: Callable[[int], None]) -> None:
    """Read and send side by side.

    Raises:
        ServiceError: what is wrong is not the rows.
    """
    parts = _parts(found)

    async def send_rest() -> None:
        # One iterator for all senders: each takes the next part as soon as it is free.
        for part in parts:
            await _send(part, result, door)
            progress(part[-1][0].end_bytes)

    async with door:
        senders = [asyncio.create_task(send_rest()) for _ in range(_SENDERS)]
        try:
            await asyncio.gather(*senders)
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
    result.refused.sort(key=lambda refused: refused.line)


def _judgements(path: Path, result: Result) -> Iterator[Judgement]:
    """Every row that no earlier one repeats.

    A row that does not say when it was given was given when the file was written.
    """
    written_ms = path.stat().st_mtime_ns // 1_000_000
    seen: set[bytes] = set()
    for row in rows.read(path):
        result.rows += 1
        if row.body is None:
            yield row, b""
            continue
        digest = hashlib.sha256(msgspec.json.encode(row.body, order="deterministic")).digest()
        if digest in seen:
            result.repeated += 1
            continue
        seen.add(digest)
        yield replace(row, body={"source": Source.IMPORTED, "time_ms": written_ms, **row.body}), digest


def _parts(found: Iterator[Judgement]) -> Iterator[list[Judgement]]:
    """The rows in lists that fit into a request."""
    part: list[Judgement] = []
    size_bytes = 0
    for row, digest in found:
        if part and (len(part) >= _ROWS or size_bytes + len(row.text) > _BYTES):
            yield part
            part, size_bytes = [], 0
        part.append((row, digest))
        size_bytes += len(row.text)
    if part:
        yield part


async def _send(part: list[Judgement], result: Result, door: Door) -> None:
    good = [(row, row.body, digest) for row, digest in part if row.body is not None]
    for row, _ in part:
        if row.body is None:
            text = f"The row is {row.fault}."
            result.refused.append(Refused(row.line, "invalid_value", text, row=row.text[:_MAX_TEXT]))
    faults = await door.give_all([(body, f"import-{digest.hex()}") for _, body, digest in good])
    for (row, _, _), error in zip(good, faults, strict=True):
        if error is None:
            result.taken += 1
            continue
        if error.spec.status not in _REFUSALS:
            raise error
        result.refused.append(Refused(row.line, error.code, error.message, error.param or "", row.text[:_MAX_TEXT]))


def _write(report: Path, refused: list[Refused]) -> None:
    try:
        report.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in refused))
    except OSError as error:
        raise StackError(f"The report cannot be written to {report}: {error.strerror}.") from error


def _tell(result: Result, report: Path | None, *, as_json: bool) -> None:
    if as_json:
        show.emit(msgspec.to_builtins(result))
        return
    repeated = f", {result.repeated} said the same as another" if result.repeated else ""
    ui.say(f"{ui.WELL} {result.taken} of {result.rows} rows taken{repeated}")
    if not result.refused:
        return
    ui.say(f"{ui.BAD} {len(result.refused)} refused")
    for each in result.refused[:_SHOWN]:
        ui.say(f"  [dim]line {each.line}[/dim]  {show.short(each.reason, 140)}")
    if len(result.refused) > _SHOWN:
        where = f"all are in {report}" if report is not None else "--report FILE writes all of them"
        ui.say(f"  [dim]… {where}[/dim]")
