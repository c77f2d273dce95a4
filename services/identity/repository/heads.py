"""The row that puts all changes in order."""

from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.tables import head


class Head(NamedTuple):
    """Which store of keys this is, and its newest revision."""

    store: str
    revision: int


async def read(connection: AsyncConnection) -> Head:
    """As it is; whoever reads keys afterwards sees all changes up to it."""
    row = (await connection.execute(select(head.c.store, head.c.revision))).one()
    return Head(row.store, row.revision)


async def lock(connection: AsyncConnection) -> None:
    """Let nobody else change anything until this transaction has ended.

    A gateway asks for what came after the revision that it knows, so a lower one must never be committed after a
    higher one.
    """
    await connection.execute(select(head.c.id).with_for_update())


async def advance(connection: AsyncConnection, count: int = 1) -> int:
    """The first of `count` fresh revisions."""
    statement = update(head).values(revision=head.c.revision + count).returning(head.c.revision)
    return int((await connection.execute(statement)).scalar_one()) - count + 1
