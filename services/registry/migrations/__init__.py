"""Brings the database's schema to this code's version, once, whichever process comes first."""

from pathlib import Path
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from libs.kit.postgres import Database, lock
from services.registry.tables import SCHEMA

_LOCK_KEY: Final = 0x6C6C_6D01


async def migrate(database: Database, revision: str = "head") -> None:
    """Apply what is missing up to `revision`; other processes wait meanwhile.

    Raises:
        ServiceError: `storage_unavailable`, the database does not answer.
    """
    async with database.begin() as connection:
        await lock(connection, _LOCK_KEY)
        await connection.execute(text(f"create schema if not exists {SCHEMA}"))
        await connection.run_sync(_apply, revision)


def _apply(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(current: Any, _: Any) -> Any:
        if revision == "base":
            return script._downgrade_revs(revision, current)  # noqa: SLF001 - alembic's documented way without env.py
        return script._upgrade_revs(revision, current)  # noqa: SLF001 - as above

    with EnvironmentContext(config, script, fn=steps) as environment:
        environment.configure(connection=connection, version_table_schema=SCHEMA)
        environment.run_migrations()
