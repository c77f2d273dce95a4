"""Brings a service's schema to the code's version, once, whichever process comes first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from libs.kit.postgres import Database, lock
from libs.kit.starting import StartError


@dataclass(frozen=True)
class Migrations:
    """What makes one service's schema; called with its database."""

    schema: str
    package_file: str
    """`__file__` of the package that holds the steps in `versions`."""
    lock_key: int
    """Of this service alone."""

    async def __call__(self, database: Database, revision: str = "head") -> None:
        """Apply what is missing up to `revision`; other processes wait meanwhile.

        Raises:
            ServiceError: `storage_unavailable`, the database does not answer.
            StartError: the schema is of a version that this code does not know.
        """
        try:
            async with database.begin() as connection:
                await lock(connection, self.lock_key)
                await connection.execute(text(f"create schema if not exists {self.schema}"))
                await connection.run_sync(_apply, self.schema, self.scripts(), revision)
        except CommandError as error:
            unknown = error.__cause__
            if not isinstance(unknown, ResolutionError):
                raise
            found = f"The schema {self.schema!r} is at step {unknown.argument!r}, which this version does not know"
            remedy = "start the version that made it, or a newer one, or put back the backup from before"
            raise StartError("DATABASE__DATABASE", f"{found}: {remedy}.") from error

    def scripts(self) -> ScriptDirectory:
        """The steps, each knowing the one before."""
        config = Config()
        config.set_main_option("script_location", str(Path(self.package_file).parent))
        config.set_main_option("path_separator", "os")
        return ScriptDirectory.from_config(config)


def _apply(connection: Connection, schema: str, script: ScriptDirectory, revision: str) -> None:
    def steps(current: Any, _: Any) -> Any:
        if revision == "base":
            return script._downgrade_revs(revision, current)  # noqa: SLF001 - alembic's documented way without env.py
        return script._upgrade_revs(revision, current)  # noqa: SLF001 - as above

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, version_table_schema=schema)
        environment.run_migrations()
