"""The schema: the migrations make exactly the declared tables, backwards and forwards, and keep what is in them."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from libs.kit.bus.stored import Event
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.feedback import completed
from services.feedback.migrations import migrate
from services.feedback.repository import erasures, interactions
from services.feedback.tables import OUTBOX, SCHEMA, metadata

_OURS = ("add_table", "remove_table", "add_column", "remove_column")
_UNDECLARED = {"statistics_told", "statistics_counted"}
"""Written and read by their own statements only."""


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "version_table_schema": SCHEMA,
            "compare_type": True,
            "include_name": lambda name, kind, _: (
                (kind != "schema" or name == SCHEMA) and (kind != "table" or name not in _UNDECLARED)
            ),
        },
    )
    # Indexes, checks and keys are the migrations' own.
    return [change for change in compare_metadata(context, metadata) if isinstance(change, list) or change[0] in _OURS]


async def _indexes(database: Database) -> set[str]:
    async with database.begin() as connection:
        query = text("select indexname from pg_indexes where schemaname = :schema")
        return set((await connection.execute(query, {"schema": SCHEMA})).scalars())


async def test_the_migrations_make_the_declared_tables_forwards_and_backwards(database: PostgresSettings) -> None:
    door = Database(database)
    for _ in range(2):
        await migrate(door)
        async with door.begin() as connection:
            assert await connection.run_sync(_differences) == []
        await migrate(door, "base")
        assert await _indexes(door) == {"alembic_version_pkc"}
    await door.close()


async def test_later_keys_and_outboxes_keep_what_was_there(database: PostgresSettings) -> None:
    door = Database(database)
    await migrate(door, "r0004")
    known = [completed(user=f"u{number % 3}", episode_id="e1") for number in range(9)]
    async with door.begin_bulk() as connection:
        await interactions.add(connection, known)
        await connection.execute(
            "insert into feedback.outbox (subject, ids, payloads, time_ms) values ($1, $2, $3, 7)",
            "evt.x", ["a", "b"], ['{"id":"a"}', '{"id":"b"}'],
        )  # fmt: skip
    await migrate(door)
    async with door.begin_bulk() as connection:
        await interactions.add(connection, known)
        assert await connection.fetchval("select count(*) from feedback.interactions") == len(known)
        found = await erasures.targets(connection, known[0].tenant, user="u1")
        _, said = await OUTBOX.oldest(connection)
    assert found == sorted(one.request_id for one in known[1::3])
    assert said == [Event(one, "evt.x", 7, b'{"id":"%b"}' % one.encode()) for one in ("a", "b")]
    await door.close()


async def test_what_is_there_is_not_appended(database: PostgresSettings) -> None:
    door = Database(database)
    await asyncio.gather(*(migrate(door) for _ in range(2)))
    known = completed()
    async with door.begin_bulk() as connection:
        await interactions.append(connection, [known])
    with pytest.raises(Exception, match="interactions_pkey"):
        async with door.begin_bulk() as connection:
            await interactions.append(connection, [completed(), known])
    async with door.begin_bulk() as connection:
        assert await connection.fetchval("select count(*) from feedback.interactions") == 1
    await door.close()
