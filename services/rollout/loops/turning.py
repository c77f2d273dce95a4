"""A turn as a state machine: what its state orders, and what becomes of it with each answer. Pure."""

from typing import Final

import msgspec

from libs.contracts.datasets import BuildDataset, DatasetJob
from libs.contracts.rollouts import Loop, OrderRollout, Rollout, RolloutState, Turn, TurnState
from libs.contracts.training import Job, JobState, OrderTraining, TrainingPlan
from libs.kit.errors import ServiceError
from services.rollout.loops import identity
from services.rollout.loops.validating import SPLIT

Order = BuildDataset | OrderTraining | OrderRollout
Answer = DatasetJob | Job | Rollout

_MOST_REASON: Final = 2_000
_UNSURE: Final = frozenset({"internal_error", "deadline_exceeded"})
"""Beside what is said to be worth another try: whether the order was carried out is not known."""
_TAKEN_BACK: Final = frozenset({RolloutState.ABORTED, RolloutState.ROLLED_BACK})


def begun(  # noqa: PLR0913 - each is a fact of its own
    loop: Loop, *, turn_id: str, number: int, now_ms: int, signals: int, base: str, baseline: str, author: str = ""
) -> Turn:
    """A turn that begins now; everything that it will order is decided here."""
    since_ms = loop.selection.since_ms
    if loop.window_s:
        since_ms = max(since_ms, now_ms - round(loop.window_s * 1_000))
    return Turn(
        id=turn_id,
        loop=loop.name,
        number=number,
        state=TurnState.SELECTING,
        declared=loop,
        began_ms=now_ms,
        changed_ms=now_ms,
        signals=signals,
        since_ms=since_ms,
        until_ms=now_ms,
        base=base,
        baseline=baseline,
        reason="its data set is built",
        author=author,
    )


def order_of(turn: Turn) -> Order:
    """What the turn's state has ordered elsewhere; to order it again is to ask how far it is.

    Raises:
        ValueError: it has ended.
    """
    loop, author = turn.declared, f"loop {turn.loop}"
    if turn.state is TurnState.SELECTING:
        selection = msgspec.structs.replace(loop.selection, since_ms=turn.since_ms, until_ms=turn.until_ms)
        return BuildDataset(selection=selection, author=author, id=identity.dataset_job_id(turn.id), tenant=loop.tenant)
    if turn.state is TurnState.TRAINING:
        plan = TrainingPlan(
            name=loop.model,
            dataset=turn.dataset,
            base=turn.base,
            split=SPLIT,
            recipe=loop.recipe,
            evaluation=msgspec.structs.replace(loop.evaluation, baseline=turn.baseline),
            licence=loop.licence,
        )
        return OrderTraining(plan=plan, author=author, id=identity.training_id(turn.id), tenant=loop.tenant)
    if turn.state is TurnState.ROLLING_OUT:
        rollout = msgspec.structs.replace(loop.rollout, name=loop.model, candidate=turn.version)
        return OrderRollout(
            plan=rollout, author=author, id=identity.rollout_id(turn.id), turn=turn.id, tenant=loop.tenant
        )
    raise ValueError(f"{turn.id} has ended")


def answered(turn: Turn, answer: Answer, now_ms: int) -> Turn:
    """The turn after what it ordered says how far it is; the same turn where there is nothing to do but wait."""
    if isinstance(answer, DatasetJob):
        return _after_build(msgspec.structs.replace(turn, dataset_job=answer.id), answer, now_ms)
    if isinstance(answer, Job):
        return _after_training(msgspec.structs.replace(turn, job=answer.id), answer, now_ms)
    return _after_rollout(msgspec.structs.replace(turn, rollout=answer.id), answer, now_ms)


def refused(turn: Turn, error: ServiceError, now_ms: int) -> Turn:
    """The turn after its order was not taken: failed for good, or as it was where another try can help."""
    if waits(turn, error):
        return msgspec.structs.replace(turn, reason=_short(f"waits: {error.message}"))
    return _to(turn, TurnState.FAILED, now_ms, f"{error.code}: {error.message}")


def waits(turn: Turn, error: ServiceError) -> bool:
    """Whether an order that was not taken is to be given again: somebody is away, or a name is being rolled out."""
    if error.spec.retryable or error.code in _UNSURE:
        return True
    return error.code == "conflict" and turn.state is TurnState.ROLLING_OUT


def overdue(turn: Turn, now_ms: int) -> bool:
    """Whether the turn has used up its time."""
    return now_ms - turn.began_ms > turn.declared.budget.turn_s * 1_000


def cancelled(turn: Turn, why: str, now_ms: int) -> Turn:
    """The turn after what it ordered was called off."""
    return _to(turn, TurnState.CANCELLED, now_ms, why)


def _after_build(turn: Turn, build: DatasetJob, now_ms: int) -> Turn:
    if build.state == "succeeded":
        return _to(turn, TurnState.TRAINING, now_ms, "a version is made and measured", dataset=build.reference)
    if build.state == "failed":
        return _to(turn, TurnState.FAILED, now_ms, f"its data set could not be built: {build.error}")
    if build.state == "cancelled":
        return cancelled(turn, "the build of its data set was cancelled", now_ms)
    return _still(turn, "its data set is built")


def _after_training(turn: Turn, job: Job, now_ms: int) -> Turn:
    made = {"version": job.version, "report": job.report}
    if job.state is JobState.FAILED:
        return _to(turn, TurnState.FAILED, now_ms, f"its training failed: {job.error_code}: {job.error}", **made)
    if job.state is JobState.CANCELLED:
        return _to(turn, TurnState.CANCELLED, now_ms, "its training was cancelled", **made)
    if job.state is not JobState.SUCCEEDED:
        return _still(turn, "a version is made and measured")
    if job.verdict is None or not job.version:
        return _to(turn, TurnState.FAILED, now_ms, "its training ended without a version or a verdict", **made)
    if not job.verdict.passed:
        reason = f"the gate did not let it pass: {job.verdict.reason or job.verdict.outcome.value}"
        return _to(turn, TurnState.HELD_BACK, now_ms, reason, **made)
    return _to(turn, TurnState.ROLLING_OUT, now_ms, "it is being rolled out", **made)


def _after_rollout(turn: Turn, rollout: Rollout, now_ms: int) -> Turn:
    if rollout.state is RolloutState.PROMOTED:
        return _to(turn, TurnState.PROMOTED, now_ms, rollout.reason or "it is the champion")
    if rollout.state in _TAKEN_BACK:
        return _to(turn, TurnState.TAKEN_BACK, now_ms, rollout.reason or f"its rollout is {rollout.state.value}")
    return _still(turn, "it is being rolled out")


def _still(turn: Turn, reason: str) -> Turn:
    return msgspec.structs.replace(turn, reason=reason)


def _to(turn: Turn, state: TurnState, now_ms: int, reason: str, **more: str) -> Turn:
    return msgspec.structs.replace(turn, state=state, changed_ms=now_ms, reason=_short(reason), **more)


def _short(reason: str) -> str:
    return reason.replace("\0", "")[:_MOST_REASON]
