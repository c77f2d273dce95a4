"""Trainings from the order to the published version, on real servers, with a process that only pretends to teach."""

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.registry import Kind, ListVersions, Resolve, VersionDetails
from libs.contracts.training import FindJobs, JobChanged, JobPage, JobState
from libs.testkit.registry import RegistryDesk
from libs.testkit.streams import stream_messages
from libs.testkit.trainer import Things, TrainerDesk, TrainerGround
from services.trainer.app import Trainer

pytestmark = pytest.mark.usefixtures("trainer")


async def test_a_training_becomes_a_version_with_lineage(
    ground: TrainerGround, desk: TrainerDesk, things: Things, models: RegistryDesk, trainer: Trainer
) -> None:
    ordered = await desk.train(things.plan(licence="MIT"))
    assert ordered.training is not None
    assert "@sha256:" in ordered.training.dataset
    done = await desk.end(ordered.id)
    assert (done.state, done.error) == (JobState.SUCCEEDED, "")
    assert (done.epoch, done.method, done.progress.step, done.progress.checkpoint_step) == (1, "sft", 10, 8)
    assert done.metrics == {"loss": 0.1}
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
    page = await models.call("version_list", ListVersions(kind=Kind.CHECKPOINT))
