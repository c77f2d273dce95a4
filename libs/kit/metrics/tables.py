"""Numbers that are rows of a database: one question, read when Prometheus asks."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import text

from libs.kit import clock
from libs.kit.metrics.readings import Rows
from libs.kit.postgres import Database

PATIENCE_MS: Final = 4_000
"""A question that takes longer is given up, so that looking never burdens a database that is in trouble."""
_PATIENCE: Final = text(f"set local statement_timeout = {PATIENCE_MS}")


async def ask(database: Database, *questions: str) -> list[list[tuple[Any, ...]]]:
    """What each question gives.

    Raises:
        ServiceError: `storage_unavailable`.
    """
    async with database.begin() as connection:
        await connection.execute(_PATIENCE)
        return [[tuple(row) for row in await connection.execute(text(question))] for question in questions]


def by_name(found: Iterable[tuple[Any, ...]], names: Iterable[str]) -> Rows:
    """The count of each name; 0 of those that were not found. The rows are names and counts."""
    counts = {str(row[0]): float(row[1]) for row in found}
    return [((name,), counts.get(name, 0.0)) for name in names]


def age_s(since_ms: int | None) -> Rows:
    """How long ago that was; 0 where it never was."""
    return [((), max(0, clock.unix_ms() - since_ms) / 1_000 if since_ms else 0.0)]
