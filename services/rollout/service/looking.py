"""Looking at rollouts."""

from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import FindRollouts, RolloutPage
from libs.kit.errors import ServiceError
from services.rollout.ground import Ground
from services.rollout.repository import rollouts

_MOST: Final = 200
_MOST_ID: Final = 80


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
            rollouts=tuple(rollouts.rollout_of(row) for row in shown),
            next=str(shown[-1].sequence) if len(rows) > request.limit else "",
        )


async def found(connection: AsyncConnection, rollout_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of a rollout.

    Raises:
        ServiceError: `not_found`.
    """
    row = await rollouts.find(connection, rollout_id, lock=lock) if "\0" not in rollout_id else None
    if row is None:
        raise ServiceError("not_found", f"There is no rollout {rollout_id[:_MOST_ID]!r}.", param="id")
    return row
