"""Sends what transactions left in the outbox, and forgets it when the stream holds it."""

import asyncio
import contextlib
from typing import Final

import structlog

from libs.kit.bus import BusError
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.feedback.repository import letters

log = structlog.get_logger(__name__)

_TELL_EVERY: Final = 60


class Relay:
    """Several processes may send at once: each locks the rows that it sends."""

    def __init__(self, database: Database, publisher: StoredPublisher, *, wake: asyncio.Event, retry_s: float) -> None:
        """Prepare; `wake` is set when there is something to send."""
        self._database = database
        self._publisher = publisher
        self._wake = wake
        self._retry_s = retry_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send until `stop`."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def stop(self) -> None:
        """End; what was sent and not yet forgotten is sent again, under the same ids."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                while await self._send_one():
                    failures = 0
            except (ServiceError, BusError) as error:
                if failures % _TELL_EVERY == 0:
                    log.warning("events wait", reason=str(error))
                failures += 1
            except Exception:
                # What failed is still in the outbox; the log must say why before it is tried again.
                log.exception("relay failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._retry_s)

    async def _send_one(self) -> bool:
        async with self._database.begin_bulk() as connection:
            row = await letters.next_to_say(connection)
            if row is None:
                return False
            events = [
                Event(id_, row["subject"], row["time_ms"], payload.encode())
                for id_, payload in zip(row["ids"], row["payloads"], strict=True)
            ]
            await self._publisher.store(events)
            await letters.said(connection, row["sequence"])
        return True
