"""Asks the bus how our services are: the beats of the workers, and whether those that take calls answer."""

from dataclasses import dataclass
from typing import Final

import msgspec

from deploy.local.home import Home
from deploy.local.ports import HOST
from libs.contracts import subjects
from libs.contracts.calls import Reply
from libs.contracts.inference import WorkerBeat, WorkerState
from libs.kit.bus import BusClient, BusError, BusOptions, Message
from libs.kit.clock import monotonic_s

_USER: Final = "provisioner"
_INBOX: Final = "_INBOX"
"""Where that user may be answered."""
_ANSWER_TIMEOUT_S: Final = 2.0


class Fleet:
    """The last beat of each worker, by name; connects to the bus when it is first asked."""

    def __init__(self, home: Home, port: int) -> None:
        self._home = home
        self._port = port
        self._client: BusClient | None = None
        self._ready_at_s: dict[str, float] = {}

    async def is_ready(self, name: str, *, since_s: float) -> bool:
        """Whether the worker called `name` has said since then that it takes work."""
        if self._client is None:
            self._client = await self._listen()
        heard_s = self._ready_at_s.get(name)
        return heard_s is not None and heard_s > since_s

    async def answers(self, subject: str, question: msgspec.Struct) -> bool:
        """Whether a call is answered with a result."""
        if self._client is None:
            self._client = await self._listen()
        try:
            answer = await self._client.request(subject, msgspec.json.encode(question), timeout_s=_ANSWER_TIMEOUT_S)
        except BusError:
            return False
        return msgspec.json.decode(answer.payload, type=Reply).error is None

    async def _listen(self) -> BusClient:
        password = self._home.secret(f"nats_{_USER}")
        options = BusOptions(
            host=HOST, port=self._port, name="supervisor", user=_USER, password=password, inbox_prefix=_INBOX
        )
        client = BusClient(options)
        client.subscribe(subjects.ALL_BEATS, self._hear)
        await client.connect_when_possible()
        return client

    def _hear(self, message: Message) -> None:
        beat = msgspec.json.decode(message.payload, type=WorkerBeat)
        if beat.state is WorkerState.READY:
            self._ready_at_s[beat.name] = monotonic_s()
        else:
            self._ready_at_s.pop(beat.name, None)


@dataclass(frozen=True)
class WorkerReady:
    """Ready when the worker says so itself."""

    fleet: Fleet
    worker: str

    async def __call__(self, since_s: float) -> bool:
        """Ask once."""
        return await self.fleet.is_ready(self.worker, since_s=since_s)


@dataclass(frozen=True)
class CallReady:
    """Ready when it answers a call."""

    fleet: Fleet
    subject: str
    question: msgspec.Struct

    async def __call__(self, _: float) -> bool:
        """Ask once."""
        return await self.fleet.answers(self.subject, self.question)
