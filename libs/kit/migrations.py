"""Brings a service's schema to the code's version, once, whichever process comes first."""

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from libs.kit.postgres import Database, lock


async def migrate(database: Database, *, schema: str, scripts: Path, lock_key: int, revision: str = "head") -> None:
    """Apply what is missing in `scripts` up to `revision`; other processes wait meanwhile.

    Raises:
        ServiceError: `storage_unavailable`, the database does not answer.
    """
    async with database.begin() as connection:
        await lock(connection, lock_key)
        await connection.execute(text(f"create schema if not exists {schema}"))
        await connection.run_sync(_apply, schema, scripts, revision)


def _apply(connection: Connection, schema: str, scripts: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(current: Any, _: Any) -> Any:
        if revision == "base":
            return script._downgrade_revs(revision, current)  # noqa: SLF001 - alembic's documented way without env.py
        return script._upgrade_revs(revision, current)  # noqa: SLF001 - as above

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, version_table_schema=schema)
        environment.run_migrations()
