"""What is asked of lineage after a whole turn, through a gateway as the command line asks it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from cli.lineage.rebuilding import Rebuilding
from cli.lineage.rest import RestLineage
from libs.contracts.datasets import DatasetJob, JobId
from libs.contracts.feedback import InteractionPage, ListInteractions
from libs.contracts.lineage import AnswerLineage, AnswerRef, SignalImpact, SignalRef
from libs.contracts.registry import ListVersions, VersionPage
from libs.contracts.rollouts import Turn
from libs.contracts.training import Job
from libs.contracts.versions import parse_reference, short_reference
from libs.kit.errors import ServiceError
from libs.testkit.feedback import FeedbackDesk, completed, new_signal
from libs.testkit.registry import RegistryDesk
from libs.testkit.trainer import TrainerDesk
from libs.testkit.wait import eventually

ANSWERS = 100


async def _said(feedback: FeedbackDesk, version: str, count: int = 1) -> list[str]:
    """Answers of a version, recorded; their ids as clients got them."""
    said = [completed(model_version=version) for _ in range(count)]
    await feedback.say(said)

    async def all_there() -> bool | None:
        page: InteractionPage = await feedback.call(
            "interaction_list", ListInteractions(model_version=version, limit=200)
        )
        return {one.request_id for one in said} <= {one.request_id for one in page.interactions} or None

    await eventually(all_there, timeout_s=60.0, what="the answers are recorded")
    return [f"chatcmpl-{one.request_id}" for one in said]


async def every_answer_resolves(lineage: RestLineage, feedback: FeedbackDesk, turn: Turn, judged: int) -> None:
    """100 of 100 answers name everything that made their version."""
    parsed = parse_reference(turn.version)
    version = short_reference(parsed.name, parsed.digest)
    for ident in await _said(feedback, version, ANSWERS):
        found: AnswerLineage = await lineage.call("answer_why", AnswerRef(ident))
        assert (found.interaction.inference_id, found.gaps) == (ident, ())
        assert found.version is not None
        assert found.manifest is not None
        assert (found.version.reference, found.manifest.base) == (version, turn.base)
        assert found.manifest.lineage.code
        assert found.job is not None
        assert (found.job.id, found.job.report) == (turn.job, turn.report)
        assert found.job.verdict is not None
        assert found.job.verdict.passed
        assert found.dataset is not None
        assert found.dataset.job is not None
        assert found.dataset.job.id == turn.dataset_job
        assert found.dataset_digest == found.dataset.job.digest
        counts = (found.dataset.interactions, found.dataset.signals)
        assert counts == (judged, judged), counts
        assert 0 < len(found.dataset.shown) <= judged
        assert found.turn is not None
        assert found.rollout is not None
        assert (found.turn.id, found.rollout.id) == (turn.id, turn.rollout)
        assert f"{judged} judgements of {judged} interactions" in found.summary


async def what_nobody_shaped_says_so(lineage: RestLineage, feedback: FeedbackDesk, base: str) -> None:
    """The base, a version that is gone, and ids that nobody knows."""
    (ident,) = await _said(feedback, base)
    found: AnswerLineage = await lineage.call("answer_why", AnswerRef(ident))
    assert "No judgement shaped it." in found.summary
    assert (found.job, found.dataset, found.turn) == (None, None, None)
    (ident,) = await _said(feedback, "gone@sha256:0123456789ab")
    found = await lineage.call("answer_why", AnswerRef(ident))
    assert found.version is None
    assert "gone@sha256:0123456789ab" in found.gaps[0]
    for operation, request, code in (
        ("answer_why", AnswerRef("chatcmpl-" + "0" * 24), "interaction_not_found"),
        ("answer_why", AnswerRef("nonsense"), "invalid_value"),
        ("signal_impact", SignalRef("sig_" + "0" * 24), "not_found"),
    ):
        with pytest.raises(ServiceError) as caught:
            await lineage.call(operation, request)
        assert caught.value.code == code


async def a_judgement_names_what_it_shaped(
    lineage: RestLineage, feedback: FeedbackDesk, turn: Turn, served: str
) -> None:
    """One that was taught, and one that came too late."""
    (ident,) = await _said(feedback, short_reference("helpdesk", parse_reference(turn.version).digest))
    late = new_signal(ident.removeprefix("chatcmpl-"))
    recorded = await feedback.call("signal_record", late)
    found: SignalImpact = await lineage.call("signal_impact", SignalRef(recorded.id))
    assert (found.datasets, found.versions) == ((), ())
    assert "nothing yet" in found.summary
    page: InteractionPage = await feedback.call("interaction_list", ListInteractions(judged=True, limit=200))
    taught = next(one.signals[0] for one in page.interactions if one.signals and one.time_ms < turn.until_ms)
    found = await lineage.call("signal_impact", SignalRef(taught.id))
    assert (found.signal.id, found.datasets) == (taught.id, (turn.dataset,))
    (shaped,) = found.versions
    assert shaped.version.digest == parse_reference(turn.version).digest
    assert shaped.turn is not None
    assert (shaped.job, shaped.turn.id, [one.id for one in shaped.rollouts]) == (turn.job, turn.id, [turn.rollout])
    assert served in shaped.serves
    assert "answers today" in found.summary


async def it_can_be_made_again(
    models: RegistryDesk, feedback: FeedbackDesk, trainer: TrainerDesk, turn: Turn, elsewhere: str
) -> None:
    """The same data set and the same files; what was made again is gone afterwards."""
    before: VersionPage = await models.call("version_list", ListVersions(name="helpdesk"))
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
        rebuilding = Rebuilding(
            registry=models,
            feedback=feedback,
            trainer=trainer,
            http=http,
            author="ann",
            follow_build=_until_over(feedback),
            follow_job=lambda job: trainer.end(job.id),
        )
        made = await rebuilding.run(turn.version)
        with pytest.raises(ServiceError) as caught:
            await rebuilding.run(elsewhere)
    assert (caught.value.code, caught.value.param) == ("invalid_value", "reference")
    assert made.dataset_same is True
    assert {file.path for file in made.files} >= {"adapter_model.safetensors", "adapter_config.json"}
    assert [file.path for file in made.files if not file.same] == []
    assert (made.same, made.job != turn.job, made.code) == (True, True, made.code_rebuilt)
    after: VersionPage = await models.call("version_list", ListVersions(name="helpdesk"))
    assert [one.digest for one in after.versions] == [one.digest for one in before.versions]
    job: Job = await trainer.show(made.job)
    assert job.version


def _until_over(feedback: FeedbackDesk) -> Callable[[DatasetJob], Awaitable[DatasetJob]]:
    async def follow(build: DatasetJob) -> DatasetJob:
        async with asyncio.timeout(90):
            while build.state not in ("succeeded", "failed"):
                await asyncio.sleep(0.05)
                shown: Any = await feedback.call("dataset_show", JobId(build.id))
                build = shown
        return build

    return follow
