"""Carries out an evaluation: fetch, have both versions served, ask and score, publish the report."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.evaluation import EvaluationPlan, EvaluationReport, Task, Verdict
from libs.contracts.registry import Kind, Lineage
from libs.contracts.training import JobState
from libs.kit.errors import ServiceError
from libs.kit.publish import Description
from services.trainer.running.context import Attempt
from services.trainer.running.endings import tell_parent
from services.trainer.running.hearing import hear
from services.trainer.running.space import RESULT
from services.trainer.running.stage import Stage, model_of
from services.trainer.service.resolving import Found, Resolver
from services.trainer.work.order import Done, Evaluate

log = structlog.get_logger(__name__)

_REPORT: Final = "report.json"
_SPLIT: Final = "train"
_MOST_NAME: Final = 64


class Measuring:
    """One evaluation under one epoch."""

    def __init__(self, attempt: Attempt, plan: EvaluationPlan) -> None:
        self._attempt = attempt
        self._plan = plan
        self._resolver = Resolver(attempt.registry)
        self._stage = Stage(attempt.registry, attempt.hold.job.id, attempt.hold.job.author)
        self._versions = (plan.candidate, plan.baseline)

    async def run(self) -> None:
        """Do all of it.

        Raises:
            LostError: the job is not ours any more.
            DeadError: the process died.
            ServiceError: why there will be no report.
        """
        attempt = self._attempt
        published = await attempt.published()
        if published is not None:
            await attempt.hold.move(JobState.RUNNING)
            await attempt.hold.move(JobState.PUBLISHING, metrics=published.manifest.metrics)
            await self._finish(attempt.intended, _verdict(published.directory))
            return
        order = await self._prepare()
        await attempt.hold.note(littered=True)
        try:
            await self._stage.enter(self._versions, attempt.context.settings.serve_timeout_s)
            await attempt.hold.move(JobState.RUNNING)
            done = await self._measure(order)
        finally:
            await self._leave()
        await attempt.hold.move(JobState.PUBLISHING, metrics=done.metrics)
        await self._publish(done)

    async def _prepare(self) -> Evaluate:
        attempt, settings = self._attempt, self._attempt.context.settings
        candidate = await self._resolver.show(self._plan.candidate)
        baseline = await self._resolver.show(self._plan.baseline)
        base = candidate.manifest.base or self._plan.candidate
        return Evaluate(
            plan=self._plan,
            candidate=model_of(self._plan.candidate),
            baseline=model_of(self._plan.baseline),
            tasks={task.name: await self._items(task) for task in self._plan.tasks},
            seen=await self._seen(candidate),
            base=await self._directory(base),
            candidate_weights=await self._directory(self._plan.candidate),
            baseline_weights=await self._directory(self._plan.baseline) if baseline.reference != base else "",
            url=settings.gateway_url,
            key=settings.api_key(),
            tenant=attempt.hold.job.tenant,
            directory=str(attempt.directory),
        )

    async def _items(self, task: Task) -> str:
        if task.dataset:
            return str(Path(await self._directory(task.dataset)) / f"{task.split}.jsonl")
        if not await asyncio.to_thread(Path(task.file).is_file):
            raise ServiceError("not_found", f"There is no file {task.file} of the task {task.name} on the trainer.")
        return task.file

    async def _seen(self, candidate: Found) -> tuple[str, ...]:
        """What training saw: the splits that the plan or the candidate's lineage names.

        Raises:
            ServiceError: `version_not_found`: the lineage, which is its publisher's word, names what he may not see.
        """
        split, replay = (candidate.manifest.annotations.get(name, "") for name in ("split", "replay"))
        lineage = ((candidate.manifest.lineage.dataset, split or _SPLIT), (replay, _SPLIT))
        named = tuple((reference, _SPLIT) for reference in self._plan.trained_on)
        files = []
        publisher = self._resolver.of(candidate.owner)
        for reference, part in named or lineage:
            if reference:
                if not named:
                    await publisher.show(reference)
                files += _rows(Path(await self._directory(reference)), part)
        return tuple(files)

    async def _directory(self, reference: str) -> str:
        return str((await self._attempt.shelf.take(reference)).directory)

    async def _measure(self, order: Evaluate) -> Done:
        async with aclosing(hear(self._attempt, self._attempt.employ(order))) as reports:
            async for report in reports:
                if isinstance(report, Done):
                    return report
        raise ServiceError("internal_error", "The process stopped without having been asked to.")

    async def _leave(self) -> None:
        """Whoever tidies up when the job has ended does what fails here."""
        try:
            await self._stage.leave(self._versions)
        except ServiceError as error:
            log.warning("aliases stay for a while", job=self._attempt.hold.job.id, reason=error.message)

    async def _publish(self, done: Done) -> None:
        attempt, plan = self._attempt, self._plan
        verdict = _verdict(attempt.directory / RESULT)
        name = model_of(plan.candidate).partition("@")[0]
        description = Description(
            name=f"eval-{name}"[:_MOST_NAME],
            kind=Kind.REPORT,
            lineage=Lineage(job=attempt.hold.job.id, dataset=plan.tasks[0].dataset, code=attempt.context.code),
            metrics=done.metrics,
            annotations={"candidate": plan.candidate, "baseline": plan.baseline},
        )
        await self._finish(await attempt.publish(attempt.directory / RESULT, description), verdict)

    async def _finish(self, report: str, verdict: Verdict) -> None:
        attempt = self._attempt
        attempt.recorder.say(f"published {report}: {verdict.outcome.value}")
        await attempt.recorder.flush()
        values = {"report": report, "verdict": verdict}

        async def parent(connection: AsyncConnection) -> None:
            await tell_parent(connection, attempt.hold, JobState.SUCCEEDED, **values)

        await attempt.hold.move(JobState.SUCCEEDED, parent, **values)


def _verdict(directory: Path) -> Verdict:
    try:
        return msgspec.json.decode((directory / _REPORT).read_bytes(), type=EvaluationReport).verdict
    except (OSError, msgspec.MsgspecError) as error:
        raise ServiceError("internal_error", f"The report cannot be read: {error}") from error


def _rows(directory: Path, split: str) -> list[str]:
    """The file of the split, or every file of rows where it is divided otherwise."""
    wanted = directory / f"{split}.jsonl"
    return [str(wanted)] if wanted.exists() else [str(path) for path in sorted(directory.glob("*.jsonl"))]
