"""Builds as jobs on real servers: published once, cancelled, killed and begun again, and what erasures say of them."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats as nats_py
import pytest
import pytest_asyncio

from libs.contracts import subjects
from libs.contracts.datasets import BuildDataset, DatasetBuilt, DatasetJob, JobId, ListJobs, Selection, Shape
from libs.contracts.feedback import Erase, Erasure, SignalKind
from libs.contracts.registry import Kind, ListVersions, Resolve, SetAlias, Version, VersionDetails
from libs.kit.errors import ServiceError
from libs.kit.settings import ObjectSettings
from libs.kit.telemetry import tracing
from libs.kit.telemetry.traceparent import Parent, write
from libs.kit.telemetry.tracing import Within
from libs.testkit.feedback import FeedbackDesk, FeedbackGround, Rows, feedback_process
from libs.testkit.judged import START_MS, judged_rows, judgement, row, selection
from libs.testkit.judged_store import store
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer
from libs.testkit.traces import noting
from libs.testkit.wait import until
from services.feedback.app import Feedback

END_MS = START_MS + 3 * 10**9
OVER = ("succeeded", "failed", "cancelled")
QUICK: dict[str, Any] = {"build_s": 0.1, "content_keep_days": 3_650}


@pytest.fixture
def registry_ground(ground: FeedbackGround, object_server: ObjectServer, bucket: ObjectSettings) -> RegistryGround:
    """The registry in the database of feedback; each has a schema of its own."""
    return RegistryGround(ground.nats, ground.postgres, object_server, ground.database, bucket, ground.directory)


@pytest_asyncio.fixture(loop_scope="session")
async def models(registry_ground: RegistryGround) -> AsyncIterator[RegistryDesk]:
    """Somebody who asks a registry that runs."""
    async with registry_ground.registry(), registry_ground.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def feedback(ground: FeedbackGround) -> AsyncIterator[Feedback]:
    async with ground.feedback(**QUICK) as app:
        yield app


async def _until(condition: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
    """As `until`, for what must be asked over the bus."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - it changes in another process
            await asyncio.sleep(0.05)


def _selection(**more: Any) -> Selection:
    return selection(**{"until_ms": END_MS, **more})


async def _build(desk: FeedbackDesk, chosen: Selection, *, dry_run: bool = False) -> DatasetJob:
    job: DatasetJob = await desk.call("dataset_build", BuildDataset(selection=chosen, author="ann", dry_run=dry_run))
    assert job.state == "queued"
    return job


async def _show(desk: FeedbackDesk, job: DatasetJob) -> DatasetJob:
    shown: DatasetJob = await desk.call("dataset_show", JobId(job.id))
    return shown


async def _end(desk: FeedbackDesk, job: DatasetJob, timeout_s: float = 90) -> DatasetJob:
    async def is_over() -> bool:
        return (await _show(desk, job)).state in OVER

    await _until(is_over, timeout_s)
    return await _show(desk, job)


async def _events(ground: FeedbackGround) -> list[DatasetBuilt]:
    nats = ground.nats
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}", user="provisioner", password=nats.passwords["provisioner"]
    )
    try:
        jetstream = client.jetstream()
        info = await jetstream.stream_info("EVT_FEEDBACK")
        found = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await jetstream.get_msg("EVT_FEEDBACK", sequence)
            if message.subject == subjects.DATASET_BUILT:
                found.append(msgspec.json.decode(message.data or b"", type=DatasetBuilt))
        return found
    finally:
        await client.close()


async def _one_event(ground: FeedbackGround) -> DatasetBuilt:
    async def is_there() -> bool:
        return bool(await _events(ground))

    await _until(is_there, 20)
    (event,) = await _events(ground)
    return event


@pytest.mark.usefixtures("models")
async def test_a_build_that_is_ordered_again_is_the_same_build(ground: FeedbackGround, desk: FeedbackDesk) -> None:
    await store(ground.database, judged_rows(50))
    order = BuildDataset(selection=selection(), author="ann", id="job_" + "a" * 24)
    first, at_once = await asyncio.gather(desk.call("dataset_build", order), desk.call("dataset_build", order))
    assert first == at_once
    done = await _end(desk, first)
    assert (done.state, done.error) == ("succeeded", "")
    assert await desk.call("dataset_build", order) == done, "its end is the one that was fixed at first"
    assert len((await desk.call("dataset_list", ListJobs())).jobs) == 1
    with pytest.raises(ServiceError) as caught:
        await desk.call("dataset_build", BuildDataset(selection=selection(), author="ann", id="mine"))
    assert (caught.value.code, caught.value.param) == ("invalid_value", "id")


async def test_a_build_is_published_recorded_and_announced(
    ground: FeedbackGround, desk: FeedbackDesk, models: RegistryDesk, rows: Rows
) -> None:
    await store(ground.database, judged_rows(300))
    with noting() as notes:
        with Within(tracing.begin("order", tracing.Kind.SERVER, write(7, 8))):
            ordered = await _build(desk, _selection())
        done = await _end(desk, ordered)
    assert (done.state, done.error) == ("succeeded", "")
    assert (done.rows_read, done.rows_total) == (300, 300)
    called, job, process = (
        next(span for span in reversed(notes.spans) if span.name == name)
        for name in ("feedback.dataset_build", "dataset job", "dataset process")
    )
    assert (job.parent, process.parent) == (Parent(7, called.number), Parent(7, job.number))
    assert (job.errors, job.ended, process.errors, process.ended) == ([], True, [], True)
    assert done.reference == f"made-up@sha256:{done.digest[:12]}"
    details: VersionDetails = await models.call("version_show", Resolve(done.reference))
    assert (details.version.kind, details.version.digest) == (Kind.DATASET, done.digest)
    assert details.card.startswith("# made-up")
    manifest, blobs = await models.read(done.reference)
    files = {file.path: b"".join(blobs[blob.digest] for blob in file.blobs) for file in manifest.files}
    ids = files["row_ids.txt"].decode().split()
    assert len(files["train.jsonl"].splitlines()) + len(files["test.jsonl"].splitlines()) == len(ids)
    assert json.loads(files["manifest.json"])["counts"] == done.counts
    recorded = await rows.fetch("select request_id from feedback.dataset_rows where dataset = $1", done.reference)
    assert sorted(one["request_id"] for one in recorded) == sorted(ids)
    assert (await _one_event(ground)).job == done
    await models.call("alias_set", SetAlias(name="made-up", alias="champion", target=done.reference, author="ann"))


async def test_the_same_selection_is_the_same_version_and_a_dry_run_says_which(
    ground: FeedbackGround, desk: FeedbackDesk, models: RegistryDesk
) -> None:
    await store(ground.database, judged_rows(200))
    tried = await _end(desk, await _build(desk, _selection(), dry_run=True))
    assert (tried.state, tried.reference) == ("succeeded", "")
    assert (await models.call("version_list", ListVersions(name="made-up"))).versions == ()
    first = await _end(desk, await _build(desk, _selection()))
    await store(ground.database, [row(900, "later", "too late", [judgement(900, SignalKind.THUMB, True, "x")],
                                      time_ms=END_MS)])  # fmt: skip
    again = await _end(desk, await _build(desk, _selection()))
    assert tried.digest == first.digest == again.digest
    assert first.reference == again.reference
    versions: tuple[Version, ...] = (await models.call("version_list", ListVersions(name="made-up"))).versions
    assert [version.digest for version in versions] == [first.digest]
    listed = (await desk.call("dataset_list", ListJobs(limit=2))).jobs
    assert [job.id for job in listed] == [again.id, first.id]


async def test_nothing_left_is_a_typed_failure_with_the_counts(
    ground: FeedbackGround, desk: FeedbackDesk, models: RegistryDesk
) -> None:
    assert models
    await store(ground.database, [row(1, "a", "b", [judgement(1, SignalKind.THUMB, False, "ann")])])
    done = await _end(desk, await _build(desk, _selection()))
    assert done.state == "failed"
    assert done.error.startswith("invalid_value: Nothing is left")
    assert done.counts["labelled"] == 1


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("dataset_build", BuildDataset(selection=selection(name="Not A Name"), author="a"), "invalid_value"),
        ("dataset_build", BuildDataset(selection=selection(splits={"train": 2.0}), author="a"), "invalid_value"),
        ("dataset_build", BuildDataset(selection=selection(tenant=""), author="a"), "missing_field"),
        ("dataset_show", JobId("job_none"), "not_found"),
        ("dataset_cancel", JobId("job_none"), "not_found"),
        ("dataset_list", ListJobs(limit=0), "invalid_value"),
    ],
)
async def test_what_cannot_be_done_is_said_at_once(
    operation: str, request_: msgspec.Struct, code: str, desk: FeedbackDesk
) -> None:
    with pytest.raises(ServiceError) as caught:
        await desk.call(operation, request_)
    assert caught.value.code == code


async def test_a_build_can_be_called_off(ground: FeedbackGround, desk: FeedbackDesk, rows: Rows) -> None:
    await store(ground.database, judged_rows(6_000))
    running, waiting = await _build(desk, _selection()), await _build(desk, _selection(name="second"))

    async def has_begun() -> bool:
        return (await _show(desk, running)).state == "running"

    await _until(has_begun, 60)
    for job in (waiting, running, running):
        await desk.call("dataset_cancel", JobId(job.id))
    assert {(await _show(desk, job)).state for job in (running, waiting)} == {"cancelled"}
    last = await _end(desk, await _build(desk, _selection(name="third"), dry_run=True))
    assert last.state == "succeeded"
    assert {(await _show(desk, job)).state for job in (running, waiting)} == {"cancelled"}
    assert await rows.count("dataset_rows") == 0
    with pytest.raises(ServiceError, match="is succeeded") as caught:
        await desk.call("dataset_cancel", JobId(last.id))
    assert caught.value.code == "conflict"


async def test_calls_are_answered_while_a_build_runs(ground: FeedbackGround, desk: FeedbackDesk) -> None:
    await store(ground.database, judged_rows(3_000))
    job = await _build(desk, _selection(), dry_run=True)
    slowest, answered = 0.0, 0
    loop = asyncio.get_running_loop()
    while (await _show(desk, job)).state not in OVER:
        started_s = loop.time()
        await desk.call("dataset_list", ListJobs())
        slowest, answered = max(slowest, loop.time() - started_s), answered + 1
    assert answered > 10
    assert slowest < 5


@pytest.mark.parametrize("state", ["running", "publishing"])
async def test_a_killed_build_begins_again_and_comes_to_the_same_version_published_once(
    state: str, ground: FeedbackGround, registry_ground: RegistryGround, rows: Rows, tmp_path: Path
) -> None:
    directory = tmp_path / "builds"
    async with feedback_process(ground, build_directory=directory, **QUICK) as process, ground.desk() as desk:
        await store(ground.database, judged_rows(2_000))
        expected = await _end(desk, await _build(desk, _selection(), dry_run=True))
        # Without a registry it waits at its last step, so that the kill always comes in time.
        job = await _build(desk, _selection())

        async def is_there() -> bool:
            return (await _show(desk, job)).state == state and bool(list(directory.iterdir()))

        await _until(is_there, 60)
        await process.end(signal.SIGKILL)
        assert list(directory.iterdir()), "a kill leaves something behind"
        await process.start()
        async with registry_ground.registry(), registry_ground.desk() as models:
            done = await _end(desk, job)
            assert (done.state, done.digest) == ("succeeded", expected.digest)
            versions = (await models.call("version_list", ListVersions())).versions
            assert [version.digest for version in versions] == [expected.digest]
        assert (await _one_event(ground)).job == done
        assert await rows.count("dataset_rows") > 100
        await until(lambda: not list(directory.iterdir()), timeout_s=10, what="an empty directory")


async def test_only_one_of_two_processes_builds(
    ground: FeedbackGround, models: RegistryDesk, desk: FeedbackDesk
) -> None:
    assert models
    await store(ground.database, judged_rows(300))
    async with feedback_process(ground, **QUICK):
        ordered = [await _build(desk, _selection(name=f"set-{number}")) for number in range(3)]
        done = [await _end(desk, job) for job in ordered]

        async def all_told() -> bool:
            return len(await _events(ground)) >= len(ordered)

        await _until(all_told, 20)
    assert {job.state for job in done} == {"succeeded"}
    assert sorted(event.job.id for event in await _events(ground)) == sorted(job.id for job in ordered)


async def test_a_build_outlives_the_loss_of_every_connection_to_the_database(
    ground: FeedbackGround, desk: FeedbackDesk, models: RegistryDesk, rows: Rows
) -> None:
    assert models
    await store(ground.database, judged_rows(2_000))
    job = await _build(desk, _selection())

    async def is_read() -> bool:
        return (await _show(desk, job)).rows_read > 0

    await _until(is_read, 60)
    await rows.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    done = await _end(desk, job)
    assert (done.state, done.rows_read) == ("succeeded", 2_000)
    assert (await _one_event(ground)).job == done


async def test_an_erasure_names_the_versions_and_the_next_build_goes_without(
    ground: FeedbackGround, desk: FeedbackDesk, models: RegistryDesk
) -> None:
    await store(ground.database, judged_rows(200))
    first = await _end(desk, await _build(desk, _selection(shape=Shape.KTO)))
    _, blobs = await models.read(first.reference)
    one = next(iter(judged_rows(200))).request_id
    assert any(one.encode() in blob for blob in blobs.values())
    erased: Erasure = await desk.call("erase", Erase(tenant="acme", request_id=one, author="ann"))
    assert erased.datasets == (first.reference,)
    second = await _end(desk, await _build(desk, _selection(shape=Shape.KTO)))
    assert second.digest != first.digest
    manifest, blobs = await models.read(second.reference)
    ids = next(file for file in manifest.files if file.path == "row_ids.txt")
    assert one.encode() not in b"".join(blobs[blob.digest] for blob in ids.blobs)
