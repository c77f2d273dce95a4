"""The database door against a real PostgreSQL: transactions, locks, and how it says that the database is away."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from libs.kit.errors import ServiceError
from libs.kit.postgres import Database, lock
from libs.kit.settings import PostgresSettings
from libs.testkit.stores import PostgresServer


async def test_a_block_that_fails_leaves_nothing_behind(database: PostgresSettings) -> None:
    door = Database(database)
    async with door.begin() as connection:
        await connection.execute(text("create table t (n int)"))

    async def fail() -> None:
        async with door.begin() as connection:
            await connection.execute(text("insert into t values (1)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with door.begin() as connection:
        assert (await connection.execute(text("select count(*) from t"))).scalar_one() == 0
    await door.close()


async def test_a_lock_is_held_until_the_transaction_ends(database: PostgresSettings) -> None:
    door, order = Database(database), list[str]()
    entered = asyncio.Event()

    async def first() -> None:
        async with door.begin() as connection:
            await lock(connection, 7)
            entered.set()
            await connection.execute(text("select pg_sleep(0.2)"))
            order.append("first")

    async def second() -> None:
        await entered.wait()
        async with door.begin() as connection:
            await lock(connection, 7, shared=True)
            order.append("second")

    await asyncio.gather(second(), first())
    assert order == ["first", "second"]
    await door.close()


async def test_a_mistake_of_ours_is_not_called_an_outage(database: PostgresSettings) -> None:
    door = Database(database)
    with pytest.raises(ProgrammingError):
        async with door.begin() as connection:
            await connection.execute(text("select * from nowhere"))
    await door.close()


@pytest.mark.parametrize("state", ["25006", "40001", "40P01", "53100", "53200", "53300", "57P01", "58030"])
async def test_what_will_pass_may_be_tried_again(state: str, database: PostgresSettings) -> None:
    door = Database(database)
    raising = f"do $$ begin raise exception 'no room' using errcode = '{state}'; end $$"
    with pytest.raises(ServiceError, match="no room") as caught:
        async with door.begin() as connection:
            await connection.execute(text(raising))
    assert caught.value.code == "storage_unavailable"
    with pytest.raises(ServiceError, match="no room"):
        async with door.begin_bulk() as bulk:
            await bulk.execute(raising)
    await door.close()


async def test_a_database_that_is_away_is_a_typed_error_and_is_found_again(
    postgres_server: PostgresServer, database: PostgresSettings
) -> None:
    door = Database(database)
    async with door.begin() as connection:
        await connection.execute(text("create table t (n int)"))
    await asyncio.to_thread(postgres_server.kill)
    try:
        for _ in range(2):
            with pytest.raises(ServiceError) as caught:
                async with door.begin() as connection:
                    await connection.execute(text("select 1"))
            assert caught.value.code == "storage_unavailable"
    finally:
        await asyncio.to_thread(postgres_server.start)
    async with door.begin() as connection:
        assert (await connection.execute(text("select count(*) from t"))).scalar_one() == 0
    await door.close()
