"""Endpoints for jobs of the trainer: trainings and evaluations are ordered, looked at, and steered."""

from typing import Final

import msgspec

from libs.contracts.evaluation import DeclaredEvaluationPlan
from libs.contracts.permissions import Permission
from libs.contracts.training import (
    DeclaredTrainingPlan,
    FindJobs,
    JobKind,
    JobRef,
    JobState,
    OrderEvaluation,
    OrderTraining,
    ReadLog,
)
from services.gateway.routes.endpoints import Asked, Endpoint


class NewTraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version to be made; a repeat with the same `id` gives the same job."""

    plan: DeclaredTrainingPlan
    id: str = ""


class NewEvaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison to be made; a repeat with the same `id` gives the same job."""

    plan: DeclaredEvaluationPlan
    id: str = ""


class JobFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs."""

    state: JobState | None = None
    kind: JobKind | None = None
    before: str = ""
    limit: int = 100


class LinesShown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines of a log."""

    after: int = 0
    """Number of the last line seen."""
    limit: int = 1_000


def _find(asked: Asked) -> FindJobs:
    wanted = asked.query
    return FindJobs(state=wanted.state, kind=wanted.kind, before=wanted.before, limit=wanted.limit, tenant=asked.tenant)


def _ref(asked: Asked) -> JobRef:
    return JobRef(asked.path["id"], asked.tenant)


def _steer(verb: str, summary: str) -> Endpoint:
    return Endpoint(
        service="trainer",
        method="POST",
        path=f"/jobs/{{id}}/{verb}",
        permission=Permission.JOBS_WRITE,
        operation=f"job_{verb}",
        summary=summary,
        call=_ref,
    )


ENDPOINTS: Final = (
    Endpoint(
        service="trainer",
        method="POST",
        path="/trainings",
        permission=Permission.JOBS_WRITE,
        operation="training_order",
        summary="Queue a training.",
        body=NewTraining,
        call=lambda asked: OrderTraining(
            plan=asked.body.plan, author=asked.author, id=asked.body.id, tenant=asked.tenant
        ),
        status=202,
    ),
    Endpoint(
        service="trainer",
        method="POST",
        path="/evaluations",
        permission=Permission.JOBS_WRITE,
        operation="evaluation_order",
        summary="Queue an evaluation.",
        body=NewEvaluation,
        call=lambda asked: OrderEvaluation(
            plan=asked.body.plan, author=asked.author, id=asked.body.id, tenant=asked.tenant
        ),
        status=202,
    ),
    Endpoint(
        service="trainer",
        method="GET",
        path="/jobs",
        permission=Permission.JOBS_READ,
        operation="job_list",
        summary="Trainings and evaluations, newest first; `next` of one page is `before` of the following one.",
        query=JobFilter,
        call=_find,
    ),
    Endpoint(
        service="trainer",
        method="GET",
        path="/jobs/{id}",
        permission=Permission.JOBS_READ,
        operation="job_show",
        summary="One job and how far it is.",
        call=_ref,
    ),
    Endpoint(
        service="trainer",
        method="GET",
        path="/jobs/{id}/log",
        permission=Permission.JOBS_READ,
        operation="job_log",
        summary="Lines of a job's log, oldest first.",
        query=LinesShown,
        call=lambda asked: ReadLog(
            id=asked.path["id"], after=asked.query.after, limit=asked.query.limit, tenant=asked.tenant
        ),
    ),
    _steer("pause", "Stop a job after a checkpoint, until it is resumed."),
    _steer("resume", "Queue a paused job again."),
    _steer("cancel", "Call a job off."),
)
