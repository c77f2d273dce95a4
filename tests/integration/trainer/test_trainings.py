"""Trainings from the order to the published version, on real servers, with a process that only pretends to teach."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.registry import Kind, ListVersions, Resolve, Version, VersionDetails
from libs.contracts.training import (
    FindJobs,
    Job,
    JobChanged,
    JobPage,
    JobRef,
    JobState,
    Method,
    OrderEvaluation,
    ReadLog,
    Recipe,
    TrainingPlan,
)
from libs.kit.errors import ServiceError
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import Parent, write
from libs.kit.telemetry.tracing import Within
from libs.testkit.registry import RegistryDesk
from libs.testkit.streams import stream_messages
from libs.testkit.traces import noting
from libs.testkit.trainer import PATIENCE_S, Things, TrainerDesk, TrainerGround, write_dataset
from services.trainer.app import Trainer

pytestmark = pytest.mark.usefixtures("trainer")


async def _holds(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - it changes in another process
            await asyncio.sleep(0.05)


async def _versions(models: RegistryDesk, **which: Any) -> tuple[Version, ...]:
    versions: tuple[Version, ...] = (await models.call("version_list", ListVersions(**which))).versions
    return versions


async def test_a_training_becomes_a_version_with_lineage(
    ground: TrainerGround, desk: TrainerDesk, things: Things, models: RegistryDesk, trainer: Trainer
) -> None:
    ordered = await desk.train(things.plan(licence="MIT"))
    assert ordered.training is not None
    assert "@sha256:" in ordered.training.dataset
    done = await desk.end(ordered.id)
    assert (done.state, done.error) == (JobState.SUCCEEDED, "")
    assert (done.epoch, done.method, done.progress.step, done.progress.checkpoint_step) == (1, "sft", 10, 8)
    assert done.metrics["loss"] == 0.1
    details: VersionDetails = await models.call("version_show", Resolve(done.version))
    manifest = details.manifest
    assert (manifest.kind, manifest.base, manifest.licence) == (Kind.ADAPTER, ordered.training.base, "MIT")
    assert (manifest.lineage.job, manifest.lineage.dataset) == (done.id, ordered.training.dataset)
    assert len(manifest.lineage.code) == 40
    assert details.card.startswith("# Made by")
    log = await desk.log(done.id)
    assert "begins" in log
    assert "not a report" in log
    page: JobPage = await desk.call("job_list", FindJobs(limit=1))
    assert [job.id for job in page.jobs] == [done.id]
    events = [
        msgspec.json.decode(message.data or b"", type=JobChanged)
        for message in await stream_messages(ground.nats, "EVT_TRAINER")
        if message.subject == subjects.JOB_CHANGED
    ]
    assert [event.job.state for event in events] == ["queued", "claimed", "running", "publishing", "succeeded"]
    assert events[1].job.trainer == trainer.instance

    async def is_tidy() -> bool:
        return not await _versions(models, kind=Kind.CHECKPOINT)

    await _holds(is_tidy)


async def test_failures_are_typed_and_the_queue_goes_on(
    ground: TrainerGround, desk: TrainerDesk, things: Things, models: RegistryDesk
) -> None:
    expected = {
        "diverge": ("training_diverged", 1),
        "refuse": ("bad_dataset", 1),
        "disk": ("disk_full", 1),
        "killed": ("out_of_memory", 3),
        "silent": ("internal_error", 3),
    }
    for how, (code, epochs) in expected.items():
        ground.behave(fail=how, fail_at=3)
        done = await desk.end((await desk.train(things.plan())).id)
        assert (how, done.state, done.error_code, done.epoch) == (how, JobState.FAILED, code, epochs)
        assert done.error
        log = await desk.log(done.id)
        assert done.error in log
        assert ("a library gave up" in log) == (how == "silent")
    ground.behave()
    assert (await desk.end((await desk.train(things.plan())).id)).state is JobState.SUCCEEDED
    assert len(await _versions(models, name="helpdesk")) == 1


async def test_a_process_that_dies_now_and_then_is_no_poison(
    ground: TrainerGround, desk: TrainerDesk, things: Things
) -> None:
    """Three deaths in a row without a newer checkpoint are too many; three deaths are not."""
    ground.behave(wait_at=1)
    with noting() as notes:
        with Within(tracing.begin("order", tracing.Kind.SERVER, write(7, 8))):
            job = await desk.train(things.plan(recipe={"checkpoint_steps": 2, "steps": 12}))
        await _dies_four_times(ground, desk, job)
    (called,) = [
        span for span in notes.spans if (span.name, span.kind) == ("trainer.training_order", tracing.Kind.SERVER)
    ]
    attempts = [span for span in notes.spans if span.name == "training job"]
    processes = [span for span in notes.spans if span.name == "training process"]
    assert {span.parent for span in attempts} == {Parent(7, called.number)}
    assert [span.said["llmos.attempt"] for span in attempts] == [1, 2, 3, 4, 5]
    assert [span.parent for span in processes] == [Parent(7, span.number) for span in attempts]
    for spans in (attempts, processes):
        assert [span.errors for span in spans] == [["DeadError"]] * 4 + [[]]
        assert all(span.ended for span in spans)


async def _dies_four_times(ground: TrainerGround, desk: TrainerDesk, job: Job) -> None:
    for step in (2, 4, 6, 8):
        before = (await desk.reaches(job.id, JobState.RUNNING, step=step - 1)).epoch
        ground.behave(fail="killed", fail_at=step + 1, once=True, wait_at=step + 1)

        async def has_died(before: int = before) -> bool:
            return (await desk.show(job.id)).epoch > before

        await _holds(has_died)
    ground.behave()
    done = await desk.end(job.id)
    assert (done.state, done.epoch) == (JobState.SUCCEEDED, 5)


async def test_a_job_waits_until_the_serving_plane_answers(
    ground: TrainerGround, desk: TrainerDesk, things: Things
) -> None:
    ground.behave(fail="retry", fail_at=2)
    job = await desk.train(things.plan())

    async def has_tried() -> bool:
        shown = await desk.show(job.id)
        return shown.epoch >= 3

    await _holds(has_tried)
    ground.behave()
    assert (await desk.end(job.id)).state is JobState.SUCCEEDED


async def test_pausing_keeps_what_was_done(ground: TrainerGround, desk: TrainerDesk, things: Things) -> None:
    ground.behave(wait_at=6)
    job = await desk.train(things.plan())
    await desk.reaches(job.id, JobState.RUNNING, step=6)
    waiting = await desk.train(things.plan(name="other"))
    for verb, state in (("pause", "paused"), ("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert (await desk.do(verb, waiting.id)).state == state
    paused = await desk.do("pause", job.id)
    assert (paused.state, paused.trainer) == (JobState.PAUSED, "")
    await desk.says(job.id, "stopped")
    ground.behave()
    assert (await desk.show(job.id)).state is JobState.PAUSED
    assert (await desk.do("resume", job.id)).state is JobState.QUEUED
    done = await desk.end(job.id)
    assert (done.state, done.epoch) == (JobState.SUCCEEDED, 2)
    assert "goes on after step 6" in await desk.log(job.id)
    with pytest.raises(ServiceError) as caught:
        await desk.do("cancel", job.id)
    assert caught.value.code == "conflict"


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_running_job_is_cancelled_at_once(
    deaf: bool, ground: TrainerGround, desk: TrainerDesk, things: Things, models: RegistryDesk
) -> None:
    ground.behave(wait_at=6, fail="deaf" if deaf else "")
    job = await desk.train(things.plan())
    await desk.reaches(job.id, JobState.RUNNING, step=6)
    assert (await desk.do("cancel", job.id)).state is JobState.CANCELLED
    # The next one is carried out although nobody has let the first one's process go on.
    following = await desk.train(things.plan(recipe={"steps": 3}))
    assert (await desk.end(following.id)).state is JobState.SUCCEEDED
    assert (await desk.show(job.id)).state is JobState.CANCELLED
    assert [version.name for version in await _versions(models, kind=Kind.ADAPTER)] == ["helpdesk"]


async def test_what_cannot_be_trained_is_said_at_once(
    desk: TrainerDesk, things: Things, models: RegistryDesk, tmp_path: Any
) -> None:
    tests = await models.publish(
        write_dataset(tmp_path / "tests", split="test"), "tests", Kind.DATASET, annotations={"shape": "evaluation"}
    )
    empty = await models.publish(write_dataset(tmp_path / "empty", rows=0), "empty", Kind.DATASET)
    task = Task(name="shop", dataset=tests.reference)
    plans: list[tuple[TrainingPlan, str, str]] = [
        (things.plan(base="nobody@1"), "version_not_found", "base"),
        (things.plan(base=things.dataset), "incompatible_base", "base"),
        (things.plan(base=""), "missing_field", "base"),
        (things.plan(dataset="nothing"), "version_not_found", "dataset"),
        (things.plan(dataset="NOT A NAME"), "invalid_value", "dataset"),
        (things.plan(dataset=things.base), "bad_dataset", "dataset"),
        (things.plan(dataset=empty.reference), "bad_dataset", "dataset"),
        (things.plan(dataset=tests.reference, split="test"), "bad_dataset", "dataset"),
        (things.plan(split="dev"), "bad_dataset", "dataset"),
        (things.plan(name="Not A Name"), "invalid_value", "name"),
        (things.plan(recipe={"method": Method.DPO}), "bad_dataset", "dataset"),
        (things.plan(recipe={"batch_rows": 0}), "invalid_value", "recipe.batch_rows"),
        (things.plan(recipe={"learning_rate": -1.0}), "invalid_value", "recipe.learning_rate"),
        (things.plan(recipe={"replay_share": 0.5}), "missing_field", "recipe.replay"),
        (things.plan(recipe={"replay": tests.reference}), "bad_dataset", "recipe.replay"),
        (things.plan(evaluation=EvaluationPlan(tasks=())), "invalid_value", "evaluation.tasks"),
        (things.plan(evaluation=EvaluationPlan(tasks=(task, task))), "invalid_value", "evaluation.tasks"),
        (
            things.plan(evaluation=EvaluationPlan(tasks=(Task(name="t", dataset=things.dataset, split="train"),))),
            "bad_dataset",
            "evaluation.tasks",
        ),
    ]
    for plan, code, param in plans:
        with pytest.raises(ServiceError) as caught:
            await desk.train(plan)
        assert (caught.value.code, (caught.value.param or "").startswith(param)) == (code, True), caught.value.message
    calls: list[tuple[str, Any, str]] = [
        ("job_show", JobRef("job_none"), "job_not_found"),
        ("job_cancel", JobRef("\0"), "job_not_found"),
        ("job_log", ReadLog(id="job_none"), "job_not_found"),
        ("job_list", FindJobs(limit=0), "invalid_value"),
        ("job_list", FindJobs(before="x"), "invalid_value"),
        ("evaluation_order", OrderEvaluation(plan=EvaluationPlan(tasks=(task,)), author="a"), "missing_field"),
        (
            "evaluation_order",
            OrderEvaluation(plan=EvaluationPlan(tasks=(task,), candidate=things.dataset), author="a"),
            "invalid_value",
        ),
    ]
    for operation, request, code in calls:
        with pytest.raises(ServiceError) as caught:
            await desk.call(operation, request)
        assert caught.value.code == code
    assert (await desk.call("job_list", FindJobs())).jobs == ()


async def test_an_order_that_is_repeated_is_one_job(desk: TrainerDesk, things: Things) -> None:
    job_id = "job_" + "0" * 24
    first = await desk.train(things.plan(), job_id)
    again = await desk.train(things.plan(name="another"), job_id)
    assert (first.id, again.training) == (again.id, first.training)
    with pytest.raises(ServiceError, match="24 hex digits"):
        await desk.train(things.plan(), "job_x")
    assert (await desk.end(job_id)).state is JobState.SUCCEEDED
    many: list[Job] = [await desk.train(things.plan(recipe=msgspec.structs.asdict(Recipe(steps=1)))) for _ in range(2)]
    page: JobPage = await desk.call("job_list", FindJobs(limit=2))
    rest: JobPage = await desk.call("job_list", FindJobs(limit=2, before=page.next))
    assert [job.id for job in (*page.jobs, *rest.jobs)] == [many[1].id, many[0].id, job_id]
    assert rest.next == ""
