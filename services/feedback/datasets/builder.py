"""Runs the process that builds, and hears what it reports."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final, cast

import msgspec

from libs.contracts.datasets import Selection
from libs.kit.errors import ServiceError
from libs.kit.settings import PostgresSettings
from services.feedback.datasets.order import Order, Report

CHECKOUT: Final = Path(__file__).resolve().parents[3]
_decoder: Final = msgspec.json.Decoder(Report)
_LONGEST_LINE: Final = 1 << 20


async def reports(selection: Selection, directory: Path, database: PostgresSettings) -> AsyncGenerator[Report, None]:
    """Build in a process of its own; its reports, of which the last is `Done` or `Failed`.

    Closing the iterator ends the process. It has no environment and no files of ours, and ends when this process does.

    Raises:
        ServiceError: `internal_error`, it ended without a word.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.feedback.datasets",
        cwd=CHECKOUT,
        # Threads of the numeric libraries would only take cores from the service beside it.
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    orders, lines = cast("tuple[asyncio.StreamWriter, asyncio.StreamReader]", (process.stdin, process.stdout))
    try:
        orders.write(_order(selection, directory, database))
        while line := await lines.readline():
            yield _decoder.decode(line)
    except BaseException:
        # Only here: a signal to a child that has just ended takes its status away from asyncio.
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    if status := await process.wait():
        text = f"The process that builds data sets ended with status {status}; the log of feedback says why."
        raise ServiceError("internal_error", text)


def _order(selection: Selection, directory: Path, database: PostgresSettings) -> bytes:
    order = Order(
        selection=selection,
        directory=str(directory),
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.secret(),
        database=database.database,
    )
    return msgspec.json.encode(order) + b"\n"
