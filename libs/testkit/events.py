"""Events processes on real servers, in the test's own process or to be killed, and ways to say and to hear."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted
from libs.contracts.public_events import CloudEvent
from libs.contracts.topology import PUBLIC
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.events_client import BusEvents
from libs.kit.settings import PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.stores import PostgresServer
from libs.testkit.streams import stream_messages
from services.events.app import EventsService, build_app
from services.events.settings import Settings

PATIENCE_S: Final = 60.0
QUICK: Final = {
    "look_s": 0.05,
    "retry_s": 0.1,
    "start_timeout_s": 30.0,
    "hook_pause_s": 0.05,
    "hook_max_pause_s": 0.2,
    "hook_attempts": 3,
    "allow_private_addresses": True,
}
"""Settings under which a test need not wait."""


@dataclass
class EventsGround:
    """The servers that events processes stand on, with a database of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    database: PostgresSettings
    directory: Path
    series: str = field(default_factory=clock.new_event_id)
    """Part of every id, for a shared server recognises those of other tests."""

    def completed(self, number: int, tenant: str = "acme") -> RequestCompleted:
        """The end of one request of a tenant; the same number is the same event."""
        return RequestCompleted(
            id=f"{tenant}-{number}-{self.series}",
            time_ms=1_700_000_000_000 + number,
            request_id=f"{tenant}-{number}",
            client_request_id=f"c{number}",
            tenant=tenant,
            key_id="alice",
            route="/v1/chat/completions",
            model="helpdesk",
            outcome="ok",
            status=200,
        )

    def settings(self, **more: Any) -> Settings:
        """For one in this process."""
        return Settings(nats=self.nats.settings("events"), database=self.database, **{**QUICK, **more})

    @asynccontextmanager
    async def service(self, **more: Any) -> AsyncIterator[EventsService]:
        """One in this process."""
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    def process(self, **more: Any) -> ServiceProcess:
        """One as a process, not started."""
        environment = {
            **self.nats.environment("EVENTS_NATS__", "events"),
            **self.postgres.environment("EVENTS_DATABASE__", self.database),
            **{f"EVENTS_{name.upper()}": str(value) for name, value in {**QUICK, **more}.items()},
        }
        return ServiceProcess("events", self.directory, environment)

    @asynccontextmanager
    async def started_process(self, **more: Any) -> AsyncIterator[ServiceProcess]:
        """One as a process, started, and ended with the block."""
        async with running(self.process(**more)) as process:
            yield process

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[BusEvents]:
        """Somebody who asks about webhooks."""
        bus = BusClient(replace(self.nats.options("provisioner"), inbox_prefix="_INBOX"))
        await bus.connect()
        yield BusEvents(bus)
        await bus.close()


async def say(server: NatsServer, messages: Iterable[RequestCompleted], *, at_once: int = 500) -> None:
    """Say these as the gateway does, and return when the stream has them."""
    bus = BusClient(server.options("gateway"))
    await bus.connect()
    publisher = StoredPublisher(bus, source="test", inbox=subjects.call_inbox("gateway", "say"), timeout_s=PATIENCE_S)
    publisher.start()
    events = [Event(each.id, subjects.COMPLETED, each.time_ms, msgspec.json.encode(each)) for each in messages]
    for start in range(0, len(events), at_once):
        await publisher.store(events[start : start + at_once])
    await bus.close()


async def published(server: NatsServer) -> list[tuple[str, CloudEvent]]:
    """Subject and event of everything that others may hear, oldest first."""
    found = await stream_messages(server, PUBLIC.name)
    return [(each.subject or "", msgspec.json.decode(each.data or b"", type=CloudEvent)) for each in found]
