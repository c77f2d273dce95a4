"""From a published data set to the judgements that decided it, and back; each way says the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from libs.contracts.datasets import BuildDataset, DatasetJob, JobId
from libs.contracts.feedback import DatasetOrigin, ShowOrigin, ShowReach, SignalKind, SignalReach, Source
from libs.contracts.registry import Kind, Lineage, ListVersions, VersionPage
from libs.kit.errors import ServiceError
from libs.kit.settings import ObjectSettings
from libs.testkit.feedback import FeedbackDesk, FeedbackGround
from libs.testkit.judged import MINUTE_MS, START_MS, judgement, row, selection
from libs.testkit.judged_store import store
from libs.testkit.models import write_model
from libs.testkit.registry import RegistryDesk, RegistryGround
from libs.testkit.stores import ObjectServer
from services.feedback.app import Feedback

END_MS = START_MS + 100 * MINUTE_MS
UP = SignalKind.THUMB


@pytest_asyncio.fixture(loop_scope="session")
async def models(
    ground: FeedbackGround, object_server: ObjectServer, bucket: ObjectSettings
) -> AsyncIterator[RegistryDesk]:
    registry = RegistryGround(ground.nats, ground.postgres, object_server, ground.database, bucket, ground.directory)
    async with registry.registry(), registry.desk() as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session")
async def feedback(ground: FeedbackGround) -> AsyncIterator[Feedback]:
    async with ground.feedback(build_s=0.1, content_keep_days=3_650) as app:
        yield app


async def _built(desk: FeedbackDesk, **more: Any) -> DatasetJob:
    chosen = selection(**{"until_ms": END_MS, "splits": {"train": 1.0}, **more})
    job: DatasetJob = await desk.call("dataset_build", BuildDataset(selection=chosen, author="ann"))
    async with asyncio.timeout(90):
        while job.state not in ("succeeded", "failed"):
            await asyncio.sleep(0.05)
            job = await desk.call("dataset_show", JobId(job.id))
    assert job.state == "succeeded", job.error
    return job


async def _reach(desk: FeedbackDesk, number: int) -> tuple[str, ...]:
    found: SignalReach = await desk.call("signal_reach", ShowReach(f"sig_{number:024x}"))
    assert found.signal.id == f"sig_{number:024x}"
    return found.datasets


@pytest.mark.usefixtures("models")
async def test_a_data_set_names_the_judgements_that_decided_it_and_each_of_them_names_the_data_set(
    ground: FeedbackGround, desk: FeedbackDesk
) -> None:
    rows = [
        row(1, "What is a kite?", "A toy that flies.", [judgement(1, UP, True, "ann")]),
        # Judged by the episode, and by somebody who is not asked about.
        row(2, "Where is the sea?", "In the north.", [judgement(2, UP, True, "ann", of_episode=True)], episode_id="e1"),
        row(3, "How tall is a tree?", "It depends.", [judgement(3, UP, True, "bob")]),
        # A changed mind, before the end and after it; and a guess.
        row(
            4,
            "Who sells tea?",
            "The shop on the corner.",
            [judgement(4, UP, False, "ann"), judgement(5, UP, True, "ann", supersedes=f"sig_{4:024x}")],
        ),
        row(
            6,
            "When is noon?",
            "At twelve.",
            [
                judgement(6, UP, True, "ann"),
                judgement(200, UP, False, "ann", supersedes=f"sig_{6:024x}"),
                judgement(7, UP, True, "ann", source=Source.COPIED),
            ],
        ),
        # Never judged well, so it is in no data set of this shape.
        row(8, "Why is it cold?", "No idea.", [judgement(8, UP, False, "ann")]),
    ]
    await store(ground.database, rows)
    of_ann = await _built(desk, raters=("ann",))
    of_all = await _built(desk, name="other", until_ms=0)
    origin: DatasetOrigin = await desk.call("dataset_origin", ShowOrigin(of_ann.reference))
    assert origin.job == of_ann
    assert origin.interactions == 4
    assert [signal.id for signal in origin.shown] == [f"sig_{number:024x}" for number in (1, 2, 5, 6)]
    assert origin.signals == 4
    short: DatasetOrigin = await desk.call("dataset_origin", ShowOrigin(of_ann.reference, 1))
    assert (short.signals, len(short.shown)) == (4, 1)
    both = (of_ann.reference, of_all.reference)
    assert [await _reach(desk, number) for number in (1, 2, 5)] == [both] * 3
    assert await _reach(desk, 3) == (of_all.reference,), "bob was not asked about in the first"
    assert await _reach(desk, 6) == (of_ann.reference,), "ann had changed her mind by the second"
    assert [await _reach(desk, number) for number in (4, 7, 8)] == [()] * 3


@pytest.mark.usefixtures("models")
async def test_what_nobody_knows_is_said(desk: FeedbackDesk) -> None:
    origin: DatasetOrigin = await desk.call("dataset_origin", ShowOrigin("elsewhere@sha256:0123456789ab"))
    assert (origin.job, origin.interactions, origin.signals) == (None, 0, 0)
    for operation, request, code, param in (
        ("dataset_origin", ShowOrigin("elsewhere"), "invalid_value", "reference"),
        ("dataset_origin", ShowOrigin("@"), "invalid_value", "reference"),
        ("dataset_origin", ShowOrigin("a@sha256:0123456789ab", 201), "invalid_value", "limit"),
        ("signal_reach", ShowReach("sig_" + "f" * 24), "not_found", "id"),
        ("signal_reach", ShowReach("a\0b"), "not_found", "id"),
    ):
        with pytest.raises(ServiceError) as caught:
            await desk.call(operation, request)
        assert (caught.value.code, caught.value.param) == (code, param)


async def test_the_registry_lists_what_was_made_from_a_data_set(models: RegistryDesk, ground: FeedbackGround) -> None:
    digest = "ab" * 32
    made = await models.publish(
        write_model(ground.directory / "made", seed=1), "tiny", lineage=Lineage(dataset=f"faq@sha256:{digest}")
    )
    await models.publish(write_model(ground.directory / "other", seed=2), "tiny")
    for reference in (f"faq@sha256:{digest}", f"faq@sha256:{digest[:12]}"):
        page: VersionPage = await models.call("version_list", ListVersions(dataset=reference, kind=Kind.MODEL))
        assert [one.digest for one in page.versions] == [made.digest]
    with pytest.raises(ServiceError) as caught:
        await models.call("version_list", ListVersions(dataset="faq@newest"))
    assert (caught.value.code, caught.value.param) == ("invalid_value", "dataset")
