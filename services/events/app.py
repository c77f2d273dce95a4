"""Puts one events process together: database, bus, what is published again, webhooks, shutdown."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.public_events import MEDIA_TYPE
from libs.contracts.topology import EVENTS_CONSUMERS, EVENTS_WEBHOOKS, Consumer
from libs.contracts.webhooks import OPERATIONS
from libs.kit import clock
from libs.kit.broker import insist, make_broker, stop_broker
from libs.kit.bus import BusClient
from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.reading import StreamReader
from libs.kit.bus.stored import StoredPublisher
from libs.kit.intake import Intake, Record
from libs.kit.postgres import Database
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk
from services.events.migrations import migrate
from services.events.publishing import SOURCE, Publishing
from services.events.settings import Settings
from services.events.webhooks.delivering import Deliverer
from services.events.webhooks.fanout import Fanout
from services.events.webhooks.sending import Sender
from services.events.webhooks.service import WebhookDesk

log = structlog.get_logger(__name__)

_DESK: Final = Desk(name="events", contract=OPERATIONS, subject=subjects.events_call)


class EventsService:
    """One process; several may serve the same database and the same streams."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("e")
        self._settings = settings
        self.database = Database(settings.database)
        self.broker = make_broker(settings.nats, service="events", instance=self.instance)
        inbox = f"_INBOX.{self.instance}"
        self.bus = BusClient(
            settings.nats.options(f"events.{self.instance}", inbox_prefix=inbox), on_state=self._on_bus
        )
        self._publisher = StoredPublisher(self.bus, source=SOURCE, inbox=f"{inbox}.said", content_type=MEDIA_TYPE)
        self._reader = StreamReader(self.bus, get=subjects.PUBLIC_GET, inbox=f"{inbox}.read")
        publishing = Publishing(self.bus, self._publisher, self._reader, repeat_after_s=settings.repeat_after_s)
        due = asyncio.Event()
        sender = Sender(timeout_s=settings.hook_timeout_s, allow_private=settings.allow_private_addresses)
        self._deliverer = Deliverer(self.database, sender, settings, due)
        self._intakes = (
            *(self._intake(consumer, publishing.publish) for consumer in EVENTS_CONSUMERS),
            self._intake(EVENTS_WEBHOOKS, Fanout(self.database, due).take),
        )
        self._rounds = (
            Rounds("deliver", self._deliverer.look, pause_s=settings.look_s, wake=due),
            Rounds("expire", self._deliverer.expire, pause_s=settings.expire_s),
        )
        _DESK.subscribe(self.broker, WebhookDesk(self.database, settings, due).operations())

    async def start(self) -> None:
        """Bring the schema up to date, then listen and work.

        Raises:
            ServiceError: `storage_unavailable`, the database did not answer in time.
            BusError, NatsError, OSError: the bus did not.
        """
        deadline_s = clock.monotonic_s() + self._settings.start_timeout_s
        await insist(lambda: migrate(self.database), deadline_s)
        await insist(self.bus.connect, deadline_s)
        # While the bus is away the client tries for ever; a process that cannot serve should rather end and say why.
        async with asyncio.timeout(self._settings.start_timeout_s):
            await insist(self.broker.start, deadline_s)
            # Subscriptions are on their way only; whoever reads that we started may call at once.
            await self.broker.connection.flush()
        self._publisher.start()
        self._reader.start()
        for rounds in self._rounds:
            rounds.start()
        for intake in self._intakes:
            intake.start()
        log.info("events started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Hand back what is not published, break off what is being sent, then close everything."""
        for intake in self._intakes:
            await intake.stop()
        for rounds in self._rounds:
            await rounds.stop()
        await self._deliverer.stop()
        await stop_broker(self.broker)
        await self.bus.close()
        await self.database.close()
        log.info("events stopped", instance=self.instance)

    def _intake(self, consumer: Consumer, record: Record) -> Intake:
        puller = BatchConsumer(
            self.bus,
            stream=consumer.stream,
            durable=consumer.durable,
            inbox=f"_INBOX.{self.instance}.{consumer.durable}",
            lease_s=consumer.ack_wait_s,
            batch=self._settings.batch,
            retry_s=self._settings.retry_s,
        )
        return Intake(puller, record, retry_s=self._settings.retry_s)

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            for intake in self._intakes:
                intake.reconnected()


def build_app(settings: Settings) -> EventsService:
    """Everything wired, nothing started."""
    return EventsService(settings)
