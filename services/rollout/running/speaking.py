"""Tells gateways how to divide requests: each second, and at once when something changed."""

import msgspec

from libs.contracts import subjects
from libs.contracts.rollouts import RolloutState, Split, Splits
from libs.contracts.versions import short_reference
from libs.kit.bus import BusClient
from services.rollout.domain.machine import split_of
from services.rollout.ground import Ground
from services.rollout.repository import rollouts


class Speaking:
    """Speaks only while this process leads, under its epoch; who does not speak is soon not heeded any more."""

    def __init__(self, ground: Ground, bus: BusClient) -> None:
        self._ground = ground
        self._bus = bus
        self._epoch = 0
        self._sequence = 0

    async def speak(self) -> int:
        """Say every split once; always 0, for there is nothing left to do at once.

        Raises:
            ServiceError: `storage_unavailable`.
            BusError: the bus did not take it.
        """
        leader = self._ground.leader
        if not leader.leads:
            return 0
        epoch = leader.epoch
        splits = await self._splits()
        if not leader.leads or leader.epoch != epoch:
            return 0
        if epoch != self._epoch:
            self._epoch, self._sequence = epoch, 0
        self._sequence += 1
        self._bus.publish(
            subjects.SPLITS, msgspec.json.encode(Splits(epoch=epoch, sequence=self._sequence, splits=splits))
        )
        return 0

    async def _splits(self) -> tuple[Split, ...]:
        async with self._ground.database.begin() as connection:
            rows = await rollouts.unsettled(connection)
        found = (
            split_of(
                row.id,
                RolloutState(row.state),
                row.step,
                rollouts.plan_of(row),
                candidate=short_reference(row.name, row.candidate),
                baseline=short_reference(row.name, row.baseline),
            )
            for row in rows
            # Its last good version may have been unloaded long ago.
            if not row.settled
        )
        return tuple(split for split in found if split is not None)
