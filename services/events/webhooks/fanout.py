"""Makes a delivery of each public event for each webhook that wants it."""

import asyncio
from typing import Any

from libs.contracts import subjects
from libs.kit import clock
from libs.kit.bus import Message, header_value
from libs.kit.bus.batches import stored_ms_of
from libs.kit.event_types import WantedTypes
from libs.kit.postgres import Database
from services.events.webhooks import due, rows


class Fanout:
    """One event becomes one delivery of a webhook, however often it is heard."""

    def __init__(self, database: Database, wake: asyncio.Event) -> None:
        """Prepare; `wake` is set when there is something to deliver."""
        self._database = database
        self._wake = wake

    async def take(self, messages: list[Message]) -> None:
        """Record deliveries of a batch of public events.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        now_ms = clock.unix_ms()
        async with self._database.begin() as connection:
            wanting = [
                (
                    row.id,
                    subjects.public_token(row.tenant) if row.tenant else "",
                    WantedTypes(row.types),
                    row.created_ms,
                )
                for row in await rows.everybody(connection)
            ]
            found = [
                _row(webhook, event_type, message, now_ms)
                for message in messages
                for tenant, event_type in (_parts(message.subject),)
                for webhook, wanted_tenant, types, created_ms in wanting
                if wanted_tenant in ("", tenant) and event_type in types and stored_ms_of(message.reply) >= created_ms
            ]
            added = await due.add(connection, found) if found else 0
        if added:
            self._wake.set()


def _parts(subject: str) -> tuple[str, str]:
    """Tenant, as it stands in subjects, and type."""
    _, tenant, event_type = subject.split(".", 2)
    return tenant, event_type


def _row(webhook: str, event_type: str, message: Message, now_ms: int) -> dict[str, Any]:
    event_id = (header_value(message.headers, b"Nats-Msg-Id") or b"").decode()
    return {
        "webhook": webhook,
        "event_id": event_id,
        "type": event_type,
        "body": message.payload.decode(),
        "state": "pending",
        "attempts": 0,
        "next_ms": now_ms,
        "status": 0,
        "error": "",
        "created_ms": now_ms,
        "changed_ms": now_ms,
    }
