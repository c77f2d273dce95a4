"""Takes batches from a stream, has them recorded, and acknowledges them afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg  # type: ignore[import-untyped] # it ships no types
import structlog

from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.parser import Message
from libs.kit.bus.traced import received, traceparent_of
from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import GIVEN_UP, TAKEN, WAITED
from services.feedback.repository.bulk import CollisionError
from services.feedback.service.letters import Letter

log = structlog.get_logger(__name__)

Record = Callable[[list[Letter]], Awaitable[None]]
Bury = Callable[[Letter, str], Awaitable[None]]

_TELL_EVERY: Final = 60
_AT_ONCE: Final = 2
"""Batches of one consumer: while the database works on one, the next is read and decided."""


class Intake:
    """While the database is away the batches in hand are kept and nothing more is asked for."""

    def __init__(self, consumer: BatchConsumer, record: Record, bury: Bury, *, retry_s: float) -> None:
        """Prepare; `record` must do a batch wholly or not at all, `bury` puts away what it can never do."""
        self._consumer = consumer
        self._record = record
        self._bury = bury
        self._retry_s = retry_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take messages until `stop`."""
        self._consumer.start()
        self._tasks = [
            asyncio.create_task(self._run(), name=f"intake-{self._consumer.stream}-{number}")
            for number in range(_AT_ONCE)
        ]

    async def stop(self) -> None:
        """End at once; a batch that is not acknowledged is handed back, and recognised when it comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()

    async def _run(self) -> None:
        while True:
            messages = await self._consumer.take()
            with received(self._consumer.stream, messages) as within:
                is_traced = within.span is not None
                await self._settle([_letter(self._consumer.stream, message, is_traced) for message in messages])
            self._consumer.acknowledge(messages)
            TAKEN.labels(self._consumer.stream).inc(len(messages))

    async def _settle(self, batch: list[Letter]) -> None:
        """Return when everything in it is recorded or buried, however long that takes."""
        failures = 0
        while True:
            try:
                return await self._attempt(batch)
            except CollisionError:
                continue
            except ServiceError as error:
                if failures % _TELL_EVERY == 0:
                    log.warning("batch waits", stream=self._consumer.stream, code=error.code, reason=error.message)
                failures += 1
                WAITED.labels(self._consumer.stream, error.code).inc()
            await asyncio.sleep(self._retry_s)

    async def _attempt(self, batch: list[Letter]) -> None:
        try:
            await self._record(batch)
        except (ServiceError, CollisionError):
            raise
        except Exception as error:
            if len(batch) == 1:
                log.exception("message cannot be recorded", letter=batch[0].id)
                GIVEN_UP.labels(self._consumer.stream).inc()
                await self._bury(batch[0], f"{type(error).__name__}: {error}")
                return
            # One of them is at fault; alone it will show.
            expected = isinstance(error, asyncpg.PostgresError | ValueError)
            log.warning("batch is taken apart", stream=self._consumer.stream, reason=str(error), expected=expected)
            for letter in batch:
                await self._settle([letter])


def _letter(stream: str, message: Message, is_traced: bool) -> Letter:  # noqa: FBT001 - of the whole batch
    # Headers are searched only where one of the batch is known to have a trace.
    trace = traceparent_of(message) if is_traced else ""
    return Letter(stream, message.subject, message.payload, message.reply, trace)
