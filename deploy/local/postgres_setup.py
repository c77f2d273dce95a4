"""Gives services roles and databases: `python -m deploy.local.postgres_setup ADDRESS OUR_PASSWORD NAME=PASSWORD…`.

The address is `HOST:PORT`; passwords are files. Everything is made when it is missing and left alone otherwise; it runs
at each start.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg  # type: ignore[import-untyped] # it ships no types

from deploy.local.parts.postgres import DATABASE, SERVICES, USER


def main() -> None:
    """Set it up and say what was made."""
    address, own, *services = sys.argv[1:]
    passwords = {name: _read(path) for name, _, path in (each.partition("=") for each in services)}
    print(asyncio.run(_set_up(address, _read(own), passwords)))  # noqa: T201 - this is the log


async def _set_up(address: str, own_password: str, passwords: dict[str, str]) -> str:
    host, _, port = address.rpartition(":")
    connection = await asyncpg.connect(host=host, port=int(port), user=USER, database=DATABASE, password=own_password)
    try:
        made = [f"{what} of {name}" for name in passwords for what in await _service(connection, name, passwords[name])]
        await connection.execute(f"revoke connect on database {DATABASE}, postgres from public")
    finally:
        await connection.close()
    return f"made: {', '.join(made) or 'nothing, all is there'}"


async def _service(connection: asyncpg.Connection, name: str, password: str) -> list[str]:
    """Role and database of one service; what had to be made."""
    if name not in SERVICES:
        sys.exit(f"{name!r} is no service with a database")
    made = []
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", name):
        await connection.execute(f"create role {name} login nosuperuser nocreatedb nocreaterole noinherit")
        made.append("role")
    # DDL takes no parameters; the server itself quotes the literal.
    await connection.execute(
        await connection.fetchval(f"select format('alter role {name} password %L', $1::text)", password)
    )
    if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
        await connection.execute(f"create database {name} owner {name}")
        made.append("database")
    await connection.execute(f"revoke all on database {name} from public")
    return made


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
