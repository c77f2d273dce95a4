"""Brings the schema `audit` to this code's version, as its owner, and gives the service's role what it needs of it."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from libs.kit.errors import ServiceError
from libs.kit.migrations import Migrations
from libs.kit.postgres import Database

SCHEMA: Final = "audit"
migrate: Final = Migrations(SCHEMA, __file__, lock_key=0x6C6C_6E51)
_GRANTS: Final = (
    "grant usage on schema audit to %I",
    "revoke all on audit.entries, audit.alembic_version from %I",
    "grant select, insert on audit.entries to %I",
    "grant select on audit.alembic_version to %I",
)


async def hand_over(database: Database, writer: str) -> None:
    """Let the role add and read rows, and nothing else; the connection is the owner's.

    Raises:
        ServiceError: `storage_unavailable`, the database does not answer.
    """
    async with database.begin() as connection:
        for grant in _GRANTS:
            # DDL takes no parameters; the server itself quotes the name.
            asked = {"statement": grant, "writer": writer}
            statement = await connection.scalar(text("select format(:statement, cast(:writer as text))"), asked)
            await connection.exec_driver_sql(str(statement))


async def expect(database: Database) -> None:
    """Return if the tables are those of this code; the service's role cannot make them.

    Raises:
        ServiceError: `storage_unavailable`, they are not there yet, or the database does not answer.
    """
    version = None
    try:
        async with database.begin() as connection:
            version = await connection.scalar(text("select version_num from audit.alembic_version"))
    except ProgrammingError as error:
        # Neither the tables nor the right to look at them are there before their owner has made both.
        reason = str(error.orig).splitlines()[0]
    else:
        reason = f"they are of version {version}"
    if version != migrate.scripts().get_current_head():
        made = "`python -m services.audit.migrations`, as their owner, makes them"
        raise ServiceError("storage_unavailable", f"The audit's tables are not those of this code ({reason}): {made}.")
