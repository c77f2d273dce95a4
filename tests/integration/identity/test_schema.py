"""The schema: the migrations make exactly the declared tables, backwards and forwards, whoever comes first."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.identity.app import IdentityService
from services.identity.migrations import migrate
from services.identity.tables import SCHEMA, metadata

PROCESS = IdentityService
"""Its modules declare all tables, those of limits too."""


_OURS = ("add_table", "remove_table", "add_column", "remove_column")


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "version_table_schema": SCHEMA,
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        },
    )
    # Indexes, checks and keys are the migrations' own.
    found = [change for change in compare_metadata(context, metadata) if isinstance(change, list) or change[0] in _OURS]
    return list(found)


async def _tables(database: Database) -> set[str]:
    async with database.begin() as connection:
        rows = await connection.execute(
            text("select table_name from information_schema.tables where table_schema = :schema"), {"schema": SCHEMA}
        )
        return set(rows.scalars())


async def test_the_migrations_make_the_declared_tables_forwards_and_backwards(database: PostgresSettings) -> None:
    door = Database(database)
    for _ in range(2):
        await migrate(door)
        async with door.begin() as connection:
            assert await connection.run_sync(_differences) == []
        assert len(await _tables(door)) == len(metadata.tables) + 1
        await migrate(door, "base")
        assert await _tables(door) == {"alembic_version"}
    await door.close()


async def test_of_several_processes_one_migrates_and_the_others_wait(database: PostgresSettings) -> None:
    doors = [Database(database) for _ in range(4)]
    await asyncio.gather(*(migrate(door) for door in doors))
    assert len(await _tables(doors[0])) == len(metadata.tables) + 1
    for door in doors:
        await door.close()


async def test_what_a_key_may_do_never_changes_and_its_end_is_for_ever(database: PostgresSettings) -> None:
    door = Database(database)
    await migrate(door)
    async with door.begin() as connection:
        await connection.execute(text(_KEY))
    for change in _FORBIDDEN:
        with pytest.raises(IntegrityError):
            async with door.begin() as connection:
                await connection.execute(text(f"update identity.keys set {change}"))  # noqa: S608 - our own words
    async with door.begin() as connection:
        await connection.execute(text("update identity.keys set expires_ms = 7, revision = 3, changed_at = 3"))
    await door.close()


_KEY = """
insert into identity.keys (id, name, prefix, digest, role, scopes, models, limits, author, created_ms, expires_ms,
                           revoked_ms, revision, changed_at)
values ('key_1', 'n', 'llmos-', repeat('a', 64), 'member', '{}', '{}', '{}', 'ann', 1, 0, 5, 2, 2)
"""
_FORBIDDEN = (
    "role = 'admin'",
    "digest = repeat('b', 64)",
    "scopes = '{keys:write}'",
    "models = '{other}'",
    "revoked_ms = 0",
    "revoked_ms = 9",
    "revision = 1",
    "changed_at = 1",
)
