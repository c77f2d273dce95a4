"""Watches the bus as an operator may: which workers live, what they run, which requests ended how."""

from types import TracebackType
from typing import Self

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted, WorkerBeat
from libs.testkit.nats_server import NatsServer


class Observer:
    """Collects beats and completed events from the moment it is entered."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._client: Client | None = None
        self.beats: dict[str, WorkerBeat] = {}
        self.completed: list[RequestCompleted] = []

    async def __aenter__(self) -> Self:
        self._client = await nats.connect(
            f"nats://{self._server.host}:{self._server.port}",
            user="provisioner",
            password=self._server.passwords["provisioner"],
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
        )
        await self._client.subscribe(subjects.ALL_BEATS, cb=self._on_beat)
        await self._client.subscribe(subjects.COMPLETED, cb=self._on_completed)
        await self._client.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def running(self) -> int:
        """Executions that the workers said they run, in their latest beats."""
        return sum(len(beat.running) for beat in self.beats.values() if beat.state != "stopped")

    async def ask_for_beats(self) -> None:
        """Have every worker beat at once instead of within a second."""
        if self._client is not None:
            await self._client.publish(subjects.REPORT)
            await self._client.flush()

    async def _on_beat(self, message: Msg) -> None:
        beat = msgspec.json.decode(message.data, type=WorkerBeat)
        self.beats[beat.name] = beat

    async def _on_completed(self, message: Msg) -> None:
        self.completed.append(msgspec.json.decode(message.data, type=RequestCompleted))
