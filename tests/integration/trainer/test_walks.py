"""Trainers that claim, renew, write and fall silent by chance, on a real PostgreSQL: no stale write, no bad step."""

import asyncio
import contextlib
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.contracts.training import TRANSITIONS, Job, JobKind, JobProgress, JobRef, JobState, TrainingPlan
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from services.trainer.domain.machine import HELD, LostError
from services.trainer.migrations import migrate
from services.trainer.repository import jobs, log
from services.trainer.service.steering import Steering

TRAINERS = 4
STEPS = 60
JOBS = 12


def _job(number: int) -> Job:
    return Job(
        id=f"job_{number:024x}",
        kind=JobKind.TRAINING,
        state=JobState.QUEUED,
        author="ann",
        created_ms=1,
        changed_ms=1,
        training=TrainingPlan(name="a", dataset="b"),
    )


class _Walker:
    """One trainer that remembers what it has claimed and does not know when it is too late."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.chance = clock.seeded_random(seed)
        self.held: dict[str, int] = {}
        self.refused = self.written = 0

    async def walk(self) -> None:
        for _ in range(STEPS):
            act = self.chance.choice([self.claim, self.expire, self.move, self.move, self.note, self.renew])
            async with self.database.begin() as connection:
                await act(connection)

    async def claim(self, connection: Any) -> None:
        row = await jobs.claim(connection, f"t{id(self)}", self.chance.choice([0.0, 0.02, 5.0]))
        if row is not None:
            assert row.epoch > self.held.get(row.id, 0)
            self.held[row.id] = row.epoch

    async def expire(self, connection: Any) -> None:
        await jobs.requeue_expired(connection)

    async def move(self, connection: Any) -> None:
        if not self.held:
            return
        job_id, epoch = self.chance.choice(sorted(self.held.items()))
        # Of the states in which nobody works, only the first: a holder never pauses its own job.
        to = self.chance.choice([*HELD[1:], JobState.QUEUED, JobState.FAILED])
        if to is JobState.FAILED and self.chance.random() < 0.8:
            to = JobState.QUEUED
        await self._fenced(connection, job_id, epoch, jobs.move(connection, job_id, epoch, to))

    async def note(self, connection: Any) -> None:
        if self.held:
            job_id, epoch = self.chance.choice(sorted(self.held.items()))
            write = jobs.note(connection, job_id, epoch, progress=JobProgress(step=epoch))
            await self._fenced(connection, job_id, epoch, write)
            write_log = log.write(connection, job_id, epoch, [(1, str(epoch))], keep=5)
            await self._fenced(connection, job_id, epoch, write_log)

    async def renew(self, connection: Any) -> None:
        if self.held:
            job_id, epoch = self.chance.choice(sorted(self.held.items()))
            kept = await jobs.renew(connection, job_id, epoch, 0.02)
            row = await jobs.find(connection, job_id)
            assert row is not None
            assert not kept or row.epoch == epoch

    async def _fenced(self, connection: Any, job_id: str, epoch: int, write: Any) -> None:
        row = await jobs.find(connection, job_id, lock=True)
        assert row is not None
        try:
            await write
        except LostError:
            self.refused += 1
            return
        self.written += 1
        assert row.epoch == epoch, "nothing is written under an epoch that is over"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
async def test_chance_never_breaks_the_fence(seed: int, database: PostgresSettings) -> None:
    store = Database(database)
    await migrate(store)
    async with store.begin() as connection:
        for number in range(JOBS):
            await jobs.add(connection, _job(number))
    people = Steering(store, wake=asyncio.Event(), told=asyncio.Event())
    walkers = [_Walker(store, seed * 100 + number) for number in range(TRAINERS)]

    async def steer() -> None:
        chance = clock.seeded_random(seed)
        for _ in range(STEPS // 3):
            verb = "cancel" if chance.random() < 0.03 else chance.choice(["pause", "resume"])
            # What cannot be done in the state of the moment is refused; the events show what was done.
            with contextlib.suppress(ServiceError):
                await getattr(people, verb)(JobRef(f"job_{chance.randrange(JOBS):024x}"))

    await asyncio.gather(*(walker.walk() for walker in walkers), steer())
    async with store.begin() as connection:
        events = (await connection.execute(text("select payload::json->'job' as job from trainer.outbox"
                                                " order by sequence"))).all()  # fmt: skip
    await store.close()
    assert sum(walker.refused for walker in walkers) > 5
    assert sum(walker.written for walker in walkers) > 20
    last: dict[str, tuple[JobState, int]] = {}
    for (job,) in events:
        state, epoch = JobState(job["state"]), job.get("epoch", 0)
        if job["id"] in last:
            before, earlier = last[job["id"]]
            assert state in TRANSITIONS[before]
            assert epoch == earlier + (state is JobState.CLAIMED)
        last[job["id"]] = state, epoch


async def test_the_database_itself_refuses_a_step_outside_the_table(database: PostgresSettings) -> None:
    store = Database(database)
    await migrate(store)
    async with store.begin() as connection:
        await jobs.add(connection, _job(1))
    for change in ("state = 'succeeded'", "epoch = -1", "state = 'claimed', lease_until = now()"):
        with pytest.raises(IntegrityError):
            async with store.begin() as connection:
                await connection.execute(text(f"update trainer.jobs set {change}"))  # noqa: S608 - our own words
    await store.close()
