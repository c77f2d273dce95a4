"""What somebody might do to the rows of the audit, and connections to do it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped] # it ships no types

from libs.kit.settings import PostgresSettings
from libs.testkit.audit import AuditGround

DAMAGES = {
    "change": "update audit.entries set entry = replace(entry, 'key_ann', 'key_bob') where number = {n}",
    "delete": "delete from audit.entries where number = {n}",
    "backdate": "update audit.entries set recorded_ms = recorded_ms - 1 where number = {n}",
    "relink": "update audit.entries set link = md5(link) || md5(number::text) where number = {n}",
    "truncate_tail": "delete from audit.entries where number >= {n}",
    "truncate_all": "truncate audit.entries",
}
REORDER = (
    "update audit.entries set number = -1 * number where number = {n}",
    "update audit.entries set number = {n} where number = {m}",
    "update audit.entries set number = {m} where number = -1 * {n}",
)


@asynccontextmanager
async def connected(settings: PostgresSettings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the driver's own, as these settings say."""
    connection = await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        database=settings.database,
        password=settings.secret(),
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def superuser(ground: AuditGround) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may do everything in the database, as whoever has its disk may."""
    async with connected(ground.database) as connection:
        yield connection
