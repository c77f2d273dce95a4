"""Where gateways' own calls come in: every process hears them, and only the one that leads answers."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.identity import LEASING
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.leader import LostError
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.identity.ground import Ground
from services.identity.limits.granting import Granting

log = structlog.get_logger(__name__)

_RENEWALS: Final = 5
"""Of the lead, in its length."""
_TIDY_S: Final = 30.0
_DESK: Final = Desk(name="identity", contract=LEASING, subject=subjects.identity_call)


class LeasingDesk:
    """Limits' part of an identity process."""

    def __init__(self, ground: Ground, bus: BusClient) -> None:
        self._bus = bus
        self._granting = Granting(ground.database, ground.instance, lease_s=ground.settings.lead_s)
        self._calls: set[asyncio.Task[None]] = set()
        self._rounds = (
            Rounds("lead", self._granting.lead, pause_s=ground.settings.lead_s / _RENEWALS),
            Rounds("tidy limits", self._tidy, pause_s=_TIDY_S),
        )

    def start(self) -> None:
        """Listen, and lead if nobody does."""
        operations: dict[str, Operation] = {
            "lease": self._granting.lease,
            "usage_record": self._granting.record,
        }
        for name, operation in operations.items():
            self._bus.subscribe(subjects.identity_call(name), self._handler(name, operation))
        for rounds in self._rounds:
            rounds.start()

    async def stop(self) -> None:
        """Answer the calls that run, then give the lead away."""
        for rounds in self._rounds:
            await rounds.stop()
        await asyncio.gather(*self._calls)
        await self._granting.resign()

    async def _tidy(self) -> int:
        try:
            return await self._granting.tidy()
        except LostError:
            # Whoever leads tidies.
            return 0

    def _handler(self, name: str, operation: Operation) -> Callable[[Message], None]:
        decode = msgspec.json.Decoder(LEASING[name][0]).decode

        async def answer(message: Message) -> None:
            reply = await _DESK.answer(name, decode, operation, message.payload)
            try:
                self._bus.publish(message.reply, reply)
            except BusError as error:
                log.warning("a gateway's call is not answered", operation=name, reason=str(error))

        def hear(message: Message) -> None:
            if not self._granting.leads or not message.reply:
                return
            task = asyncio.create_task(answer(message), name=f"identity-{name}")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

        return hear
