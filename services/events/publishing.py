"""Publishes what services say inside a second time, for others: by tenant, as CloudEvents, each once."""

from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.public_events import BY_SUBJECT, CloudEvent, PublicNews
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message, header_value
from libs.kit.bus.batches import deliveries_of, stored_ms_of
from libs.kit.bus.reading import StreamReader
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.errors import ServiceError
from services.events.metrics import PUBLISHED

log = structlog.get_logger(__name__)

SOURCE: Final = "llmos"
_ID: Final = b"Nats-Msg-Id"
_MARGIN_MS: Final = 60_000
"""Servers' clocks may differ by as much."""
_decoders: Final = {subject: msgspec.json.Decoder(event.message) for subject, event in BY_SUBJECT.items()}


class Publishing:
    """Takes batches of internal events. The stream knows repeats for a while; older ones are looked for in it."""

    def __init__(
        self, bus: BusClient, publisher: StoredPublisher, reader: StreamReader, *, repeat_after_s: float
    ) -> None:
        """Prepare; `repeat_after_s` must be well below the time for which the stream knows repeats."""
        self._bus = bus
        self._publisher = publisher
        self._reader = reader
        self._repeat_after_ms = int(repeat_after_s * 1_000)
        self._uncertain: set[str] = set()
        """Ack subjects of messages whose publication was tried here and not confirmed."""

    async def publish(self, messages: list[Message]) -> None:
        """Publish a batch; return when the stream holds all of it.

        Raises:
            ServiceError: `bus_unavailable`; it is to be tried again.
        """
        made = [(message, event) for message in messages if (event := made_of(message)) is not None]
        try:
            said = await self._said(made)
            await self._publisher.store([event for _, event in made if event.id not in said])
        except BusError as error:
            self._uncertain.update(message.reply for message, _ in made)
            raise ServiceError("bus_unavailable", f"The events are not stored yet: {error}.") from error
        self._uncertain.difference_update(message.reply for message, _ in made)
        for _, event in made:
            if event.id not in said:
                PUBLISHED.labels(event.type).inc()
        self._tell(made)

    async def _said(self, made: list[tuple[Message, Event]]) -> set[str]:
        """Ids of events that the stream holds already, of those that it may have forgotten to recognise."""
        before_ms = clock.unix_ms() - self._repeat_after_ms
        doubtful = [
            stored_ms
            for message, _ in made
            if (stored_ms := stored_ms_of(message.reply)) < before_ms and self._may_be_a_repeat(message)
        ]
        if not doubtful:
            return set()
        # Nothing that was made of an event is older than the event.
        since = clock.rfc3339(min(doubtful) - _MARGIN_MS)
        found = page = await self._reader.since(since, subjects.ALL_PUBLIC)
        ids: set[str] = set()
        while page:
            ids.update((header_value(each.headers, _ID) or b"").decode() for each in page)
            page = await self._reader.after(page[-1].sequence, subjects.ALL_PUBLIC)
        log.info("looked for repeats", doubtful=len(doubtful), stored=len(ids), first=found[0].sequence if found else 0)
        return ids

    def _may_be_a_repeat(self, message: Message) -> bool:
        return deliveries_of(message.reply) > 1 or message.reply in self._uncertain

    def _tell(self, made: list[tuple[Message, Event]]) -> None:
        tenants = tuple(sorted({event.subject.split(".", 2)[1] for _, event in made}))
        if not tenants:
            return
        try:
            self._bus.publish(subjects.PUBLIC_NEWS, msgspec.json.encode(PublicNews(tenants)))
        except BusError as error:
            log.info("readers look for themselves", reason=str(error))


def made_of(message: Message) -> Event | None:
    """What others may hear of one internal event; None if nothing.

    Raises:
        msgspec.MsgspecError: it is not what the catalogue says.
    """
    entry = BY_SUBJECT.get(message.subject)
    if entry is None:
        return None
    made = entry.make(_decoders[message.subject].decode(message.payload))
    event = CloudEvent(
        id=made.id,
        source=SOURCE,
        type=entry.name,
        time=clock.rfc3339(made.time_ms),
        tenant=made.tenant,
        subject=made.subject,
        data=msgspec.Raw(msgspec.json.encode(made.data)),
    )
    subject = subjects.public(made.tenant, entry.name)
    return Event(made.id, subject, made.time_ms, msgspec.json.encode(event), entry.name)
