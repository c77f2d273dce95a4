"""Feedback on real servers, in the test's own process or as a process to be killed, and ways to tell and ask it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import Captured, RecordSignal, SignalKind
from libs.contracts.inference import RequestCompleted, Usage
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.feedback_client import BusFeedback
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.stores import PostgresServer
from services.feedback.app import Feedback, build_app
from services.feedback.settings import Settings

TENANT: Final = "acme"
QUICK: Final = {"content": "full", "sweep_s": 0.1, "retry_s": 0.1, "statistics_s": 3_600.0, "start_timeout_s": 20.0}
"""Settings under which a test need not wait."""


def completed(request_id: str = "", **more: Any) -> RequestCompleted:
    """An ordinary request that went well."""
    request_id = request_id or clock.new_request_id()
    fields: dict[str, Any] = {
        "id": f"{request_id}-completed",
        "time_ms": clock.unix_ms(),
        "request_id": request_id,
        "client_request_id": f"c-{request_id}",
        "tenant": TENANT,
        "key_id": "k1",
        "route": "/v1/chat/completions",
        "model": "helpdesk",
        "outcome": "ok",
        "status": 200,
        "model_version": "helpdesk@sha256:0123456789ab",
        "worker": "w1",
        "usage": Usage(prompt_tokens=3, completion_tokens=5, finish_reason="stop"),
        "first_byte_ms": 12,
        "total_ms": 34,
        "response_bytes": 56,
    }
    return RequestCompleted(**{**fields, **more})


def captured(done: RequestCompleted, question: str = "Hello?", answer: str = "Good day.", **more: Any) -> Captured:
    """What was said in it."""
    fields: dict[str, Any] = {
        "request": msgspec.Raw(msgspec.json.encode({"messages": [{"role": "user", "content": question}]})),
        "response": msgspec.json.encode({"choices": [{"message": {"content": answer}}]}).decode(),
    }
    return Captured(id=f"{done.request_id}-captured", completed=done, **{**fields, **more})


def new_signal(request_id: str = "", **more: Any) -> RecordSignal:
    """A thumb up from Ann, unless `more` says otherwise."""
    fields: dict[str, Any] = {
        "id": f"sig_{clock.new_request_id()}",
        "tenant": TENANT,
        "kind": SignalKind.THUMB,
        "value": True,
        "time_ms": clock.unix_ms(),
        "inference_id": f"chatcmpl-{request_id}" if request_id else "",
        "rater": "ann",
        "key_id": "k1",
    }
    return RecordSignal(**{**fields, **more})


@dataclass
class FeedbackDesk:
    """Tells whatever feedback listens on a bus, as the gateway would, and asks it."""

    bus: BusClient
    inbox: str
    client: BusFeedback = field(init=False)
    publisher: StoredPublisher = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusFeedback(self.bus)
        self.publisher = StoredPublisher(self.bus, source="test", inbox=f"{self.inbox}.{clock.new_request_id()}")
        self.publisher.start()

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def say(self, messages: Iterable[RequestCompleted | Captured | RecordSignal]) -> None:
        """Put messages into their streams and wait until they are there."""
        await self.publisher.store([_event(message, message.id) for message in messages])

    async def say_again(self, messages: Iterable[RequestCompleted | Captured | RecordSignal]) -> None:
        """The same, past the streams' own recognition of repeats."""
        await self.say_as((clock.new_event_id(), message) for message in messages)

    async def say_as(self, messages: Iterable[tuple[str, RequestCompleted | Captured | RecordSignal]]) -> None:
        """The same, each with a message id of its own."""
        await self.publisher.store([_event(message, id_) for id_, message in messages])

    async def say_of(self, traces: Mapping[str, RecordSignal]) -> None:
        """Put signals into their stream, each with the traceparent before it, past the recognition of repeats."""
        events = [_event(one, clock.new_event_id())._replace(traceparent=trace) for trace, one in traces.items()]
        await self.publisher.store(events)

    async def say_raw(self, subject: str, payload: bytes) -> None:
        """Put any bytes into a stream."""
        await self.publisher.store([Event(clock.new_event_id(), subject, clock.unix_ms(), payload)])


def _event(message: RequestCompleted | Captured | RecordSignal, id_: str) -> Event:
    subject = {
        RequestCompleted: subjects.COMPLETED,
        Captured: subjects.CAPTURED,
        RecordSignal: subjects.RECORD_SIGNAL,
    }[type(message)]
    time_ms = message.completed.time_ms if isinstance(message, Captured) else message.time_ms
    return Event(id_, subject, max(0, time_ms), msgspec.json.encode(message))


@dataclass
class FeedbackGround:
    """The servers that feedback stands on, with a database of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    database: PostgresSettings
    directory: Path

    def settings(self, **more: Any) -> Settings:
        """For feedback in this process."""
        return Settings(nats=self.nats.settings("feedback"), database=self.database, **{**QUICK, **more})

    def environment(self, **more: Any) -> dict[str, str]:
        """For feedback that is a process."""
        values = {**QUICK, **more}
        return {
            **self.nats.environment("FEEDBACK_NATS__", "feedback"),
            **self.postgres.environment("FEEDBACK_DATABASE__", self.database),
            **{f"FEEDBACK_{name.upper()}": str(value) for name, value in values.items()},
        }

    @asynccontextmanager
    async def feedback(self, **more: Any) -> AsyncIterator[Feedback]:
        """Feedback in this process."""
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    @asynccontextmanager
    async def desk(self, user: str = "gateway") -> AsyncIterator[FeedbackDesk]:
        """Somebody who tells and asks."""
        inbox = "_INBOX" if user == "provisioner" else f"rpl.{user}"
        bus = BusClient(replace(self.nats.options(user), inbox_prefix=inbox))
        await bus.connect()
        yield FeedbackDesk(bus, inbox)
        await bus.close()

    @asynccontextmanager
    async def rows(self) -> AsyncIterator["Rows"]:
        """Somebody who looks into the tables."""
        database = Database(self.database)
        yield Rows(database)
        await database.close()


@dataclass
class Rows:
    """Looks at feedback's tables past the service."""

    database: Database

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        async with self.database.begin_bulk() as connection:
            return list(await connection.fetch(query, *values))

    async def count(self, table: str, where: str = "true") -> int:
        """How many rows of a table fit; 0 while it is not there."""
        rows = await self.fetch("select to_regclass($1) is not null as there", f"feedback.{table}")
        if not rows[0]["there"]:
            return 0
        found = await self.fetch(f"select count(*) as n from feedback.{table} where {where}")  # noqa: S608 - tests' own words
        return int(found[0]["n"])

    async def until(self, table: str, count: int, where: str = "true", *, timeout_s: float = 20.0) -> None:
        """Wait until exactly so many rows fit."""
        seen = -1
        try:
            async with asyncio.timeout(timeout_s):
                while (seen := await self.count(table, where)) != count:  # noqa: ASYNC110 - it changes in another process
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise AssertionError(f"{seen} rows of {table} where {where}, not {count}, after {timeout_s} s") from error


@asynccontextmanager
async def feedback_process(ground: FeedbackGround, **settings: Any) -> AsyncIterator[ServiceProcess]:
    """Feedback as a process, started, and ended with the block."""
    async with running(ServiceProcess("feedback", ground.directory, ground.environment(**settings))) as process:
        yield process
