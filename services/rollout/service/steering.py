"""A person's word on a rollout: pause, resume, promote, abort, roll back."""

from functools import partial
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from libs.contracts.rollouts import Rollout, RolloutState, SteerRollout
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.serving import Operation
from services.rollout.domain.machine import wish
from services.rollout.ground import Ground
from services.rollout.repository import rollouts
from services.rollout.service.aliases import Aliases
from services.rollout.service.looking import found

_MOST_TEXT = 1_000


class Steering:
    """Changes what is wanted; the leading process makes the world so."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._aliases = Aliases(ground.registry)

    def operations(self) -> dict[str, Operation]:
        """One call per verb."""
        verbs = ("pause", "resume", "promote", "abort", "roll_back")
        return {f"rollout_{verb}": partial(self.steer, verb) for verb in verbs}

    async def steer(self, verb: str, request: SteerRollout) -> Rollout:
        """Do what a person wants; a repeat does nothing.

        Raises:
            ServiceError: `not_found`; `conflict`, it cannot be done in this state; or something is away.
        """
        if any("\0" in text or len(text) > _MOST_TEXT for text in (request.author, request.reason)):
            raise ServiceError("invalid_value", "Author and reason must be short text.", param="reason")
        async with self._ground.database.begin() as connection:
            row = await found(connection, request.id, request.tenant)
        if verb == "roll_back" and row.state == RolloutState.PROMOTED.value:
            await self._check_still_champion(row)
        try:
            async with self._ground.database.begin() as connection:
                row = await found(connection, request.id, request.tenant, lock=True)
                to = wish(row.id, RolloutState(row.state), verb)
                if to is not None:
                    values = _began(row, verb)
                    reason = request.reason or f"{request.author}: {verb.replace('_', ' ')}"
                    row = await rollouts.put(connection, row, to, author=request.author, reason=reason, **values)
        except IntegrityError as error:
            text = f"Another rollout runs on {row.name}; end it first."
            raise ServiceError("conflict", text, param="id") from error
        if to is not None:
            self._ground.changed()
        return rollouts.rollout_of(row)

    async def _check_still_champion(self, row: Row[Any]) -> None:
        alias = rollouts.plan_of(row).alias
        if (await self._aliases.of(row.name)).get(alias) != row.candidate:
            text = f"{row.name}@{alias} points somewhere else by now; there is nothing to roll back."
            raise ServiceError("conflict", text, param="id")


def _began(row: Row[Any], verb: str) -> dict[str, Any]:
    """After a pause a step goes on as old as it was when it was paused."""
    if verb != "resume":
        return {}
    paused_ms = max(0, clock.unix_ms() - row.changed_ms)
    return {"step_began_ms": row.step_began_ms + paused_ms}
