"""A trainer that is killed while it measures: the evaluation is done, its report published once, its parent told."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.registry import Deploy, Kind, ListAliases, ListVersions
from libs.contracts.training import FindJobs, Job, JobKind, JobState
from libs.kit.postgres import Database
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.trainer import (
    PATIENCE_S,
    Things,
    TrainerDesk,
    TrainerGround,
    TrainerProcess,
    publish_things,
    trainer_process,
    write_dataset,
)
from libs.testkit.wait import eventually
from tests.integration.registry.followers import followers

KEY = "sk-llmos-none"


@asynccontextmanager
async def _registry(ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    async with ground.registry(), ground.desk() as models:
        yield models


@asynccontextmanager
async def _trainer(ground: TrainerGround, **more: Any) -> AsyncIterator[TrainerProcess]:
    keys = ground.directory / "keys"
    keys.write_text(f"{KEY} acme\n")
    settings = {"api_key_file": keys, "gateway_url": "http://127.0.0.1:1/v1", "retry_s": 0.2, **more}
    async with trainer_process(ground, **settings) as process:
        yield process


async def _things(models: RegistryDesk, ground: TrainerGround) -> tuple[Things, EvaluationPlan]:
    """What is trained and measured, and a pool that serves it."""
    things = await publish_things(models, ground.directory / "published")
    questions = write_dataset(ground.directory / "faq", split="test")
    tests = await models.publish(questions, "faq", Kind.DATASET, annotations={"shape": "evaluation"})
    await models.call("deployment_declare", Deploy(pool="default", base=things.base, author="ann"))
    return things, EvaluationPlan(tasks=(Task(name="faq", dataset=tests.reference),))


async def _measured(desk: TrainerDesk) -> Job:
    """The only evaluation."""

    async def there() -> Job | None:
        jobs = (await desk.call("job_list", FindJobs(kind=JobKind.EVALUATION))).jobs
        assert len(jobs) <= 1
        return jobs[0] if jobs else None

    return await eventually(there, timeout_s=PATIENCE_S, what="the evaluation")


async def _reports(models: RegistryDesk) -> list[str]:
    found = (await models.call("version_list", ListVersions(kind=Kind.REPORT))).versions
    return [f"{one.name}@sha256:{one.digest}" for one in found]


async def _ended_once(desk: TrainerDesk, models: RegistryDesk, job: Job, measured: Job) -> Job:
    """Both have succeeded with the only report, and nothing is left behind; the evaluation as it is then."""
    done, after = await desk.end(job.id), await desk.end(measured.id)
    assert (done.state, after.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED), (done.error, after.error)
    assert await _reports(models) == [after.report] == [done.report]
    assert done.verdict == after.verdict
    assert done.verdict is not None
    assert done.verdict.passed
    assert len((await models.call("version_list", ListVersions(kind=Kind.ADAPTER))).versions) == 1

    async def is_tidy() -> bool | None:
        aliases = (await models.call("alias_list", ListAliases("tiny"))).aliases
        return not [one.alias for one in aliases if one.digest] or None

    await eventually(is_tidy, timeout_s=PATIENCE_S, what="the aliases of the evaluation are gone")
    return after


async def test_killed_while_it_asks_it_asks_again_and_publishes_one_report(
    ground: TrainerGround, desk: TrainerDesk, registry_ground: RegistryGround
) -> None:
    async with _registry(registry_ground) as models, followers(ground.nats, "worker-0"):
        things, plan = await _things(models, ground)
        async with _trainer(ground, lease_s=2.0) as process:
            ground.behave(wait_at=3)
            job = await desk.train(things.plan(name="tiny", evaluation=plan))
            await desk.reaches(job.id, JobState.RUNNING, step=3)
            # The training goes on, and the evaluation waits before its first question.
            ground.behave(wait_at=0)
            measured = await _measured(desk)
            before = await desk.reaches(measured.id, JobState.RUNNING)
            await process.end(signal.SIGKILL)
            assert (await _reports(models)) == []
            await process.start()
            await desk.reaches(measured.id, JobState.RUNNING, epoch=before.epoch + 1)
            ground.behave()
            after = await _ended_once(desk, models, job, measured)
    assert after.epoch > before.epoch


@pytest.mark.slow
async def test_killed_when_the_report_is_there_and_nobody_knows_it_is_not_published_again(
    ground: TrainerGround, desk: TrainerDesk, registry_ground: RegistryGround
) -> None:
    async with followers(ground.nats, "worker-0"), _trainer(ground, lease_s=30.0) as process:
        async with _registry(registry_ground) as models:
            things, plan = await _things(models, ground)
            ground.behave(wait_at=3)
            job = await desk.train(things.plan(name="tiny", evaluation=plan))
            await desk.reaches(job.id, JobState.RUNNING, step=3)
            ground.behave(wait_at=0)
            measured = await _measured(desk)
            before = await desk.reaches(measured.id, JobState.RUNNING)
        ground.behave()
        database = Database(ground.database)
        await eventually(lambda: _intends(database, measured), timeout_s=PATIENCE_S, what="it is to be published")
        async with _registry(registry_ground) as models:
            async with database.begin() as connection:
                # It may publish, and cannot write that it has.
                await connection.execute(text("select 1 from trainer.jobs for update"))
                await eventually(lambda: _any(models), timeout_s=PATIENCE_S, what="the report")
                await process.end(signal.SIGKILL)
                await connection.execute(text("update trainer.jobs set lease_until = now() where lease_until > now()"))
            await database.close()
            await process.start()
            after = await _ended_once(desk, models, job, measured)
    assert after.epoch == before.epoch + 1


async def _intends(database: Database, measured: Job) -> bool | None:
    async with database.begin() as connection:
        query = text("select intended from trainer.jobs where id = :id")
        return bool((await connection.execute(query, {"id": measured.id})).scalar_one()) or None


async def _any(models: RegistryDesk) -> bool | None:
    return bool(await _reports(models)) or None
