"""Puts one events process together: database, bus, what is published again, webhooks, shutdown."""

import asyncio
from typing import Final

from libs.contracts import subjects
from libs.contracts.public_events import MEDIA_TYPE
from libs.contracts.topology import EVENTS_CONSUMERS, EVENTS_WEBHOOKS, Consumer
from libs.contracts.webhooks import OPERATIONS
from libs.kit.backend import Backend
from libs.kit.bus.reading import StreamReader
from libs.kit.bus.stored import StoredPublisher
from libs.kit.intake import Intake, Record
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk
from services.events import metrics
from services.events.migrations import migrate
from services.events.publishing import SOURCE, Publishing
from services.events.settings import Settings
from services.events.webhooks.delivering import Deliverer
from services.events.webhooks.fanout import Fanout
from services.events.webhooks.sending import Sender
from services.events.webhooks.service import WebhookDesk

_DESK: Final = Desk(name="events", contract=OPERATIONS, subject=subjects.events_call)


class EventsService(Backend):
    """One process; several may serve the same database and the same streams."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, migrate, letter="e")
        self._settings = settings
        due = asyncio.Event()
        sender = Sender(timeout_s=settings.hook_timeout_s, allow_private=settings.allow_private_addresses)
        self._deliverer = Deliverer(self.database, sender, settings, due)
        metrics.show(self.page, self.database)
        publishing = self._publishing()
        self.answer(WebhookDesk(self.database, settings, due).operations())
        self.work(
            Rounds("deliver", self._deliverer.look, pause_s=settings.look_s, wake=due),
            Rounds("expire", self._deliverer.expire, pause_s=settings.expire_s),
            *(self._intake(consumer, publishing.publish) for consumer in EVENTS_CONSUMERS),
            self._intake(EVENTS_WEBHOOKS, Fanout(self.database, due).take),
        )

    async def rest(self) -> None:
        """Hand back what is not published, and break off what is being sent."""
        await super().rest()
        await self._deliverer.stop()

    def _publishing(self) -> Publishing:
        inbox = f"_INBOX.{self.instance}"
        publisher = StoredPublisher(self.bus, source=SOURCE, inbox=f"{inbox}.said", content_type=MEDIA_TYPE)
        publisher.start()
        reader = StreamReader(self.bus, get=subjects.PUBLIC_GET, inbox=f"{inbox}.read")
        reader.start()
        return Publishing(self.bus, publisher, reader, repeat_after_s=self._settings.repeat_after_s)

    def _intake(self, consumer: Consumer, record: Record) -> Intake:
        return self.take(consumer, record, batch=self._settings.batch)


def build_app(settings: Settings) -> EventsService:
    """Everything wired, nothing started."""
    return EventsService(settings)
