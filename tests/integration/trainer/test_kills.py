"""Trainers that are killed, stopped for a while, or stopped in order; registries that go away; full disks of jobs."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from libs.contracts.registry import Kind, ListVersions, Resolve, Version, VersionDetails
from libs.contracts.training import Job, JobState
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.streams import stream_messages
from libs.testkit.trainer import (
    PATIENCE_S,
    Things,
    TrainerDesk,
    TrainerGround,
    TrainerProcess,
    publish_things,
    trainer_process,
)
from libs.testkit.wait import until

WEIGHTS = "adapter_model.safetensors"


async def _holds(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():  # noqa: ASYNC110 - it changes in another process
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(what) from error


@asynccontextmanager
async def _registry(ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    async with ground.registry(), ground.desk() as models:
        yield models


async def _weights(models: RegistryDesk, job: Job) -> str:
    details: VersionDetails = await models.call("version_show", Resolve(job.version))
    return next(file.digest for file in details.manifest.files if file.path == WEIGHTS)


async def _adapters(models: RegistryDesk) -> list[Version]:
    return list((await models.call("version_list", ListVersions(kind=Kind.ADAPTER))).versions)


async def _everything(ground: TrainerGround) -> tuple[Any, ...]:
    """All that trainers have written: rows, logs, events."""
    database = Database(ground.database)
    try:
        async with database.begin_bulk() as connection:
            tables = [
                await connection.fetch(f"select * from trainer.{table} order by 1, 2")  # noqa: S608 - names of ours
                for table in ("jobs", "log_lines", "outbox")
            ]
    finally:
        await database.close()
    events = await stream_messages(ground.nats, "EVT_TRAINER")
    return tables, [(event.seq, event.data) for event in events]


@pytest.mark.parametrize("back", [pytest.param("while the other works", marks=pytest.mark.slow), "when all is done"])
async def test_of_two_trainers_the_one_that_was_stopped_beyond_its_lease_writes_nothing(
    back: str, ground: TrainerGround, desk: TrainerDesk, things: Things, models: RegistryDesk
) -> None:
    ground.behave(wait_at=6)
    quick: dict[str, Any] = {"lease_s": 2.0}
    async with trainer_process(ground, "one", **quick) as one, trainer_process(ground, "two", **quick) as two:
        job = await desk.train(things.plan())
        running = await desk.reaches(job.id, JobState.RUNNING, step=6)
        loser: TrainerProcess = one if running.trainer in one.log.read_text() else two
        loser.send(signal.SIGSTOP)

        # Calls that the stopped one is given are not answered, so that the table is asked instead.
        taken = await _row(ground, job, lambda row: row["epoch"] > running.epoch and row["state"] == "running")
        assert taken["trainer"] != running.trainer
        before = None
        if back == "when all is done":
            ground.behave()
            await _row(ground, job, lambda row: row["state"] == "succeeded")
            before = await _settled(ground)
        loser.send(signal.SIGCONT)
        await until(lambda: "not ours any more" in loser.log.read_text(), timeout_s=PATIENCE_S)
        ground.behave()
        done = await _row(ground, job, lambda row: row["state"] == "succeeded")
        tables, _ = after = await _settled(ground)
        assert before in (None, after)
    log_lines = tables[1]
    claimed_ms = min(row["time_ms"] for row in log_lines if row["epoch"] > running.epoch)
    assert not [row for row in log_lines if row["epoch"] == running.epoch and row["time_ms"] > claimed_ms]
    (version,) = await _adapters(models)
    assert done["version"] == f"helpdesk@sha256:{version.digest}"


async def _row(ground: TrainerGround, job: Job, fits: Callable[[Any], bool]) -> Any:
    """The job's row as soon as it fits."""

    async def is_so() -> bool:
        tables, _ = await _everything(ground)
        found.extend(row for row in tables[0] if row["id"] == job.id and fits(row))
        return bool(found)

    found: list[Any] = []
    await _holds(is_so, "the row fits")
    return found[0]


async def _settled(ground: TrainerGround) -> tuple[Any, ...]:
    """What was written, when all events are out and everything is tidied up."""

    async def is_settled() -> bool:
        tables, _ = await _everything(ground)
        return not tables[2] and not any(row["littered"] for row in tables[0])

    await _holds(is_settled, "all events are out")
    return await _everything(ground)


async def test_a_trainer_that_is_killed_at_each_state_loses_nothing(
    ground: TrainerGround, desk: TrainerDesk, registry_ground: RegistryGround
) -> None:
    quick: dict[str, Any] = {"lease_s": 1.5, "retry_s": 0.2}
    published = ground.directory / "published"
    async with trainer_process(ground, **quick) as process:
        async with _registry(registry_ground) as models:
            things = await publish_things(models, published)
            ground.behave(wait_at=0)
            first = await desk.train(things.plan())
            await desk.reaches(first.id, JobState.RUNNING)
            fresh = await publish_things(models, published, rows=6)
            job = await desk.train(fresh.plan(name="other"))
        # Without a registry it stays where versions are fetched.
        await desk.do("cancel", first.id)
        claimed = await desk.reaches(job.id, JobState.CLAIMED)
        await _kill(process)
        ground.behave(wait_at=6)
        async with _registry(registry_ground):
            running = await desk.reaches(job.id, JobState.RUNNING, step=6, epoch=claimed.epoch + 1)
            await _row(ground, job, lambda row: bool(row["checkpoint"]))
            await process.end(signal.SIGKILL)
            # As if another machine went on.
            shutil.rmtree(ground.directory / "trainer" / "jobs")
            await process.start()
            again = await desk.reaches(job.id, JobState.RUNNING, epoch=running.epoch + 1)
            await desk.says(job.id, "goes on after step 4")
        ground.behave()
        await desk.reaches(job.id, JobState.PUBLISHING)
        await _kill(process)
        async with _registry(registry_ground) as models:
            done = await desk.end(job.id)
            assert (done.state, done.error) == (JobState.SUCCEEDED, "")
            assert done.epoch > again.epoch
            assert len(await _adapters(models)) == 1
            unkilled = await desk.end((await desk.train(fresh.plan())).id)
            assert await _weights(models, done) == await _weights(models, unkilled)


async def _kill(process: TrainerProcess) -> None:
    await process.end(signal.SIGKILL)
    await process.start()


async def test_what_was_published_before_a_kill_is_not_made_again(
    ground: TrainerGround, desk: TrainerDesk, registry_ground: RegistryGround
) -> None:
    async with trainer_process(ground, lease_s=30.0) as process:
        async with _registry(registry_ground) as models:
            things = await publish_things(models, ground.directory / "published")
            ground.behave(wait_at=6)
            job = await desk.train(things.plan())
            await desk.reaches(job.id, JobState.RUNNING, step=6)
        ground.behave()
        await _row(ground, job, lambda row: bool(row["intended"]))
        database = Database(ground.database)
        async with _registry(registry_ground) as models:
            async with database.begin() as connection:
                # It may publish, and cannot write that it has.
                await connection.execute(text("select 1 from trainer.jobs for update"))

                async def is_published() -> bool:
                    return bool(await _adapters(models))

                await _holds(is_published, "the version is published")
                await process.end(signal.SIGKILL)
                await connection.execute(text("update trainer.jobs set lease_until = now() where lease_until > now()"))
            await database.close()
            await process.start()
            done = await desk.end(job.id)
            assert (done.state, done.epoch) == (JobState.SUCCEEDED, 2)
            (version,) = await _adapters(models)
            assert done.version == f"helpdesk@sha256:{version.digest}"


async def test_a_trainer_that_is_stopped_puts_its_job_back_with_a_checkpoint(
    ground: TrainerGround, desk: TrainerDesk, things: Things
) -> None:
    ground.behave(wait_at=6)
    async with trainer_process(ground, lease_s=600.0) as process:
        job = await desk.train(things.plan())
        await desk.reaches(job.id, JobState.RUNNING, step=6)
        assert await process.end(signal.SIGTERM) == 0
        tables, _ = await _everything(ground)
        (row,) = tables[0]
        assert (row["state"], row["lease_until"], row["trainer"]) == ("queued", None, "")
        ground.behave()
        await process.start()
        done = await desk.end(job.id)
        assert (done.state, done.epoch) == (JobState.SUCCEEDED, 2)
        assert "goes on after step 6" in await desk.log(job.id)


async def test_jobs_wait_for_a_registry_that_is_away_and_can_be_stopped_meanwhile(
    ground: TrainerGround, desk: TrainerDesk, registry_ground: RegistryGround
) -> None:
    ground.behave(wait_at=6)
    async with ground.trainer():
        async with _registry(registry_ground) as models:
            things = await publish_things(models, ground.directory / "published")
            first = await desk.train(things.plan())
            await desk.reaches(first.id, JobState.RUNNING, step=6)
            # What is fetched already would not be waited for.
            fresh = await publish_things(models, ground.directory / "published", rows=6)
            second = await desk.train(fresh.plan())
            third = await desk.train(fresh.plan())
        with pytest.raises(ServiceError) as caught:
            await desk.train(things.plan())
        assert caught.value.code == "registry_unavailable"
        ground.behave()
        await desk.reaches(first.id, JobState.PUBLISHING)
        with pytest.raises(ServiceError) as caught:
            await desk.do("pause", first.id)
        assert caught.value.code == "conflict"
        await desk.do("cancel", first.id)
        await desk.reaches(second.id, JobState.CLAIMED)
        await desk.do("pause", second.id)
        await desk.reaches(third.id, JobState.CLAIMED)
        await desk.do("cancel", third.id)
        await desk.do("resume", second.id)
        await desk.reaches(second.id, JobState.CLAIMED)
        async with _registry(registry_ground) as models:
            assert (await desk.end(second.id)).state is JobState.SUCCEEDED
            assert len(await _adapters(models)) == 1
