"""What the statements for whole batches share: the connection's type, and the error for "somebody else was faster"."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped] # it ships no types

from libs.kit.errors import ServiceError

Connection = Any
"""An `asyncpg.Connection` inside a transaction."""


class CollisionError(Exception):
    """Another transaction wrote what this one had found missing: decide again."""


@contextlib.contextmanager
def collisions() -> Iterator[None]:
    """Turns what concurrent writers do to each other into `CollisionError`."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise CollisionError(str(error)) from error
    except ServiceError as error:
        if not isinstance(error.__cause__, asyncpg.DeadlockDetectedError):
            raise
        raise CollisionError(str(error.__cause__)) from error


async def copy(connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    """Append `rows`; nothing for none."""
    if rows:
        await connection.copy_records_to_table(table, schema_name="feedback", columns=columns, records=rows)
