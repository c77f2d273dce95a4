"""Lines of jobs' logs: numbered, fenced by the epoch, and no more than are kept."""

from typing import Any, Final

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.training import LogLine
from services.trainer.domain.machine import LostError
from services.trainer.tables import log_lines

_NUMBERS: Final = """
update trainer.jobs set log_lines = log_lines + :count where id = :id and epoch = :epoch returning log_lines
"""


async def write(
    connection: AsyncConnection, job_id: str, epoch: int, lines: list[tuple[int, str]], *, keep: int
) -> None:
    """Append lines, each with its time (Unix ms), and forget the oldest beyond `keep`.

    Raises:
        LostError: another epoch has begun.
    """
    values = {"id": job_id, "epoch": epoch, "count": len(lines)}
    last = (await connection.execute(text(_NUMBERS), values)).scalar()
    if last is None:
        raise LostError("another epoch has begun")
    rows: list[dict[str, Any]] = [
        {"job": job_id, "number": number, "time_ms": time_ms, "epoch": epoch, "text": line}
        for number, (time_ms, line) in enumerate(lines, last - len(lines) + 1)
    ]
    await connection.execute(insert(log_lines), rows)
    await connection.execute(delete(log_lines).where(log_lines.c.job == job_id, log_lines.c.number <= last - keep))


async def read(connection: AsyncConnection, job_id: str, after: int, limit: int) -> tuple[LogLine, ...]:
    """Lines after the number `after`, oldest first."""
    query = (
        select(log_lines)
        .where(log_lines.c.job == job_id, log_lines.c.number > after)
        .order_by(log_lines.c.number)
        .limit(limit)
    )
    return tuple(LogLine(row.number, row.time_ms, row.epoch, row.text) for row in await connection.execute(query))
