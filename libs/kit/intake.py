"""Takes batches from a stream, has them recorded, and acknowledges them afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from libs.kit.bus import Message
from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.traced import received
from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import GIVEN_UP, TAKEN, WAITED

log = structlog.get_logger(__name__)

Record = Callable[[list[Message]], Awaitable[None]]
Bury = Callable[[Message, str], Awaitable[None]]

_TELL_EVERY: Final = 60


class Intake:
    """While the database is away the batch in hand is kept and nothing more is asked for."""

    def __init__(self, consumer: BatchConsumer, record: Record, bury: Bury, *, retry_s: float) -> None:
        """Prepare; `record` must do a batch wholly or not at all, and know what it has done before.

        `bury` puts away, with the reason, a message that can never be recorded; until it has, the message is kept.
        """
        self._consumer = consumer
        self._record = record
        self._bury = bury
        self._retry_s = retry_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take messages until `stop`."""
        self._consumer.start()
        self._task = asyncio.create_task(self._run(), name=f"intake-{self._consumer.stream}")

    async def stop(self) -> None:
        """End at once; a batch that is not acknowledged is handed back, and recognised when it comes again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._consumer.stop()

    async def _run(self) -> None:
        while True:
            messages = await self._consumer.take()
            with received(self._consumer.stream, messages):
                await self._settle(messages)
            self._consumer.acknowledge(messages)
            TAKEN.labels(self._consumer.stream).inc(len(messages))

    async def _settle(self, batch: list[Message]) -> None:
        """Return when everything in it is recorded or given up, however long that takes."""
        failures = 0
        while True:
            try:
                return await self._attempt(batch)
            except ServiceError as error:
                if failures % _TELL_EVERY == 0:
                    log.warning("batch waits", stream=self._consumer.stream, code=error.code, reason=error.message)
                failures += 1
                WAITED.labels(self._consumer.stream, error.code).inc()
            await asyncio.sleep(self._retry_s)

    async def _attempt(self, batch: list[Message]) -> None:
        """Record a batch, or find out which message of it cannot be, and put that away.

        Raises:
            ServiceError: nothing can be recorded or put away now.
        """
        try:
            await self._record(batch)
        except ServiceError:
            raise
        except Exception as error:
            if len(batch) > 1:
                # One of them is at fault; alone it will show.
                log.warning("batch is taken apart", stream=self._consumer.stream, reason=str(error)[:500])
                for message in batch:
                    await self._settle([message])
                return
            # It would never be recorded, and everything behind it would wait for ever.
            await self._bury(batch[0], f"{type(error).__name__}: {error}")
            GIVEN_UP.labels(self._consumer.stream).inc()
            log.exception("message is given up", subject=batch[0].subject)
