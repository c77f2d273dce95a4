"""What is there outlives migrations; that the tables are the declared ones is tested for all services."""

import asyncio

import pytest

from libs.kit.bus.stored import Event
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.feedback import completed
from services.feedback.migrations import migrate
from services.feedback.repository import erasures, interactions
from services.feedback.tables import OUTBOX


async def test_later_keys_and_outboxes_keep_what_was_there(database: PostgresSettings) -> None:
    door = Database(database)
    await migrate(door, "r0004")
    known = [completed(user=f"u{number % 3}", episode_id="e1") for number in range(9)]
    async with door.begin_bulk() as connection:
        await interactions.add(connection, known)
        await connection.execute(
            "insert into feedback.outbox (subject, ids, payloads, time_ms) values ($1, $2, $3, 7)",
            "evt.x", ["a", "b"], ['{"id":"a"}', '{"id":"b"}'],
        )  # fmt: skip
    await migrate(door)
    async with door.begin_bulk() as connection:
        await interactions.add(connection, known)
        assert await connection.fetchval("select count(*) from feedback.interactions") == len(known)
        found = await erasures.targets(connection, known[0].tenant, user="u1")
        _, said = await OUTBOX.oldest(connection)
    assert found == sorted(one.request_id for one in known[1::3])
    assert said == [Event(one, "evt.x", 7, b'{"id":"%b"}' % one.encode()) for one in ("a", "b")]
    await door.close()


async def test_what_is_there_is_not_appended(database: PostgresSettings) -> None:
    door = Database(database)
    await asyncio.gather(*(migrate(door) for _ in range(2)))
    known = completed()
    async with door.begin_bulk() as connection:
        await interactions.append(connection, [known])
    with pytest.raises(Exception, match="interactions_pkey"):
        async with door.begin_bulk() as connection:
            await interactions.append(connection, [completed(), known])
    async with door.begin_bulk() as connection:
        assert await connection.fetchval("select count(*) from feedback.interactions") == 1
    await door.close()
