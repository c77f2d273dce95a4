"""Every service's schema: the migrations make exactly the declared tables, both ways, whoever comes first."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text

from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings

SERVICES = sorted(path.parent.name for path in (Path(__file__).resolve().parents[3] / "services").glob("*/tables.py"))
# Constraints are declared here, too; elsewhere they are the migrations' own, as indexes and checks are.
EXACT = {"registry"}
COMPARED = ("add_table", "remove_table", "add_column", "remove_column")
# Written and read by their own statements only.
UNDECLARED = {"statistics_told", "statistics_counted"}


def _parts(service: str) -> tuple[MetaData, Any]:
    """Its declared tables, all of them, and what migrates."""
    importlib.import_module(f"services.{service}.app")
    migrate = importlib.import_module(f"services.{service}.migrations").migrate
    return importlib.import_module(f"services.{service}.tables").metadata, migrate


def _differences(connection: Connection, metadata: MetaData) -> list[Any]:
    def concerns(name: str | None, kind: str, _: object) -> bool:
        return name == metadata.schema if kind == "schema" else name not in UNDECLARED

    options = {"include_schemas": True, "version_table_schema": metadata.schema, "include_name": concerns}
    context = MigrationContext.configure(connection, opts={"compare_type": True, **options})
    found = compare_metadata(context, metadata)
    exact = metadata.schema in EXACT
    return [change for change in found if exact or isinstance(change, list) or change[0] in COMPARED]


async def _left(door: Database, schema: str) -> set[str]:
    """Tables, indexes and functions."""
    relations = "select relname from pg_class where relnamespace = to_regnamespace(:schema)"
    functions = "select proname from pg_proc where pronamespace = to_regnamespace(:schema)"
    async with door.begin() as connection:
        return set((await connection.execute(text(f"{relations} union all {functions}"), {"schema": schema})).scalars())


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_make_the_declared_tables_forwards_and_backwards(
    service: str, database: PostgresSettings
) -> None:
    metadata, migrate = _parts(service)
    door = Database(database)
    for _ in range(2):
        await migrate(door)
        async with door.begin() as connection:
            assert await connection.run_sync(_differences, metadata) == []
        assert {table.name for table in metadata.tables.values()} <= await _left(door, service)
        await migrate(door, "base")
        assert await _left(door, service) == {"alembic_version", "alembic_version_pkc"}
    await door.close()


async def test_of_several_processes_one_migrates_and_the_others_wait(database: PostgresSettings) -> None:
    doors = [Database(database) for _ in range(4)]
    for service in SERVICES:
        metadata, migrate = _parts(service)
        await asyncio.gather(*(migrate(door) for door in doors))
        assert {table.name for table in metadata.tables.values()} <= await _left(doors[0], service)
    for door in doors:
        await door.close()
