"""What others may hear, and webhooks."""

from typing import Final

from libs.contracts import public_events, subjects, webhooks
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import PUBLIC

EVENTS: Final = Chapter(
    owner="events",
    operations=webhooks.OPERATIONS,
    entries=(
        Entry(
            subject=f"{subjects.PUBLIC_PREFIX}.<tenant>.<type>",
            message=public_events.CloudEvent,
            said_by=("events",),
            heard_by=("events", "gateway"),
            stream=PUBLIC,
        ),
        Entry(
            subject=subjects.PUBLIC_NEWS,
            message=public_events.PublicNews,
            said_by=("events",),
            heard_by=("gateway",),
        ),
        calls_of("events", subjects.events_call, said_by=("gateway", "provisioner")),
    ),
    structs=(
        public_events.CloudEvent,
        public_events.PublicNews,
        *structs_of(webhooks.OPERATIONS),
        webhooks.Webhook,
        webhooks.Delivery,
    ),
)
