"""Calling a turn off: first what it has ordered, then the turn itself, so that nothing is left running."""

from typing import Final

import msgspec
import structlog

from libs.contracts.datasets import JobId
from libs.contracts.rollouts import (
    ROLLOUT_ENDED,
    Rollout,
    RolloutRef,
    RolloutState,
    RolloutStatus,
    SteerRollout,
    Turn,
    TurnState,
)
from libs.contracts.training import JobRef
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.rollout.loops import identity, turning
from services.rollout.loops.others import Others

log = structlog.get_logger(__name__)

_GONE: Final = frozenset({"not_found", "job_not_found"})
"""It was never ordered."""


class CallingOff:
    """One step of it; doing it again does no harm."""

    def __init__(self, others: Others) -> None:
        self._others = others

    async def step(self, turn: Turn, why: str) -> Turn:
        """The turn as it is after this try: cancelled, ended otherwise, or still to be called off."""
        try:
            if turn.state is TurnState.ROLLING_OUT:
                return await self._rollout(turn, why)
            await self._work(turn)
        except ServiceError as error:
            if error.code in _GONE:
                return turning.cancelled(turn, why, clock.unix_ms())
            if turning.waits(turn, error):
                return msgspec.structs.replace(turn, reason=f"is to be called off ({why}), waits: {error.message}")
            if error.code != "conflict":
                log.warning("could not be called off", turn=turn.id, code=error.code, reason=error.message)
        return turning.cancelled(turn, why, clock.unix_ms())

    async def _work(self, turn: Turn) -> None:
        """What has ended already, or cannot be stopped any more, is `conflict`; nobody waits for it."""
        if turn.state is TurnState.SELECTING:
            await self._others.feedback.call("dataset_cancel", JobId(identity.dataset_job_id(turn.id)))
        else:
            await self._others.trainer.call("job_cancel", JobRef(identity.training_id(turn.id)))

    async def _rollout(self, turn: Turn, why: str) -> Turn:
        ident = identity.rollout_id(turn.id)
        steer = SteerRollout(id=ident, author=f"loop {turn.loop}", reason=why)
        try:
            rollout: Rollout = await self._others.rollouts.call("rollout_abort", steer)
        except ServiceError as error:
            if error.code != "conflict":
                raise
            status: RolloutStatus = await self._others.rollouts.call("rollout_show", RolloutRef(ident))
            rollout = status.rollout
        if rollout.state is RolloutState.PROMOTED:
            return turning.answered(turn, rollout, clock.unix_ms())
        if rollout.state in ROLLOUT_ENDED:
            return turning.cancelled(turn, why, clock.unix_ms())
        # An alias is on its way, or is watched: that ends by itself, and is not to be cut in two.
        reason = f"is to be called off ({why}); its rollout is {rollout.state.value} and ends first"
        return msgspec.structs.replace(turn, reason=reason)
