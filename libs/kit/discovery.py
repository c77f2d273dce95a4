"""How a process says that it is there, what it lacks, and what has come of its calls (NATS service protocol, ADR-32).

`nats micro ls|info|stats` and gateways read it. Of what is asked only the subject is looked at.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.discovery import EndpointInfo, EndpointStats, InfoAnswer, PingAnswer, StatsAnswer, Verb, heard_by
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.health import Health
from libs.kit.tally import Tally
from libs.kit.version import VERSION

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100
"""Questions that are being answered; who asks more hears nothing, and may ask again."""
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class _Endpoint:
    """One subject on which the process is asked to do something."""

    name: str
    subject: str
    queue_group: str
    tally: Tally

    def info(self) -> EndpointInfo:
        return EndpointInfo(name=self.name, subject=self.subject, queue_group=self.queue_group)

    def stats(self) -> EndpointStats:
        tally = self.tally
        busy_ns = int(tally.busy_s * _NS_PER_S)
        return EndpointStats(
            name=self.name,
            subject=self.subject,
            queue_group=self.queue_group,
            num_requests=tally.requests,
            num_errors=sum(tally.errors.values()),
            last_error=tally.last_error,
            processing_time=busy_ns,
            average_processing_time=busy_ns // tally.requests if tally.requests else 0,
            data={"errors": tally.errors},
        )


class Discovery:
    """One process, as it shows itself to whoever may ask."""

    def __init__(self, service: str, instance: str, health: Health) -> None:
        """Prepare; nothing is heard before `listen`."""
        self._service = service
        self._instance = instance
        self._health = health
        self._started = clock.rfc3339(clock.unix_ms())
        self._offers: list[tuple[Callable[[str], str], Mapping[str, Tally], str]] = []
        self._answering: set[asyncio.Task[None]] = set()

    def offer(self, subject: Callable[[str], str], tallies: Mapping[str, Tally], *, queue_group: str = "") -> None:
        """Show these operations, each at its subject, with what has come of its calls by the time somebody asks."""
        self._offers.append((subject, tallies, queue_group))

    def listen(self, bus: BusClient) -> None:
        """Answer on this connection for as long as it is there."""
        for subject in heard_by(self._service, self._instance):
            bus.subscribe(subject, lambda message: self._hear(bus, message))

    def _hear(self, bus: BusClient, message: Message) -> None:
        if not message.reply or len(self._answering) >= _AT_ONCE:
            return
        task = asyncio.create_task(self._reply(bus, message), name="discovery")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _reply(self, bus: BusClient, message: Message) -> None:
        answer = await self._answer(subjects.discovery_verb(message.subject))
        if answer is None:
            return
        try:
            bus.publish(message.reply, answer)
        except BusError as error:
            log.warning("who asked is not told", reason=str(error))

    async def _answer(self, verb: str) -> bytes | None:
        """What is said; None where the protocol knows no such question."""
        if verb == Verb.PING:
            return msgspec.json.encode(
                PingAnswer(name=self._service, id=self._instance, version=VERSION, metadata=self._constant())
            )
        if verb == Verb.INFO:
            return msgspec.json.encode(await self._info())
        if verb == Verb.STATS:
            return msgspec.json.encode(await self._stats())
        return None

    async def _info(self) -> InfoAnswer:
        return InfoAnswer(
            name=self._service,
            id=self._instance,
            version=VERSION,
            description=f"llmos {self._service}",
            metadata=await self._state(),
            endpoints=tuple(endpoint.info() for endpoint in self._endpoints()),
        )

    async def _stats(self) -> StatsAnswer:
        return StatsAnswer(
            name=self._service,
            id=self._instance,
            version=VERSION,
            started=self._started,
            metadata=await self._state(),
            endpoints=tuple(endpoint.stats() for endpoint in self._endpoints()),
        )

    def _endpoints(self) -> Iterator[_Endpoint]:
        for subject, tallies, queue_group in self._offers:
            for name, tally in tallies.items():
                yield _Endpoint(name=name, subject=subject(name), queue_group=queue_group, tally=tally)

    def _constant(self) -> dict[str, str]:
        # The protocol has only texts here.
        return {"pid": str(os.getpid()), "depends": ",".join(self._health.depends)}

    async def _state(self) -> dict[str, str]:
        found = await self._health.look()
        return {**self._constant(), "lacks": ",".join(found.missing), "degraded": ",".join(found.degraded)}
