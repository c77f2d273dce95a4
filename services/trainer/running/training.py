"""Carries out a training: fetch, teach, publish, and order the evaluation."""

import json
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Kind, Lineage
from libs.contracts.training import JobState, TrainingPlan
from libs.kit.errors import ServiceError
from libs.kit.modelfiles import ADAPTER_CONFIG
from libs.kit.publish import Description
from libs.kit.training_plans import check_shape, shape_of_row
from services.trainer.repository import jobs
from services.trainer.running.checkpoints import Checkpoints
from services.trainer.running.context import Attempt
from services.trainer.running.hearing import StoppedError, hear
from services.trainer.running.space import RESULT, checkpoint_steps
from services.trainer.service.ordering import evaluation_of
from services.trainer.work.order import Checkpointed, Done, Started, Stopped, Train

log = structlog.get_logger(__name__)

_REPLAY: Final = "train.jsonl"


class Training:
    """One training under one epoch."""

    def __init__(self, attempt: Attempt, plan: TrainingPlan, checkpoint: str) -> None:
        self._attempt = attempt
        self._plan = plan
        self._checkpoint = checkpoint
        self._method = attempt.hold.job.method
        self._checkpoints = Checkpoints(
            attempt.registry, attempt.hold, attempt.directory, pause_s=attempt.context.settings.retry_s
        )

    async def run(self) -> None:
        """Do all of it.

        Raises:
            LostError: the job is not ours any more.
            StoppedError: the process wrote its checkpoint and ended, as it was asked to.
            DeadError: the process died.
            ServiceError: why there will be no version.
        """
        attempt = self._attempt
        if await attempt.published() is not None:
            await attempt.hold.move(JobState.RUNNING)
            await attempt.hold.move(JobState.PUBLISHING)
            await self._finish(attempt.intended)
            return
        order = await self._prepare()
        await attempt.hold.move(JobState.RUNNING)
        done = await self._teach(order)
        await attempt.recorder.flush()
        await attempt.hold.move(JobState.PUBLISHING, metrics=done.metrics, method=self._method)
        await self._finish(await attempt.publish(attempt.directory / RESULT, self._description(done)))

    async def _prepare(self) -> Train:
        attempt, plan = self._attempt, self._plan
        dataset = await attempt.shelf.take(plan.dataset)
        rows = dataset.directory / f"{plan.split}.jsonl"
        shape = dataset.manifest.annotations.get("shape") or shape_of_row(_first_row(rows))
        if not shape:
            raise ServiceError("bad_dataset", f"{rows.name} begins with no row of a shape that is known.")
        check_shape(plan.recipe.method, shape, param="dataset")
        base = await attempt.shelf.take(plan.base) if plan.base else None
        replay = await attempt.shelf.take(plan.recipe.replay) if plan.recipe.replay else None
        if self._checkpoint:
            await self._checkpoints.restore(attempt.shelf, self._checkpoint)
        return Train(
            recipe=plan.recipe,
            base=str(base.directory) if base else "",
            rows=str(rows),
            shape=shape,
            replay=str(replay.directory / _REPLAY) if replay else "",
            directory=str(attempt.directory),
            name=plan.name,
            base_name=plan.base,
            dataset_name=plan.dataset,
            licence=plan.licence,
        )

    async def _teach(self, order: Train) -> Done:
        recipe, attempt = self._plan.recipe, self._attempt
        child = attempt.employ(order, threads=recipe.threads)
        self._checkpoints.start()
        try:
            async with aclosing(hear(attempt, child)) as reports:
                async for report in reports:
                    if isinstance(report, Started):
                        self._method = report.method
                        await attempt.hold.note(method=report.method)
                    elif isinstance(report, Checkpointed):
                        self._checkpoints.whole(report.step)
                    elif isinstance(report, Done):
                        return report
                    elif isinstance(report, Stopped):
                        await self._checkpoints.stop()
                        if report.step in checkpoint_steps(attempt.directory):
                            await self._checkpoints.send(report.step)
                        raise StoppedError
        finally:
            await self._checkpoints.stop()
        raise AssertionError("the last report is one of those above, or it is raised")

    def _description(self, done: Done) -> Description:
        plan, job = self._plan, self._attempt.hold.job
        is_adapter = (self._attempt.directory / RESULT / ADAPTER_CONFIG).exists()
        annotations = {"method": self._method, "split": plan.split, "replay": plan.recipe.replay}
        if not is_adapter:
            annotations["base"] = plan.base
        return Description(
            name=plan.name,
            kind=Kind.ADAPTER if is_adapter else Kind.MODEL,
            base=plan.base if is_adapter else "",
            lineage=Lineage(job=job.id, dataset=plan.dataset, code=self._attempt.context.code),
            metrics=done.metrics,
            licence=plan.licence,
            annotations={name: value for name, value in annotations.items() if value},
        )

    async def _finish(self, version: str) -> None:
        attempt = self._attempt
        attempt.recorder.say(f"published {version}")
        await attempt.recorder.flush()
        if self._plan.evaluation is None:
            await attempt.hold.move(JobState.SUCCEEDED, version=version)
            return
        evaluation = evaluation_of(attempt.hold.job, version)

        async def order(connection: AsyncConnection) -> None:
            await jobs.add(connection, evaluation)

        await attempt.hold.move(JobState.EVALUATING, order, version=version)


def _first_row(rows: Path) -> list[str]:
    """Names of the first row's fields; none if it has none."""
    try:
        with rows.open("rb") as file:
            row = json.loads(file.readline(1 << 24))
    except (OSError, ValueError):
        return []
    return list(row) if isinstance(row, dict) else []
