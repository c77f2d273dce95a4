"""One process leads at a time, under an epoch that grows with each leader."""

import re
import signal

from libs.contracts.rollouts import FindRollouts
from libs.kit import clock
from libs.kit.leader import Leader, LostError
from libs.kit.postgres import Database
from libs.testkit.rollout import RolloutDesk, RolloutGround
from libs.testkit.wait import until
from services.rollout.migrations import migrate


async def test_the_lead_passes_on_and_the_epoch_grows(ground: RolloutGround, desk: RolloutDesk) -> None:
    began_s = clock.unix_ms() // 1_000 - 1
    async with ground.service() as first, ground.service() as second:
        await until(lambda: first.leader.leads or second.leader.leads)
        leading, other = (first, second) if first.leader.leads else (second, first)
        assert not other.leader.leads
        before = leading.leader.epoch
        assert before >= began_s, "the leader of a database that was made anew must be believed"
        await leading.leader.resign()
        await until(lambda: first.leader.leads or second.leader.leads)
        assert max(first.leader.epoch, second.leader.epoch) > before
        assert (await desk.call("rollout_list", FindRollouts())).rollouts == ()


async def test_who_was_killed_is_succeeded(ground: RolloutGround) -> None:
    async with ground.started_process() as process:
        await until(lambda: '"event": "leads"' in process.log.read_text(), timeout_s=30)
        found = re.search(r'"epoch": (\d+), [^\n]*"event": "leads"', process.log.read_text())
        assert found is not None
        await process.end(signal.SIGKILL)
        async with ground.service() as app:
            await until(lambda: app.leader.leads, timeout_s=30)
            assert app.leader.epoch > int(found[1])


async def test_who_slept_through_its_lease_may_write_nothing(ground: RolloutGround) -> None:
    door = Database(ground.database)
    await migrate(door)
    slept, awake = (Leader(door, name, schema="rollout", lease_s=0.5) for name in ("slept", "awake"))
    await slept.check()
    async with door.begin() as connection:
        await slept.fence(connection)
    while not awake.leads:
        await awake.check()
    lost = False
    async with door.begin() as connection:
        try:
            await slept.fence(connection)
        except LostError:
            lost = True
        await awake.fence(connection)
    assert lost
    assert 0 < slept.epoch < awake.epoch
    await door.close()
