"""Says what was accepted, joined for each gateway and scheduler, and only then starts it."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts.inference import FrameMeta, Handover
from libs.contracts.subjects import split_scheduler_reply
from libs.kit.bus import BusClient, BusError
from services.inference.bundles import Bundler
from services.inference.execution import Execution

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode
_ACCEPTED: Final = _encode(Handover(accepted=True))


class Acceptances:
    """What one loop tick has accepted: the gateways hear it first, then the schedulers, then it begins."""

    def __init__(self, bus: BusClient) -> None:
        self._bus = bus
        self._bundler = Bundler(bus)
        self._accepted: list[tuple[Execution | None, str]] = []

    def add(self, execution: Execution, meta: FrameMeta, reply: str) -> None:
        """Say at the end of this tick that `execution` is accepted, in answer to `reply`, and start it.

        Without a `reply` only its gateway is told.
        """
        execution.accept(self._bundler, meta)
        self._remember(execution, reply)

    def repeat(self, reply: str) -> None:
        """Say once more that an offer was accepted; it runs already."""
        self._remember(None, reply)

    def _remember(self, execution: Execution | None, reply: str) -> None:
        if not self._accepted:
            asyncio.get_running_loop().call_soon(self._tell)
        self._accepted.append((execution, reply))

    def _tell(self) -> None:
        accepted, self._accepted = self._accepted, []
        lost = self._bundler.send()
        for sender in lost:
            sender.lose()
        self._answer([reply for execution, reply in accepted if reply and (execution is None or execution not in lost)])
        # What kills this process must be known to be here before it begins.
        self._bus.write_now()
        for execution, _ in accepted:
            if execution is not None:
                execution.start()

    def _answer(self, replies: list[str]) -> None:
        try:
            for reply, also in _joined(replies):
                payload = _encode(Handover(accepted=True, also=also)) if also else _ACCEPTED
                self._bus.publish(reply, payload)
        except BusError as error:
            # The next beat names what runs, which tells the schedulers as well.
            log.warning("answers lost", error=str(error), count=len(replies))


def _joined(replies: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Where to say it: one reply of each scheduler, with the tokens of its other ones."""
    alone: list[str] = []
    tokens: dict[str, list[str]] = {}
    for reply in replies:
        scheduler, token = split_scheduler_reply(reply)
        if token:
            tokens.setdefault(scheduler, [reply]).append(token)
        else:
            alone.append(reply)
    # The first token is that of the reply itself.
    return [(reply, ()) for reply in alone] + [(first[0], tuple(first[2:])) for first in tokens.values()]
