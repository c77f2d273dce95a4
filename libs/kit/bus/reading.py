"""Reads a stream by number, in batches, without any state in the server (JetStream batched direct get, NATS ADR-31)."""

import asyncio
import itertools
import json
from typing import Any, Final, NamedTuple

from libs.kit.bus.client import BusClient
from libs.kit.bus.errors import BusError, BusTimeoutError, BusUnavailableError
from libs.kit.bus.headers import header_value, status_of
from libs.kit.bus.parser import Message
from libs.kit.waiting import set_within

_TIMEOUT_S: Final = 5.0
_END_OF_BATCH: Final = 204
_NOTHING: Final = 404
_SEQUENCE: Final = b"Nats-Sequence"
_SUBJECT: Final = b"Nats-Subject"
_MORE: Final = b"\r\nNats-Num-Pending:"


class Stored(NamedTuple):
    """One stored message."""

    sequence: int
    """Its number in the stream."""
    subject: str
    headers: bytes
    payload: bytes


class _Answer:
    """What has come of one question."""

    def __init__(self) -> None:
        self.found: list[Stored] = []
        self.status = 0
        self.why = ""
        self.over = asyncio.Event()


class StreamReader:
    """Asks for what is stored after a number; whoever keeps the number misses nothing and gets nothing twice."""

    def __init__(self, bus: BusClient, *, get: str, inbox: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Prepare.

        Args:
            bus: the connection that carries it.
            get: where the server is asked for messages of the stream.
            inbox: a subject prefix that the bus user may listen on.
            timeout_s: how long one answer may take.
        """
        self._bus = bus
        self._get = get
        self._inbox = inbox
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._asked: dict[str, _Answer] = {}

    def start(self) -> None:
        """Listen for answers."""
        self._bus.subscribe(f"{self._inbox}.*", self._on_message)

    async def after(self, sequence: int, subject: str, *, limit: int = 256, max_bytes: int = 1 << 20) -> list[Stored]:
        """Messages on `subject`, a pattern, whose number is larger than `sequence`, oldest first, `limit` at most.

        Raises:
            BusError: the server did not answer.
        """
        wanted = {"seq": sequence + 1, "next_by_subj": subject, "batch": limit, "max_bytes": max_bytes}
        return await self._ask(wanted)

    async def since(self, time: str, subject: str, *, limit: int = 256) -> list[Stored]:
        """Messages on `subject` that were stored at `time` (RFC 3339) or later, oldest first, `limit` at most.

        Raises:
            BusError: the server did not answer.
        """
        return await self._ask({"start_time": time, "next_by_subj": subject, "batch": limit})

    async def first(self, subject: str) -> int:
        """The number of the oldest message on `subject` that is still there; 0 if there is none.

        Raises:
            BusError: the server did not answer.
        """
        found = await self.after(0, subject, limit=1)
        return found[0].sequence if found else 0

    async def last(self, subject: str) -> int:
        """The number of the newest message on `subject`; 0 if there is none.

        Raises:
            BusError: the server did not answer.
        """
        found = await self._ask({"last_by_subj": subject})
        return found[0].sequence if found else 0

    async def _ask(self, wanted: dict[str, Any]) -> list[Stored]:
        if not self._bus.connected:
            raise BusUnavailableError(self._bus.last_error or "not connected")
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer = self._asked[reply] = _Answer()
        try:
            self._bus.publish(self._get, json.dumps(wanted).encode(), reply=reply)
            if not await set_within(answer.over, self._timeout_s):
                raise BusTimeoutError(f"no whole answer on {self._get} within {self._timeout_s} s")
        finally:
            del self._asked[reply]
        if answer.status not in (_END_OF_BATCH, _NOTHING):
            raise BusError(f"{self._get} answered {answer.status}: {answer.why}")
        return answer.found

    def _on_message(self, message: Message) -> None:
        answer = self._asked.get(message.subject)
        if answer is None:
            return
        status = status_of(message.headers)
        if status:
            answer.status, answer.why = status, message.headers[:200].decode(errors="replace")
            answer.over.set()
            return
        sequence = header_value(message.headers, _SEQUENCE) or b"0"
        subject = header_value(message.headers, _SUBJECT) or b""
        answer.found.append(Stored(int(sequence), subject.decode(), message.headers, message.payload))
        if _MORE not in message.headers:
            # The answer to a question for one message, which nothing follows.
            answer.status = _END_OF_BATCH
            answer.over.set()
