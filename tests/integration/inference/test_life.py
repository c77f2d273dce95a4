"""How a worker ends, and how it lives through a bus that does not."""

import asyncio

import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag
from libs.contracts.inference import Handover, WorkerState
from libs.kit import clock
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from libs.testkit.worker_double import chat, envelope
from tests.integration.inference.rig import start_rig


async def test_a_drain_finishes_what_runs_takes_nothing_new_and_says_goodbye(nats: NatsServer) -> None:
    rig = await start_rig(nats, drain_timeout_s=10)
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(stream=True, max_tokens=30, user="pace-10ms"))
    rig.double.scheduler.publish(subjects.REPORT)
    rig.app.terminate()
    await rig.double.beat_where(lambda beat: beat.state is WorkerState.DRAINING)
    refused = await rig.double.hand_over(rig.worker, envelope(), chat())
    assert refused == Handover(accepted=False, reason="draining")
    assert await asyncio.wait_for(rig.life, 10) == 0
    await until(lambda: rig.double.answers[env.request_id].ended)
    assert rig.double.answers[env.request_id].last.flags == Flag.LAST
    await rig.double.beat_where(lambda beat: beat.state is WorkerState.STOPPED)
    await rig.double.stop()


async def test_what_outlasts_the_drain_ends_with_an_error(nats: NatsServer) -> None:
    rig = await start_rig(nats, drain_timeout_s=0.1)
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"))
    rig.app.terminate()
    assert await asyncio.wait_for(rig.life, 10) == 0
    await until(lambda: rig.double.answers[env.request_id].ended)
    last = rig.double.answers[env.request_id].last
    assert (last.meta.code, last.status) == ("shutting_down", 503)
    assert rig.engine.slots == 0
    await rig.double.stop()


async def test_a_dead_engine_ends_the_worker_with_errors_for_all_and_status_1(nats: NatsServer) -> None:
    rig = await start_rig(nats)
    other = envelope()
    await rig.double.hand_over(rig.worker, other, chat(stream=True, max_tokens=1_000, user="pace-10ms"))
    await rig.double.frames(other.request_id, 3)
    fatal = envelope()
    await rig.double.hand_over(rig.worker, fatal, chat(user="fatal"))
    assert await asyncio.wait_for(rig.life, 10) == 1
    await until(lambda: all(rig.double.answers[env.request_id].ended for env in (other, fatal)))
    for env in (other, fatal):
        assert rig.double.answers[env.request_id].last.meta.code == "worker_lost"
    await rig.double.beat_where(lambda beat: beat.state is WorkerState.STOPPED)
    await rig.double.stop()


async def test_work_goes_on_while_the_bus_is_away_and_the_frames_come_after(private_nats: NatsServer) -> None:
    rig = await start_rig(private_nats, drain_timeout_s=0.2)
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(stream=True, max_tokens=40, user="pace-10ms"))
    answer = await rig.double.frames(env.request_id, 3)
    private_nats.kill()
    await until(lambda: not rig.double.gateway.connected)
    private_nats.start()
    await until(lambda: rig.double.gateway.connected and rig.double.scheduler.connected)
    rig.double.beats.clear()
    await rig.double.beat_where(lambda beat: beat.state is WorkerState.READY)
    after = await rig.double.run(rig.worker, envelope(), chat())
    assert after.last.status == 200
    await until(lambda: rig.engine.slots == 0)
    numbers = [frame.seq for frame in answer.frames]
    assert numbers == sorted(set(numbers)), "frames arrive in order, none twice"
    rig.app.terminate()
    assert await asyncio.wait_for(rig.life, 10) == 0
    await rig.double.stop()


async def test_an_outage_of_the_bus_is_not_the_silence_of_a_gateway(
    private_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await start_rig(private_nats, drain_timeout_s=0.1)
    await rig.double.hand_over(rig.worker, envelope(), chat(user="hang"))
    await until(lambda: rig.engine.slots == 1)
    await rig.double.fall_silent()
    private_nats.kill()
    await until(lambda: not rig.double.scheduler.connected)
    now_s = clock.monotonic_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s() + 60.0)
    private_nats.start()
    rig.double.beats.clear()
    await until(lambda: len(rig.double.beats) >= 3)
    assert rig.engine.slots == 1
    rig.app.terminate()
    assert await asyncio.wait_for(rig.life, 10) == 0
    await rig.double.stop()
