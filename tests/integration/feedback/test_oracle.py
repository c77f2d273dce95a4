"""A flood with repeats, out of order, while PostgreSQL, NATS and the service itself are killed: rows = unique ids."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio

from libs.testkit.feedback import FeedbackGround, feedback_process
from libs.testkit.feedback_oracle import FeedbackOracle, announced, insist, unsettled
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess
from libs.testkit.stores import PostgresServer

CHUNK = 500
EVENTS = int(os.environ.get("LLMOS_FEEDBACK_EVENTS", "1000000"))


@pytest_asyncio.fixture(loop_scope="session")
async def mortal(private_nats: NatsServer, tmp_path: Path) -> AsyncIterator[FeedbackGround]:
    """Servers of this test's own."""
    postgres = PostgresServer(tmp_path / "postgres")
    await asyncio.to_thread(postgres.start)
    yield FeedbackGround(private_nats, postgres, await postgres.create_database(), tmp_path)
    await asyncio.to_thread(postgres.kill)


async def flood(ground: FeedbackGround, events: int, *, kills: int, timeout_s: float) -> None:
    """Say everything, killing each of the three `kills` times meanwhile; then compare."""
    oracle = FeedbackOracle(events, seed=events)
    async with feedback_process(ground) as process, ground.desk() as desk, ground.rows() as rows:
        deaths = itertools.cycle((_kill_postgres, _kill_nats, _kill_feedback))
        step = max(1, events // CHUNK // (3 * kills + 1))
        messages = oracle.messages()
        number = 0
        while batch := list(itertools.islice(messages, CHUNK)):
            await insist(desk, batch)
            number += 1
            if number % step == 0 and number // step <= 3 * kills:
                await next(deaths)(ground, process)
        deadline_s = time.monotonic() + timeout_s
        while not await oracle.has_all(rows):
            if time.monotonic() > deadline_s:
                await oracle.check(rows)
                raise AssertionError("something still waits")
            await asyncio.sleep(0.2)
        await oracle.check(rows)
        client = await nats.connect(
            f"nats://{ground.nats.host}:{ground.nats.port}",
            user="provisioner",
            password=ground.nats.passwords["provisioner"],
        )
        while await unsettled(client.jetstream()):
            assert time.monotonic() < deadline_s, "messages are not acknowledged"
            await asyncio.sleep(0.2)
        ids = await announced(client.jetstream()) if events <= 100_000 else []
        await client.close()
        await oracle.check(rows)
        if ids:
            assert sorted(ids) == sorted(f"{one}-recorded" for one in oracle.said["signals"])


async def _kill_postgres(ground: FeedbackGround, _: ServiceProcess) -> None:
    await asyncio.to_thread(ground.postgres.kill)
    await asyncio.to_thread(ground.postgres.start)


async def _kill_nats(ground: FeedbackGround, _: ServiceProcess) -> None:
    await asyncio.to_thread(ground.nats.kill)
    await asyncio.to_thread(ground.nats.start)


async def _kill_feedback(_: FeedbackGround, process: ServiceProcess) -> None:
    await process.end(signal.SIGKILL)
    await process.start()


async def test_every_event_leaves_its_rows_once_across_kills(mortal: FeedbackGround) -> None:
    await flood(mortal, 20_000, kills=1, timeout_s=90)


@pytest.mark.slow
async def test_a_million_events_leave_their_rows_once_across_kills(mortal: FeedbackGround) -> None:
    await flood(mortal, EVENTS, kills=5, timeout_s=1_800)
