"""Gives services roles and databases: `python -m deploy.local.postgres_setup ADDRESS OUR_PASSWORD NAME=PASSWORD…`.

The address is `HOST:PORT`; passwords are files. Everything is made when it is missing and left alone otherwise; it runs
at each start.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg  # type: ignore[import-untyped] # it ships no types

from deploy.local.parts.postgres import DATABASE, OWNERS, ROLES, SERVICES, USER


def main() -> None:
    """Set it up and say what was made."""
    address, own, *services = sys.argv[1:]
    passwords = {name: _read(path) for name, _, path in (each.partition("=") for each in services)}
    print(asyncio.run(set_up(address, _read(own), passwords)))  # noqa: T201 - this is the log


async def set_up(address: str, own_password: str, passwords: dict[str, str]) -> str:
    """Make what is missing for these roles; what was made, in words."""
    host, _, port = address.rpartition(":")
    place = {"host": host, "port": int(port), "user": USER, "password": own_password}
    connection = await asyncpg.connect(**place, database=DATABASE)
    try:
        made = [f"role {name}" for name in passwords if await _role(connection, name, passwords[name])]
        made += [f"database {name}" for name in SERVICES if name in passwords and await _database(connection, name)]
        await connection.execute(f"revoke connect on database {DATABASE}, postgres from public")
    finally:
        await connection.close()
    for name, owner in OWNERS.items():
        if name in passwords:
            await _hand_over(await asyncpg.connect(**place, database=name), name, owner)
    return f"made: {', '.join(made) or 'nothing, all is there'}"


async def _role(connection: asyncpg.Connection, name: str, password: str) -> bool:
    """Whether the role had to be made."""
    if name not in ROLES:
        sys.exit(f"{name!r} is no role of a service with a database")
    is_missing = not await connection.fetchval("select 1 from pg_roles where rolname = $1", name)
    if is_missing:
        await connection.execute(f"create role {name} login nosuperuser nocreatedb nocreaterole noinherit")
    # DDL takes no parameters; the server itself quotes the literal.
    await connection.execute(
        await connection.fetchval(f"select format('alter role {name} password %L', $1::text)", password)
    )
    return is_missing


async def _database(connection: asyncpg.Connection, name: str) -> bool:
    """Whether the database had to be made."""
    is_missing = not await connection.fetchval("select 1 from pg_database where datname = $1", name)
    if is_missing:
        await connection.execute(f"create database {name} owner {OWNERS.get(name, name)}")
    await connection.execute(f"revoke all on database {name} from public")
    return is_missing


async def _hand_over(connection: asyncpg.Connection, name: str, owner: str) -> None:
    """Let the owner have the database, also one that the service's own role made, and the service come in."""
    try:
        await connection.execute(f"reassign owned by {name} to {owner}")
        await connection.execute(
            f"revoke all on database {name} from {name}; grant connect on database {name} to {name}"
        )
    finally:
        await connection.close()


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
