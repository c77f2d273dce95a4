"""Asking on the bus who is there.

Each service is asked under its own name, which only its own processes may hear: none can answer for another.
"""

import asyncio
from datetime import datetime
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.discovery import (
    SERVICES,
    Answer,
    EndpointState,
    EndpointStats,
    InstanceState,
    PingAnswer,
    ServiceList,
    ServiceState,
    StatsAnswer,
    Verb,
)
from libs.kit import clock
from libs.kit.bus import BusClient, BusUnavailableError, Message, status_of
from libs.kit.bus.client import NO_RESPONDERS
from libs.kit.errors import ServiceError
from libs.kit.waiting import set_within

log = structlog.get_logger(__name__)

_LIMIT_S: Final = 5.0
"""Longer than a process looks for what it lacks."""
_QUIET_S: Final = 0.4
"""Nobody knows how many there are: those that are still silent so long after another one are taken for not there."""
_MOST: Final = 1_000
"""Processes of one service; more are a fault of somebody."""
_QUESTIONS: Final = (Verb.PING, Verb.STATS)
"""The first is answered at once, and tells for whose answer to the second one to wait."""
_NS_PER_MS: Final = 1_000_000
_MAX_PID_DIGITS: Final = 10

_decode: Final = msgspec.json.Decoder(Answer).decode


class RollCall:
    """Asks through one connection; answers come below its `inbox`, on which its bus user may listen."""

    def __init__(self, bus: BusClient, inbox: str, *, limit_s: float = _LIMIT_S, quiet_s: float = _QUIET_S) -> None:
        self._bus = bus
        self._inbox = inbox
        self._limit_s = limit_s
        self._quiet_s = quiet_s

    async def find(self, service: str) -> None:
        """Return as soon as one process of `service` has answered.

        Raises:
            BusError: the bus is away, none listens, or none answers in time.
        """
        if not self._bus.connected:
            raise BusUnavailableError(self._bus.last_error or "not connected")
        await self._bus.request(subjects.discovery(Verb.PING, service), timeout_s=self._limit_s)

    async def call(self) -> ServiceList:
        """Every service, and every process of it that answers.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        return ServiceList(services=await self._hear(SERVICES))

    async def of(self, service: str) -> ServiceState:
        """One service, and every process of it that answers.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        (state,) = await self._hear((service,))
        return state

    async def _hear(self, services: tuple[str, ...]) -> tuple[ServiceState, ...]:
        if not self._bus.connected:
            raise ServiceError("bus_unavailable", "The bus is away at the moment; try again.", retry_after_s=1)
        news = asyncio.Event()
        heard = [_Hearing(service, news) for service in services]
        sids = [self._ask(hearing) for hearing in heard]
        try:
            deadline_s = clock.monotonic_s() + self._limit_s
            while clock.monotonic_s() < deadline_s and not all(one.is_over(self._quiet_s) for one in heard):
                news.clear()
                await set_within(news, self._quiet_s / 4)
        finally:
            for sid in sids:
                self._bus.unsubscribe(sid)
        return tuple(one.state() for one in heard)

    def _ask(self, hearing: "_Hearing") -> int:
        inbox = f"{self._inbox}.{clock.new_request_id()}"
        sid = self._bus.subscribe(inbox, hearing.hear)
        for verb in _QUESTIONS:
            self._bus.publish(subjects.discovery(verb, hearing.service), reply=inbox)
        return sid


class _Hearing:
    """What the processes of one service have answered."""

    def __init__(self, service: str, news: asyncio.Event) -> None:
        self.service = service
        self._news = news
        self._unheard = 0
        self._pings: dict[str, PingAnswer] = {}
        self._stats: dict[str, StatsAnswer] = {}
        self._heard_s = clock.monotonic_s()

    def is_over(self, quiet_s: float) -> bool:
        """Whether nobody is there, or everybody has said everything and nobody else has spoken for a while."""
        if self._unheard == len(_QUESTIONS):
            return True
        told = bool(self._stats) and self._pings.keys() <= self._stats.keys()
        return told and clock.monotonic_s() - self._heard_s >= quiet_s

    def hear(self, message: Message) -> None:
        """Take one answer; what cannot be read, or names another service, is logged and left."""
        self._news.set()
        if status_of(message.headers) == NO_RESPONDERS:
            self._unheard += 1
            return
        try:
            answer = _decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("not an answer", service=self.service, reason=str(error))
            return
        if answer.name != self.service or not subjects.is_token(answer.id) or len(self._pings) >= _MOST:
            log.error("an answer does not fit its question", service=self.service, name=answer.name[:64])
            return
        self._heard_s = clock.monotonic_s()
        if isinstance(answer, PingAnswer):
            self._pings[answer.id] = answer
        elif isinstance(answer, StatsAnswer):
            self._stats[answer.id] = answer

    def state(self) -> ServiceState:
        """What is known of them by now."""
        told = {name: _told(answer) for name, answer in self._stats.items()}
        silent = {name: _there(answer) for name, answer in self._pings.items() if name not in told}
        found = told | silent
        return ServiceState(name=self.service, instances=tuple(found[name] for name in sorted(found)))


def _there(answer: PingAnswer) -> InstanceState:
    """A process that has said no more than that it is there."""
    return InstanceState(
        id=answer.id,
        version=answer.version,
        pid=_pid(answer.metadata),
        depends=_names(answer.metadata, "depends"),
    )


def _told(answer: StatsAnswer) -> InstanceState:
    lacks = _names(answer.metadata, "lacks")
    return InstanceState(
        id=answer.id,
        version=answer.version,
        pid=_pid(answer.metadata),
        started_ms=_unix_ms(answer.started),
        ready=not lacks,
        lacks=lacks,
        degraded=_names(answer.metadata, "degraded"),
        depends=_names(answer.metadata, "depends"),
        endpoints=tuple(map(_endpoint, answer.endpoints)),
    )


def _endpoint(stats: EndpointStats) -> EndpointState:
    errors = stats.data.get("errors")
    counted = errors.items() if isinstance(errors, dict) else ()
    return EndpointState(
        name=stats.name,
        requests=stats.num_requests,
        errors={code: count for code, count in counted if isinstance(count, int)},
        last_error=stats.last_error,
        busy_ms=stats.processing_time // _NS_PER_MS,
    )


def _names(metadata: dict[str, str], key: str) -> tuple[str, ...]:
    return tuple(name for name in metadata.get(key, "").split(",") if name)


def _pid(metadata: dict[str, str]) -> int:
    pid = metadata.get("pid", "")
    return int(pid) if pid.isdecimal() and len(pid) <= _MAX_PID_DIGITS else 0


def _unix_ms(started: str) -> int:
    try:
        return int(datetime.fromisoformat(started).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return 0
