"""Where calls come in to a process that has the slim connection to the bus and no FastStream."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from libs.kit.answering import Answering, Operation
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.bus.traced import traceparent_of
from libs.kit.tally import Tally

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The calls of one service: what each takes and gives, and where it is asked."""

    service: str
    operations: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
    subject: Callable[[str], str]


class BusDesk:
    """Answers every operation of a contract, each call in a task of its own."""

    def __init__(self, bus: BusClient, contract: Contract, *, shared: bool = True) -> None:
        """Prepare; of several processes with a `shared` desk one hears each call, else each of them does."""
        self._bus = bus
        self._contract = contract
        self._queue = contract.service if shared else ""
        self._calls: set[asyncio.Task[None]] = set()
        self.tallies: dict[str, Tally] = {}
        """What has come of each operation's calls."""

    def listen(self, operations: Mapping[str, Operation], *, is_ours: Callable[[], bool] = lambda: True) -> None:
        """Answer with these functions; a call that comes while `is_ours()` is false is another process's.

        Raises:
            KeyError: an operation of the contract is missing.
        """
        for name, (request_type, _) in self._contract.operations.items():
            decode = msgspec.json.Decoder(request_type).decode
            answering = Answering(self._contract.service, name, decode, operations[name])
            self.tallies[name] = answering.tally
            self._bus.subscribe(self._contract.subject(name), self._hearer(answering, is_ours), queue=self._queue)

    async def stop(self) -> None:
        """Let the calls that run be answered."""
        await asyncio.gather(*self._calls)

    def _hearer(self, answering: Answering, is_ours: Callable[[], bool]) -> Callable[[Message], None]:
        def hear(message: Message) -> None:
            if not message.reply or not is_ours():
                return
            task = asyncio.create_task(self._answer(answering, message), name=f"call-{answering.name}")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

        return hear

    async def _answer(self, answering: Answering, message: Message) -> None:
        reply = await answering.answer(message.payload, traceparent_of(message))
        try:
            self._bus.publish(message.reply, reply)
        except BusError as error:
            log.warning("a call is not answered", operation=answering.name, reason=str(error))
