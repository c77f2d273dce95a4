"""What gateways hear and ask: several processes say the same, nothing is missed, and every page fits."""

import asyncio

from sqlalchemy import text

from libs.contracts.identity import ChangeProject, FindKeys, KeyChanges, KeyPage, KeysSince
from libs.kit.postgres import Database
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.wait import eventually
from services.identity.repository import heads

MANY = 5_000
_INSERT_MANY = """
insert into identity.keys
    (id, name, prefix, digest, role, tenant, scopes, models, limits, author, created_ms, expires_ms, changed_at)
select 'key_' || lpad(to_hex(n), 24, '0'), 'n', 'llmos-', encode(sha256(n::text::bytea), 'hex'), 'member', 'shop',
       '{}', cast(:models as text[]), '{}', 'ann', 0, 0, n
from generate_series(1, :count) as n
"""


async def insert_many(ground: IdentityGround, count: int, models: list[str]) -> None:
    """Keys as if so many had been made."""
    database = Database(ground.database)
    async with database.begin() as connection:
        await connection.execute(text(_INSERT_MANY), {"count": count, "models": models})
        await connection.execute(text("update identity.head set revision = :count"), {"count": count})
    await database.close()


async def test_five_thousand_keys_are_read_in_pages_and_end_with_their_project(
    ground: IdentityGround, desk: IdentityDesk
) -> None:
    await desk.project()
    await insert_many(ground, MANY, [])

    assert await desk.catch_up(limit=500) == MANY // 500
    assert len(desk.known) == desk.revision.revision == MANY

    await desk.call("project_change", ChangeProject(name="shop", author="ann", closed=True))

    assert await desk.catch_up(limit=1_000) == MANY // 1_000
    assert all(record.is_revoked for record in desk.known.values())
    assert len(desk.known) == MANY


async def test_keys_that_say_much_come_in_smaller_pages(ground: IdentityGround, desk: IdentityDesk) -> None:
    await desk.project()
    await insert_many(ground, 200, ["m" * 200] * 100)

    assert await desk.catch_up(limit=500) > 1

    assert len(desk.known) == 200
    listed: KeyPage = await desk.call("key_list", FindKeys(tenant="shop", limit=1_000))
    assert 0 < len(listed.keys) < 200
    assert listed.next


async def test_whoever_asks_all_the_time_misses_no_key_of_two_processes(ground: IdentityGround) -> None:
    async with ground.service(), ground.service(), ground.desk() as desk, ground.desk() as follower:
        await desk.project()
        making = [asyncio.create_task(desk.key(name=f"n{number}")) for number in range(60)]
        while not all(each.done() for each in making):
            await follower.catch_up(limit=7)
        issued = [each.result().key.id for each in making]

        await follower.catch_up(limit=7)

        assert {record.id for record in follower.known.values()} == set(issued)
        assert follower.revision.revision == 60


async def test_no_revision_is_committed_before_a_lower_one(ground: IdentityGround, desk: IdentityDesk) -> None:
    await desk.project()
    slow = Database(ground.database)
    async with slow.begin() as connection:
        await heads.lock(connection)
        assert await heads.advance(connection) == 1

        making = asyncio.create_task(desk.key())
        await eventually(lambda: _waits(ground), timeout_s=30, what="somebody who waits for the slower one")

        assert not making.done()
        await desk.catch_up()
        assert desk.revision.revision == 0
    await slow.close()

    await making
    await desk.catch_up()
    assert (len(desk.known), desk.revision.revision) == (1, 2)


async def _waits(ground: IdentityGround) -> bool | None:
    """Whether somebody waits for a lock in this database."""
    database = Database(ground.database)
    async with database.begin() as connection:
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        waiting = (await connection.execute(text(query))).scalar_one()
    await database.close()
    return True if waiting else None


async def test_both_of_two_processes_say_the_newest_revision_whoever_made_it(ground: IdentityGround) -> None:
    async with ground.service() as one, ground.service(), ground.desk() as desk:
        await desk.project()
        made = 0

        async def say_alike() -> bool | None:
            newest = [said.revision for said in desk.heard[-4:]]
            return True if len(newest) == 4 and set(newest) == {made} else None

        for made in (1, 2, 3):
            await desk.key()
            await eventually(say_alike, timeout_s=30, what=f"revision {made} from everybody")
        await one.stop()
        await desk.key()
        made = 4
        desk.heard.clear()
        await eventually(say_alike, timeout_s=30, what="revision 4 from the one that is left")


async def test_a_store_that_was_made_anew_or_set_back_is_told_whole(desk: IdentityDesk) -> None:
    await desk.project()
    for _ in range(3):
        await desk.key()
    await desk.catch_up()
    store = desk.revision.store

    nothing: KeyChanges = await desk.call("keys_since", KeysSince(store, 3))
    part: KeyChanges = await desk.call("keys_since", KeysSince(store, 2))
    ahead: KeyChanges = await desk.call("keys_since", KeysSince(store, 9))
    other: KeyChanges = await desk.call("keys_since", KeysSince("another", 3))

    assert (len(nothing.records), nothing.is_whole, nothing.revision) == (0, False, 3)
    assert (len(part.records), part.is_whole) == (1, False)
    for whole in (ahead, other):
        assert (len(whole.records), whole.is_whole, whole.revision, whole.store) == (3, True, 3, store)
