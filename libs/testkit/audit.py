"""Audit processes on real servers, and somebody who writes to them as gateways do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.local.parts import postgres
from deploy.local.ports import HOST
from deploy.local.postgres_setup import set_up
from libs.contracts import subjects
from libs.contracts.audit import ChainFault, FindEntries, Phase, RecordEntry, VerifyChain
from libs.contracts.permissions import Role
from libs.kit.audit_client import BusAudit
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess
from libs.testkit.stores import PostgresServer
from services.audit.app import AuditService, build_app
from services.audit.migrations import hand_over, migrate
from services.audit.settings import Settings

QUICK: Final = {"retry_s": 0.1, "start_timeout_s": 30.0, "heads_every_s": 0.5}
"""Settings under which a test need not wait."""


@dataclass
class AuditGround:
    """The servers that audit processes stand on; the database is made anew for each test."""

    nats: NatsServer
    postgres: PostgresServer
    directory: Path

    def __post_init__(self) -> None:
        self._is_made = False
        self.database = self.postgres.settings(postgres.AUDIT)
        """For somebody who may do everything."""
        self.owner = self._as(postgres.OWNERS[postgres.AUDIT])
        """For who makes the tables."""
        self.writer = self._as(postgres.AUDIT)
        """For the service."""
        self.key_file = self.directory / "audit_key"
        self.key_file.write_text("a secret of thirty-two characters")

    async def prepare(self) -> None:
        """Make the database as the local stack does, and the tables as their owner; again changes nothing."""
        if not self._is_made:
            await self.postgres.execute(f"drop database if exists {postgres.AUDIT} with (force)")
            home, port = self.postgres.home, self.database.port
            passwords = {role: home.secret(postgres.secret_name(role)) for role in (self.owner.user, self.writer.user)}
            await set_up(f"{HOST}:{port}", home.secret(postgres.SECRET_NAME), passwords)
            self._is_made = True
        door = Database(self.owner)
        await migrate(door)
        await hand_over(door, self.writer.user)
        await door.close()

    def settings(self, **more: Any) -> Settings:
        """For one in this process."""
        given = {**QUICK, "key_file": self.key_file, **more}
        return Settings(nats=self.nats.settings("audit"), database=self.writer, **given)

    @asynccontextmanager
    async def service(self, **more: Any) -> AsyncIterator[AuditService]:
        """One in this process."""
        await self.prepare()
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    def process(self, **more: Any) -> ServiceProcess:
        """One as a process, not started; its tables are there after `prepare`."""
        environment = {
            **self.nats.environment("AUDIT_NATS__", "audit"),
            **self.postgres.environment("AUDIT_DATABASE__", self.writer),
            **{f"AUDIT_{name.upper()}": str(value) for name, value in {**QUICK, **more}.items()},
            "AUDIT_KEY_FILE": str(self.key_file),
        }
        return ServiceProcess("audit", self.directory, environment)

    def _as(self, role: str) -> PostgresSettings:
        password_file = self.postgres.home.secret_file(postgres.secret_name(role))
        return self.database.model_copy(update={"user": role, "password_file": password_file})

    @asynccontextmanager
    async def desk(self) -> AsyncIterator["AuditDesk"]:
        """Somebody who writes and asks as a gateway does."""
        bus = BusClient(
            replace(self.nats.options("gateway"), inbox_prefix=subjects.call_inbox("gateway", "").rstrip("."))
        )
        await bus.connect()
        yield AuditDesk(bus)
        await bus.close()


def entry(number: int, phase: Phase = Phase.ASKED, **more: Any) -> RecordEntry:
    """The entry of that number, the same every time."""
    given: dict[str, Any] = {
        "id": f"aud_{number:024x}",
        "phase": phase,
        "time_ms": 1_000 + number,
        "author": "key_ann",
        "role": Role.ADMIN,
        "operation": "alias_set",
        "object": f"/models/helpdesk/aliases/a{number % 7}",
    }
    return RecordEntry(**{**given, **more})


@dataclass
class AuditDesk:
    """Writes entries, and asks whatever audit process listens on a bus."""

    bus: BusClient
    client: BusAudit = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusAudit(self.bus)
        self._publisher = StoredPublisher(
            self.bus, source="gateway/test", inbox=subjects.call_inbox("gateway", "test-audit")
        )
        self._publisher.start()

    async def write(self, *entries: RecordEntry) -> None:
        """Return when the work queue has them on disk."""
        await self._publisher.store(
            [
                Event(f"{one.id}-{one.phase}", subjects.RECORD_AUDIT, one.time_ms, msgspec.json.encode(one))
                for one in entries
            ]
        )

    async def say(self, payload: bytes, message_id: str) -> None:
        """Put any bytes into the work queue."""
        await self._publisher.store([Event(message_id, subjects.RECORD_AUDIT, 1, payload)])

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def count(self) -> int:
        """Number of the newest row."""
        page = await self.call("audit_list", FindEntries(limit=1))
        return page.rows[0].number if page.rows else 0

    async def faults(self, limit: int = 20_000) -> list[ChainFault]:
        """Everything that a walk over the whole chain finds."""
        found: list[ChainFault] = []
        after, link = 0, ""
        while True:
            verified = await self.call("audit_verify", VerifyChain(after=after, link=link, limit=limit))
            found += verified.faults
            after, link = verified.until, verified.link
            if not verified.has_more:
                return found
