"""Hears calls on the bus and answers every one of them: a result, or a fault with one of our codes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from faststream.nats import NatsBroker, NatsMessage

from libs.kit.answering import Answering, Operation
from libs.kit.errors import ServiceError
from libs.kit.tally import Tally
from libs.kit.telemetry.traceparent import HEADER

__all__ = ["Calls", "Desk", "Operation"]

_AT_ONCE: Final = 32
"""Calls of one operation that one process answers at the same time."""


class Calls:
    """The calls that one process is answering."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        """What has come of each operation's calls."""
        self._running: set[asyncio.Future[msgspec.Struct]] = set()
        self._closing = False

    async def run(self, work: Awaitable[msgspec.Struct]) -> msgspec.Struct:
        """What `work` gives.

        Raises:
            ServiceError: its own, or `shutting_down` if it was broken off.
        """
        running = asyncio.ensure_future(work)
        self._running.add(running)
        try:
            return await running
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise ServiceError("shutting_down", "This process is being stopped; ask again.") from None
        finally:
            self._running.discard(running)

    def break_off(self) -> None:
        """End what still runs; those who wait hear it at once instead of nothing."""
        self._closing = True
        for running in self._running:
            running.cancel()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the calls of one service come in; its processes share them."""

    name: str
    contract: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
    """What every operation takes and gives."""
    subject: Callable[[str], str]

    def subscribe(self, broker: NatsBroker, operations: Mapping[str, Operation]) -> Calls:
        """Answer every operation of the contract with its function in `operations`; returns the calls that run.

        Raises:
            KeyError: one is missing.
        """
        calls = Calls()
        for operation, (request_type, _) in self.contract.items():
            decode = msgspec.json.Decoder(request_type).decode
            answering = Answering(self.name, operation, decode, _tracked(calls, operations[operation]))
            calls.tallies[operation] = answering.tally
            # Core requests: there is nothing to acknowledge and nothing comes twice.
            subscriber = broker.subscriber(
                self.subject(operation), queue=self.name, max_workers=_AT_ONCE, decoder=_as_it_is
            )
            subscriber(_handler(answering))
        return calls


def _handler(answering: Answering) -> Callable[[NatsMessage], Awaitable[bytes]]:
    async def handle(message: NatsMessage) -> bytes:
        return await answering.answer(message.body, message.headers.get(HEADER, ""))

    return handle


async def _as_it_is(message: NatsMessage) -> bytes:
    """Each operation decodes for itself; the library's own decoder gives deeply nested nonsense no answer."""
    return message.body


def _tracked(calls: Calls, operation: Operation) -> Operation:
    async def tracked(request: Any) -> msgspec.Struct:
        return await calls.run(operation(request))

    return tracked
