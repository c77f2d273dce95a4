"""Ordering jobs: a plan is checked, its references are made exact, and it is queued."""

import asyncio
import hashlib
import re
from typing import Any, Final

import msgspec

from libs.contracts.evaluation import EvaluationPlan
from libs.contracts.training import Job, JobKind, JobState, OrderEvaluation, OrderTraining
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.training_plans import check_evaluation, check_training
from services.trainer.repository import jobs
from services.trainer.service.resolving import Resolver

_ID: Final = re.compile(r"job_[0-9a-f]{24}")


class Ordering:
    """Queues jobs; whoever orders again with the same id gets the same job."""

    def __init__(self, database: Database, resolver: Resolver, *, wake: asyncio.Event, told: asyncio.Event) -> None:
        """Prepare; `wake` is set when there is a job to do, `told` when there is an event to send."""
        self._database = database
        self._resolver = resolver
        self._wake = wake
        self._told = told

    async def training(self, request: OrderTraining) -> Job:
        """Queue a training.

        Raises:
            ServiceError: the plan is refused, or something it needs to know is away.
        """
        known = await self._known(request, JobKind.TRAINING)
        if known is not None:
            return known
        check_training(request.plan)
        _check_files(request.tenant, request.plan.evaluation)
        owner = await self._resolver.of(request.tenant).owner_under(request.plan.name)
        plan = await self._resolver.of(owner).training(request.plan)
        job = _job(request.id, JobKind.TRAINING, request.author, training=plan, tenant=owner)
        return await self._queue(job)

    async def evaluation(self, request: OrderEvaluation) -> Job:
        """Queue an evaluation.

        Raises:
            ServiceError: as `training`.
        """
        known = await self._known(request, JobKind.EVALUATION)
        if known is not None:
            return known
        if request.parent:
            raise ServiceError("invalid_value", "Only a training itself orders what belongs to it.", param="parent")
        check_evaluation(request.plan)
        _check_files(request.tenant, request.plan)
        # Only a project may ask its adapters, and what they answer is its own, whoever has ordered it.
        candidate = request.plan.candidate
        owner = await self._resolver.of(request.tenant).owner_of(candidate) if candidate else request.tenant
        plan = await self._resolver.of(owner).evaluation(request.plan)
        job = _job(request.id, JobKind.EVALUATION, request.author, evaluation=plan, tenant=owner)
        return await self._queue(job)

    async def _known(self, order: OrderTraining | OrderEvaluation, kind: JobKind) -> Job | None:
        job_id = order.id
        if not job_id:
            return None
        if _ID.fullmatch(job_id) is None:
            raise ServiceError("invalid_value", "`id` must be `job_` and 24 hex digits.", param="id")
        async with self._database.begin() as connection:
            row = await jobs.find(connection, job_id)
        if row is not None and order.tenant not in ("", row.tenant):
            raise ServiceError("conflict", f"The id {job_id} is taken; choose another one.", param="id")
        if row is not None and row.kind != kind.value:
            raise ServiceError("conflict", f"The job {job_id} is of kind {row.kind}.", param="id")
        return None if row is None else jobs.job_of(row)

    async def _queue(self, job: Job) -> Job:
        async with self._database.begin() as connection:
            row = await jobs.add(connection, job)
        self._told.set()
        self._wake.set()
        return jobs.job_of(row)


def evaluation_of(training: Job, version: str) -> Job:
    """The evaluation that a training orders of the version it made; always the same one.

    Raises:
        ValueError: its plan has none.
    """
    plan = training.training
    if plan is None or plan.evaluation is None:
        raise ValueError(f"{training.id} has no evaluation")
    digits = hashlib.sha256(f"{training.id} evaluation".encode()).hexdigest()[:24]
    return _job(
        f"job_{digits}",
        JobKind.EVALUATION,
        training.author,
        parent=training.id,
        tenant=training.tenant,
        evaluation=msgspec.structs.replace(plan.evaluation, candidate=version),
    )


def _check_files(tenant: str, plan: EvaluationPlan | None) -> None:
    """Return unless a project names files of the trainer's disk, where there are things of every project.

    Raises:
        ServiceError: `forbidden`.
    """
    named = [task.name for task in plan.tasks if task.file] if tenant and plan is not None else []
    if named:
        text = f"The task {named[0]} names a file of the trainer; publish its questions as a data set."
        raise ServiceError("forbidden", text, param="tasks")


def _job(job_id: str, kind: JobKind, author: str, **more: Any) -> Job:
    now_ms = clock.unix_ms()
    return Job(
        id=job_id or f"job_{clock.new_request_id()}",
        kind=kind,
        state=JobState.QUEUED,
        author=author,
        created_ms=now_ms,
        changed_ms=now_ms,
        **more,
    )
