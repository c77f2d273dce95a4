"""Looking at rollouts."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import (
    Decision,
    FindRollouts,
    Rollout,
    RolloutPage,
    RolloutRef,
    RolloutState,
    RolloutStatus,
)
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.rollout.domain.deciding import decide, stand_by, told, watch
from services.rollout.domain.evidence import questions
from services.rollout.ground import Ground
from services.rollout.repository import evidence, rollouts

_MOST: Final = 200
_MOST_ID: Final = 80
_LOOKED_AT: Final = frozenset({RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.WATCHING})


class Looking:
    """Lists rollouts and shows one."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def list(self, request: FindRollouts) -> RolloutPage:
        """Rollouts, newest first.

        Raises:
            ServiceError: `invalid_value`, `storage_unavailable`.
        """
        if not 1 <= request.limit <= _MOST:
            raise ServiceError("invalid_value", f"limit must be from 1 to {_MOST}.", param="limit")
        if request.before and not (request.before.isascii() and request.before.isdigit() and len(request.before) < 19):
            raise ServiceError("invalid_value", "before must be `next` of another page.", param="before")
        if "\0" in request.name:
            return RolloutPage(())
        async with self._ground.database.begin() as connection:
            rows = await rollouts.page(connection, request, int(request.before) if request.before else None)
        shown = rows[: request.limit]
        return RolloutPage(
            rollouts=tuple(_short(rollouts.rollout_of(row)) for row in shown),
            next=str(shown[-1].sequence) if len(rows) > request.limit else "",
        )

    async def show(self, request: RolloutRef) -> RolloutStatus:
        """One rollout, what one look would say of it, and its history.

        Raises:
            ServiceError: `not_found`, `storage_unavailable`.
        """
        async with self._ground.database.begin() as connection:
            row = await found(connection, request.id, request.tenant)
            return RolloutStatus(
                rollout=rollouts.rollout_of(row),
                now=await _now(connection, row),
                history=await rollouts.history(connection, row.id),
                agreement=await evidence.agreement(connection, row.id),
            )


def _short(rollout: Rollout) -> Rollout:
    """Without the numbers of its decision, so that many fit into a message."""
    if rollout.decision is None:
        return rollout
    return msgspec.structs.replace(rollout, decision=msgspec.structs.replace(rollout.decision, findings=()))


async def _now(connection: AsyncConnection, row: Row[Any]) -> Decision | None:
    """What one look would come to, with its numbers; None where nothing is looked at."""
    state, plan = RolloutState(row.state), rollouts.plan_of(row)
    if state not in _LOOKED_AT:
        return None
    counted = await evidence.gather(connection, row.id, plan, row.step)
    age_s = max(0, clock.unix_ms() - row.step_began_ms) / 1_000
    if state is RolloutState.WATCHING:
        decision = watch(plan, age_s, counted)
    elif state is RolloutState.PAUSED:
        decision = stand_by(plan, row.step, age_s, counted)
    else:
        decision = decide(plan, row.step, age_s, counted)
    return msgspec.structs.replace(decision, findings=told(questions(plan, counted)))


async def found(connection: AsyncConnection, rollout_id: str, tenant: str = "", *, lock: bool = False) -> Row[Any]:
    """The row of a rollout, if it is `tenant`'s or the platform (empty) asks.

    Raises:
        ServiceError: `not_found`.
    """
    row = await rollouts.find(connection, rollout_id, lock=lock) if "\0" not in rollout_id else None
    if row is None or tenant not in ("", row.tenant):
        raise ServiceError("not_found", f"There is no rollout {rollout_id[:_MOST_ID]!r}.", param="id")
    return row
