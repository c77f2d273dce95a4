"""Entries become rows once each, and whatever is done to the rows is found."""

import random
import signal

import pytest

from libs.contracts.audit import FindEntries, Phase, VerifyChain
from libs.kit.errors import ServiceError
from libs.testkit.audit import AuditDesk, AuditGround, entry
from libs.testkit.nats_server import NatsServer
from libs.testkit.streams import stream_messages
from libs.testkit.wait import eventually
from tests.integration.audit.damage import DAMAGES, REORDER, superuser

ROWS = 10_000


async def fill(desk: AuditDesk, count: int) -> None:
    for start in range(0, count, 1_000):
        await desk.write(*(entry(number) for number in range(start, min(start + 1_000, count))))

    async def all_there() -> bool | None:
        return await desk.count() == count or None

    await eventually(all_there, timeout_s=120)


async def said(desk: AuditDesk, number: int) -> None:
    """Return when the newest link on the bus is that of this row."""

    async def is_said() -> bool | None:
        return bool((await desk.call("audit_verify", VerifyChain(limit=1))).head == number) or None

    await eventually(is_said, timeout_s=60)


async def test_each_entry_is_one_row_however_often_it_comes(desk: AuditDesk, private_nats: NatsServer) -> None:
    await desk.write(*(entry(number) for number in range(5)))
    await desk.write(entry(2, Phase.DONE, status=200))
    for repeat in range(3):
        await desk.say(b"".join((b'{"id":"aud_000000000000000000000003","phase":"asked","time_ms":1003,',
                                 b'"author":"key_ann","role":"admin","operation":"alias_set","object":"/x"}')),
                       f"again-{repeat}")  # fmt: skip
    await desk.say(b"nonsense", "nonsense")
    await desk.write(entry(9))

    async def all_there() -> bool | None:
        return await desk.count() == 7 or None

    await eventually(all_there, timeout_s=60)
    page = await desk.call("audit_list", FindEntries(limit=100))
    assert [row.number for row in page.rows] == [7, 6, 5, 4, 3, 2, 1]
    assert await desk.faults() == []
    assert [letter.data for letter in await stream_messages(private_nats, "DLQ_AUDIT")] == [b"nonsense"]


async def test_entries_are_found_by_who_what_and_when(desk: AuditDesk) -> None:
    await desk.write(entry(1), entry(2, author="key_bob", tenant="shop"), entry(3, operation="key_create"))

    async def all_there() -> bool | None:
        return await desk.count() == 3 or None

    await eventually(all_there)

    async def numbers(**asked: object) -> list[int]:
        page = await desk.call("audit_list", FindEntries(**asked))  # type: ignore[arg-type] # any of its fields
        return [row.number for row in page.rows]

    assert await numbers(author="key_bob") == [2]
    assert await numbers(tenant="shop") == [2]
    assert await numbers(tenant="") == [3, 1]
    assert await numbers(operation="key_create") == [3]
    assert await numbers(since_ms=1_002, until_ms=1_003) == [2]
    assert await numbers(before=3, limit=1) == [2]
    assert await numbers(author="'; drop table audit.entries; --") == []
    with pytest.raises(ServiceError, match="limit"):
        await numbers(limit=0)


@pytest.mark.parametrize("damage", [*DAMAGES, "reorder"])
async def test_whatever_is_done_to_one_of_ten_thousand_rows_is_found(
    ground: AuditGround, desk: AuditDesk, damage: str
) -> None:
    # The walk is the same for any number of rows; one case has all ten thousand, the others are spared the time.
    rows = ROWS if damage == "truncate_tail" else 500
    await fill(desk, rows)
    await said(desk, rows)
    assert await desk.faults() == []
    chosen = random.Random(damage).randrange(2, rows - 2)
    statements = REORDER if damage == "reorder" else (DAMAGES[damage],)
    async with superuser(ground) as connection:
        await connection.execute("alter table audit.entries disable trigger all")
        await connection.execute("alter table audit.entries drop constraint entries_number_check")
        for statement in statements:
            await connection.execute(statement.format(n=chosen, m=chosen + 1))
        await connection.execute("alter table audit.entries enable trigger all")
    found = {(fault.number, fault.what) for fault in await desk.faults(limit=997)}
    expected = {
        "change": {(chosen, "changed")},
        "backdate": {(chosen, "changed")},
        "delete": {(chosen, "missing")},
        "relink": {(chosen, "changed"), (chosen + 1, "changed")},
        "reorder": {(chosen, "changed"), (chosen + 1, "changed"), (chosen + 2, "changed")},
        "truncate_tail": {(chosen, "cut_off")},
        "truncate_all": {(1, "cut_off")},
    }
    assert found == expected[damage]


async def test_rows_that_were_cut_off_stay_missed_when_the_chain_goes_on(ground: AuditGround) -> None:
    async with ground.service(), ground.desk() as desk:
        await fill(desk, 20)
        await said(desk, 20)
    async with superuser(ground) as connection:
        await connection.execute("alter table audit.entries disable trigger all")
        await connection.execute("delete from audit.entries where number > 15")
    async with ground.service(), ground.desk() as desk:
        await desk.write(entry(100))

        async def goes_on() -> bool | None:
            return await desk.count() == 21 or None

        await eventually(goes_on, timeout_s=60)
        assert [(fault.number, fault.what) for fault in await desk.faults()] == [(16, "missing")]


async def test_a_process_that_is_killed_again_and_again_doubles_and_loses_nothing(ground: AuditGround) -> None:
    await ground.prepare()
    process = ground.process()
    await process.start()
    try:
        async with ground.desk() as desk:
            for part in range(4):
                await desk.write(*(entry(number) for number in range(part * 200, part * 200 + 200)))
                await process.end(signal.SIGKILL)
                await process.start()

            async def all_there() -> bool | None:
                return await desk.count() == 800 or None

            await eventually(all_there, timeout_s=120)
            assert await desk.faults() == []
    finally:
        await process.end(signal.SIGKILL)


async def test_two_processes_make_one_chain(ground: AuditGround) -> None:
    async with ground.service(batch=7), ground.service(batch=5), ground.desk() as desk:
        await fill(desk, 300)
        assert await desk.faults() == []


async def test_another_key_makes_every_row_wrong(ground: AuditGround) -> None:
    async with ground.service(), ground.desk() as desk:
        await fill(desk, 3)
    ground.key_file.write_text("another secret of many characters")
    async with ground.service(), ground.desk() as desk:
        assert [(fault.number, fault.what) for fault in await desk.faults()] == [(n, "changed") for n in (1, 2, 3)]
