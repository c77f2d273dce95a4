"""One look at every rollout that is not settled: the world is made as its state wants it, one step at a time.

What a step does outside the database is a compare-and-swap; what it writes is fenced by the epoch and by the state it
has seen. So a step that was killed anywhere is done again without doing anything twice.
"""

from typing import Any, Final

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.rollouts import ROLLOUT_ENDED, ROLLOUT_TRANSITIONS, RolloutState
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.leader import LostError
from services.rollout.domain.evidence import Evidence
from services.rollout.ground import Ground
from services.rollout.metrics import decided
from services.rollout.repository import evidence, rollouts
from services.rollout.running.steps import Scene, Then, step_for
from services.rollout.service.aliases import Aliases

log = structlog.get_logger(__name__)

_REST: Final = 9
"""After a look, so many times as long as it took, so that looking never takes more than a tenth of the time."""


class Carrying:
    """Carries rollouts on while this process leads."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._aliases = Aliases(ground.registry)
        self._trouble: dict[str, str] = {}
        """Code of the last fault of each rollout, so that a lasting one is told once."""
        self._not_before_s: dict[str, float] = {}
        """When a rollout with much evidence may be looked at again."""

    async def look(self) -> int:
        """Take a step with each rollout that has one to take; how many did.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        if not self._ground.leader.leads:
            return 0
        async with self._ground.database.begin() as connection:
            rows = await rollouts.unsettled(connection)
        self._trouble = {row.id: self._trouble.get(row.id, "") for row in rows}
        self._not_before_s = {row.id: self._not_before_s.get(row.id, 0.0) for row in rows}
        running = {row.name for row in rows if RolloutState(row.state) not in ROLLOUT_ENDED}
        return sum([await self._carry(row, is_succeeded=row.name in running) for row in rows])

    async def _carry(self, row: Row[Any], *, is_succeeded: bool) -> int:
        """One rollout; what keeps it from going on does not keep the others."""
        if not self._ground.leader.leads or clock.monotonic_s() < self._not_before_s.get(row.id, 0.0):
            return 0
        scene = Scene(row, self._aliases, self._ground.registry, is_succeeded=is_succeeded)
        try:
            changed = await self._write(row, await self._step(scene))
        except LostError as error:
            log.warning("another process leads", rollout=row.id, reason=str(error))
            return 0
        except ServiceError as error:
            if error.code == "storage_unavailable":
                raise
            if self._trouble[row.id] != error.code:
                log.warning("rollout waits", rollout=row.id, code=error.code, reason=error.message)
            self._trouble[row.id] = error.code
            return 0
        except Exception:
            # It is looked at again; until somebody has read this, the others go on.
            log.exception("rollout's step failed", rollout=row.id, state=row.state)
            return 0
        self._trouble[row.id] = ""
        return int(changed)

    async def _step(self, scene: Scene) -> Then:
        try:
            return await step_for(scene.state)(scene, self._look_at)
        except ServiceError as error:
            # Who may be aborted is, for a version that was retired does not come back.
            if error.code == "version_not_found" and RolloutState.ABORTED in ROLLOUT_TRANSITIONS[scene.state]:
                return Then(RolloutState.ABORTED, error.message)
            raise

    async def _look_at(self, scene: Scene) -> Evidence:
        row, plan = scene.row, scene.plan
        began_s = clock.monotonic_s()
        async with self._ground.database.begin() as connection:
            await evidence.calibrate(connection, row.id, plan, row.step)
            found = await evidence.gather(connection, row.id, plan, row.step)
        now_s = clock.monotonic_s()
        self._not_before_s[row.id] = now_s + _REST * (now_s - began_s)
        return found

    async def _write(self, row: Row[Any], then: Then) -> bool:
        if then.to is None and not then.settled:
            return False
        async with self._ground.database.begin() as connection:
            await self._ground.leader.fence(connection)
            now = await rollouts.find(connection, row.id, lock=True)
            if now is None or (now.state, now.step) != (row.state, row.step):
                # A person was faster; the next look sees what they want.
                return True
            await _put(connection, now, then)
        decided(then.decision)
        self._ground.changed()
        return True


async def _put(connection: AsyncConnection, row: Row[Any], then: Then) -> None:
    if then.to is None:
        await rollouts.settled(connection, row.id)
        return
    values: dict[str, Any] = {} if then.step is None else {"step": then.step, "step_began_ms": clock.unix_ms()}
    changed = await rollouts.put(connection, row, then.to, reason=then.reason, decision=then.decision, **values)
    log.info("rollout changed", id=row.id, state=changed.state, step=changed.step, reason=then.reason)
