"""Gives the registry its role and database: `python -m deploy.local.postgres_setup PORT OUR_PASSWORD ITS_PASSWORD`.

Both passwords are files. Everything is made when it is missing and left alone otherwise; it runs at each start.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg  # type: ignore[import-untyped] # it ships no types

from deploy.local.parts.postgres import DATABASE, REGISTRY, USER
from deploy.local.ports import HOST


def main() -> None:
    """Set it up and say what was made."""
    port, own, its = sys.argv[1:]
    print(asyncio.run(_set_up(int(port), _read(own), _read(its))))  # noqa: T201 - this is the log


async def _set_up(port: int, own_password: str, its_password: str) -> str:
    connection = await asyncpg.connect(host=HOST, port=port, user=USER, database=DATABASE, password=own_password)
    try:
        made = []
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", REGISTRY):
            await connection.execute(f"create role {REGISTRY} login nosuperuser nocreatedb nocreaterole noinherit")
            made.append("role")
        # DDL takes no parameters; the server itself quotes the literal.
        await connection.execute(await connection.fetchval(
            f"select format('alter role {REGISTRY} password %L', $1::text)", its_password
        ))  # fmt: skip
        if not await connection.fetchval("select 1 from pg_database where datname = $1", REGISTRY):
            await connection.execute(f"create database {REGISTRY} owner {REGISTRY}")
            made.append("database")
        await connection.execute(f"revoke all on database {REGISTRY} from public")
        await connection.execute(f"revoke connect on database {DATABASE}, postgres from public")
    finally:
        await connection.close()
    return f"made for the registry: {', '.join(made) or 'nothing, all is there'}"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
