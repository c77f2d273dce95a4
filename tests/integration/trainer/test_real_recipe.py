"""The trainer and a real recipe together: what was paused on the way becomes the same weights as what was not."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli.lineage.rebuilding import Rebuilding
from libs.contracts.datasets import DatasetJob
from libs.contracts.registry import Kind, Resolve, VersionDetails
from libs.contracts.training import Job, JobState, Recipe, TrainingPlan
from libs.testkit.registry import RegistryDesk
from libs.testkit.trainer import TrainerDesk, TrainerGround
from tests.unit.trainer.tiny import make_base, sft_rows, write_rows

WEIGHTS = "adapter_model.safetensors"
pytestmark = pytest.mark.slow


async def _weights(models: RegistryDesk, job: Job) -> str:
    details: VersionDetails = await models.call("version_show", Resolve(job.version))
    assert details.card
    return next(file.digest for file in details.manifest.files if file.path == WEIGHTS)


async def test_a_real_training_is_published_and_a_pause_changes_no_bit(
    ground: TrainerGround, desk: TrainerDesk, models: RegistryDesk, tmp_path: Path
) -> None:
    # Libraries alone take a minute to load on a busy machine.
    desk.patience_s = 600.0
    base = await models.publish(make_base(tmp_path / "base"), "tiny")
    rows = write_rows(tmp_path / "lessons" / "train.jsonl", sft_rows())
    lessons = await models.publish(rows.parent, "lessons", Kind.DATASET, annotations={"shape": "sft"})
    recipe = Recipe(steps=60, batch_rows=4, checkpoint_steps=10, rank=2)
    plan = TrainingPlan(name="tiny", dataset=lessons.reference, base=base.reference, recipe=recipe)
    real: dict[str, Any] = {"work_module": "services.trainer.work", "lease_s": 60.0, "pause_timeout_s": 300.0}
    async with ground.trainer(**real):
        straight = await desk.end((await desk.train(plan)).id)
        assert (straight.state, straight.error) == (JobState.SUCCEEDED, "")
        assert straight.method == "sft"
        job = await desk.train(plan)
        await desk.reaches(job.id, JobState.RUNNING, step=1)
        await desk.do("pause", job.id)
        await desk.says(job.id, "stopped")
        await desk.do("resume", job.id)
        resumed = await desk.end(job.id)
        assert (resumed.state, resumed.error, resumed.epoch) == (JobState.SUCCEEDED, "", 2)
        assert "goes on after step" in await desk.log(job.id)
        assert await _weights(models, resumed) == await _weights(models, straight)


class _Nobody:
    """Feedback, where a data set does not say by which selection it was built."""

    async def call(self, operation: str, request: Any) -> Any:
        raise AssertionError(f"{operation} {request}")


async def test_a_version_that_is_made_again_has_the_same_bytes(
    ground: TrainerGround, desk: TrainerDesk, models: RegistryDesk, tmp_path: Path
) -> None:
    desk.patience_s = 600.0
    base = await models.publish(make_base(tmp_path / "base"), "tiny")
    rows = write_rows(tmp_path / "lessons" / "train.jsonl", sft_rows())
    lessons = await models.publish(rows.parent, "lessons", Kind.DATASET, annotations={"shape": "sft"})
    recipe = Recipe(steps=10, batch_rows=4, checkpoint_steps=5, rank=2)
    plan = TrainingPlan(name="tiny", dataset=lessons.reference, base=base.reference, recipe=recipe)
    async with (
        ground.trainer(work_module="services.trainer.work", lease_s=60.0),
        httpx2.AsyncClient(timeout=30, trust_env=False) as http,
    ):
        first = await desk.end((await desk.train(plan)).id)
        assert (first.state, first.error) == (JobState.SUCCEEDED, "")
        rebuilding = Rebuilding(
            registry=models,
            feedback=_Nobody(),
            trainer=desk,
            http=http,
            author="ann",
            follow_build=_never,
            follow_job=lambda job: desk.end(job.id),
        )
        made = await rebuilding.run(first.version, keep=True)
    assert made.dataset_same is None
    assert [file.path for file in made.files if not file.same] == []
    assert {file.path for file in made.files} >= {WEIGHTS, "adapter_config.json"}
    again: VersionDetails = await models.call("version_show", Resolve(made.rebuilt))
    assert (again.manifest.lineage.job, made.same) == (made.job, True)
    assert made.job != first.id


async def _never(build: DatasetJob) -> DatasetJob:
    raise AssertionError(build.id)
