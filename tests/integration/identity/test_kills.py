"""A process that is killed in the middle leaves nothing half made; what was answered is there, once."""

import asyncio
import hashlib
import signal

import msgspec
import pytest
from sqlalchemy import text

from libs.contracts import subjects
from libs.contracts.identity import IssuedKey, KeyChanged
from libs.contracts.topology import EVT_IDENTITY
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.streams import stream_messages
from libs.testkit.wait import eventually, until

AT_ONCE = 40


async def make_until_killed(ground: IdentityGround, desk: IdentityDesk, life: int) -> list[IssuedKey]:
    """Keys that were answered by a process that is killed while it makes them."""
    async with ground.started_process() as process:
        if life == 0:
            await desk.project()
        making = [asyncio.create_task(desk.key(name=f"n{life}-{number}")) for number in range(AT_ONCE)]
        await until(lambda: any(each.done() for each in making), timeout_s=60, what="the first key")
        await process.end(signal.SIGKILL)
        results = await asyncio.gather(*making, return_exceptions=True)
    assert all(isinstance(each, IssuedKey | ServiceError) for each in results), results
    return [each for each in results if isinstance(each, IssuedKey)]


@pytest.mark.parametrize("lives", [1, pytest.param(5, marks=pytest.mark.slow)])
async def test_what_was_answered_is_there_and_what_is_there_is_whole(ground: IdentityGround, lives: int) -> None:
    async with ground.desk() as desk:
        answered = [issued for life in range(lives) for issued in await make_until_killed(ground, desk, life)]
        async with ground.service():
            await desk.catch_up()
            known = set(desk.known)
            announced = await eventually(lambda: _announced(ground, len(known)), timeout_s=60, what="every event")
            await eventually(lambda: _all_is_sent(ground), timeout_s=60, what="an empty outbox")

    assert {hashlib.sha256(issued.secret.encode()).hexdigest() for issued in answered} <= known
    database = Database(ground.database)
    async with database.begin() as connection:
        rows = (await connection.execute(text("select id, digest, changed_at from identity.keys"))).all()
        newest = (await connection.execute(text("select revision from identity.head"))).scalar_one()
    await database.close()
    assert {row.digest for row in rows} == known
    assert sorted(announced) == sorted(row.id for row in rows), "each is announced, and once"
    assert sorted(row.changed_at for row in rows) == list(range(1, newest + 1))


async def _all_is_sent(ground: IdentityGround) -> bool | None:
    database = Database(ground.database)
    async with database.begin() as connection:
        waiting = (await connection.execute(text("select count(*) from identity.outbox"))).scalar_one()
    await database.close()
    return True if not waiting else None


async def _announced(ground: IdentityGround, count: int) -> list[str] | None:
    messages = await stream_messages(ground.nats, EVT_IDENTITY.name)
    found = [
        msgspec.json.decode(message.data or b"", type=KeyChanged).key.id
        for message in messages
        if message.subject == subjects.KEY_CHANGED
    ]
    return found if len(found) >= count else None
