"""The running platform as the demo sees it: orders over the admin API, followed to their end."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from cli.feedback.rest import RestFeedback
from cli.models.rest import RestRegistry
from cli.rollouts.rest import RestRollouts
from cli.training.rest import RestTrainer
from deploy.local.home import OPERATOR
from libs.contracts.datasets import BuildDataset, DatasetJob, JobId, Selection
from libs.contracts.evaluation import EvaluationPlan
from libs.contracts.registry import DEFAULT_ALIAS, Resolve, Version, VersionDetails
from libs.contracts.rollouts import (
    ROLLOUT_ENDED,
    OrderRollout,
    Rollout,
    RolloutPlan,
    RolloutRef,
    RolloutStatus,
)
from libs.contracts.training import ENDED, Job, JobRef, OrderEvaluation, OrderTraining, TrainingPlan
from libs.kit.errors import ServiceError

LOOK_EVERY_S: Final = 0.5
PATIENCE: Final = 60
"""Looks in a row that may fail: services restart."""
BUILT: Final = ("succeeded", "failed", "cancelled")
Seen = Callable[[int, int, str], None]
"""Hears how far an order is: done, of how many, and what it does."""
T = TypeVar("T", bound=msgspec.Struct)


def unseen(_done: int, _total: int, _note: str) -> None:
    """For orders that nobody looks at."""


class Platform:
    """One gateway's admin API; use it with `async with`."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._feedback = RestFeedback(url, admin_key)
        self._trainer = RestTrainer(url, admin_key)
        self._registry = RestRegistry(url, admin_key)
        self._rollouts = RestRollouts(url, admin_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._feedback, self._trainer, self._registry, self._rollouts):
            await one.__aexit__(kind, error, trace)

    async def champion(self, name: str) -> Version:
        """What answers to the name.

        Raises:
            ServiceError: nothing does.
        """
        found: VersionDetails = await self._registry.call("version_show", Resolve(f"{name}@{DEFAULT_ALIAS}"))
        return found.version

    async def build(self, wanted: Selection, seen: Seen = unseen) -> DatasetJob:
        """The data set, when its build is over."""
        job: DatasetJob = await self._feedback.call("dataset_build", BuildDataset(selection=wanted, author=OPERATOR))

        def tell(now: DatasetJob) -> None:
            seen(now.rows_read, now.rows_total, now.state)

        return await followed(
            job, lambda: self._feedback.call("dataset_show", JobId(job.id)), lambda now: now.state in BUILT, tell
        )

    async def order_training(self, plan: TrainingPlan) -> Job:
        """The training, queued."""
        job: Job = await self._trainer.call("training_order", OrderTraining(plan=plan, author=OPERATOR))
        return job

    async def order_evaluation(self, plan: EvaluationPlan) -> Job:
        """The evaluation, queued."""
        job: Job = await self._trainer.call("evaluation_order", OrderEvaluation(plan=plan, author=OPERATOR))
        return job

    async def ended(self, job: Job, seen: Seen = unseen) -> Job:
        """The job when it is over."""

        def tell(now: Job) -> None:
            seen(now.progress.step, now.progress.steps, now.progress.note or now.state.value)

        return await followed(
            job, lambda: self._trainer.call("job_show", JobRef(job.id)), lambda now: now.state in ENDED, tell
        )

    async def order_rollout(self, plan: RolloutPlan) -> Rollout:
        """The rollout, begun."""
        rollout: Rollout = await self._rollouts.call("rollout_order", OrderRollout(plan=plan, author=OPERATOR))
        return rollout

    async def rolled_out(self, rollout: Rollout, seen: Callable[[RolloutStatus], None]) -> RolloutStatus:
        """The rollout when it has ended."""

        async def look() -> RolloutStatus:
            status: RolloutStatus = await self._rollouts.call("rollout_show", RolloutRef(rollout.id))
            return status

        return await followed(await look(), look, lambda now: now.rollout.state in ROLLOUT_ENDED, seen)


async def followed(
    first: T, look: Callable[[], Awaitable[Any]], is_over: Callable[[T], bool], seen: Callable[[T], None]
) -> T:
    """The newest of what `look` finds, once it is over.

    Raises:
        ServiceError: nobody could say for too long, or never will.
    """
    now, failures = first, 0
    while not is_over(now):
        seen(now)
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            now, failures = await look(), 0
        except ServiceError as error:
            failures += 1
            if not error.spec.retryable or failures > PATIENCE:
                raise
    return now
