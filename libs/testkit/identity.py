"""Identity processes on real servers, in the test's own process or to be killed, and ways to ask them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from libs.contracts import subjects
from libs.contracts.identity import (
    ApiKey,
    CreateKey,
    CreateOrganisation,
    CreateProject,
    IssuedKey,
    KeyChanges,
    KeyRecord,
    KeysRevision,
    KeysSince,
    Project,
    RevokeKey,
)
from libs.contracts.permissions import Role
from libs.kit.bus import BusClient, Message
from libs.kit.identity_client import BusIdentity
from libs.kit.settings import PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.stores import PostgresServer
from services.identity.app import IdentityService, build_app
from services.identity.settings import Settings

QUICK: Final = {"retry_s": 0.1, "start_timeout_s": 30.0}
"""Settings under which a test need not wait."""


@dataclass
class IdentityGround:
    """The servers that identity processes stand on, with a database of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    database: PostgresSettings
    directory: Path

    def settings(self, **more: Any) -> Settings:
        """For one in this process."""
        return Settings(nats=self.nats.settings("identity"), database=self.database, **{**QUICK, **more})

    def environment(self, **more: Any) -> dict[str, str]:
        """For one that is a process."""
        return {
            **self.nats.environment("IDENTITY_NATS__", "identity"),
            **self.postgres.environment("IDENTITY_DATABASE__", self.database),
            **{f"IDENTITY_{name.upper()}": str(value) for name, value in {**QUICK, **more}.items()},
        }

    @asynccontextmanager
    async def service(self, **more: Any) -> AsyncIterator[IdentityService]:
        """One in this process."""
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    def process(self, **more: Any) -> ServiceProcess:
        """One as a process, not started."""
        return ServiceProcess("identity", self.directory, self.environment(**more))

    @asynccontextmanager
    async def started_process(self, **more: Any) -> AsyncIterator[ServiceProcess]:
        """One as a process, started, and ended with the block."""
        async with running(self.process(**more)) as process:
            yield process

    @asynccontextmanager
    async def desk(self) -> AsyncIterator["IdentityDesk"]:
        """Somebody who asks as a gateway does, and hears what gateways hear."""
        bus = BusClient(
            replace(self.nats.options("gateway"), inbox_prefix=subjects.call_inbox("gateway", "").rstrip("."))
        )
        await bus.connect()
        desk = IdentityDesk(bus)
        bus.subscribe(subjects.KEYS, desk.hear)
        yield desk
        await bus.close()


@dataclass
class IdentityDesk:
    """Asks whatever identity process listens on a bus, and knows keys as a gateway does."""

    bus: BusClient
    heard: list[KeysRevision] = field(default_factory=list)
    """Every revision that was said."""
    known: dict[str, KeyRecord] = field(default_factory=dict)
    """Keys by their digests."""
    revision: KeysRevision = field(default_factory=lambda: KeysRevision(store="", revision=0))
    """What is known."""
    client: BusIdentity = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusIdentity(self.bus)

    def hear(self, message: Message) -> None:
        """Note what was said to gateways."""
        self.heard.append(msgspec.json.decode(message.payload, type=KeysRevision))

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def project(self, name: str = "shop", **more: Any) -> Project:
        """A project and the organisation that it belongs to."""
        await self.call("organisation_create", CreateOrganisation(name="acme", author="ann"))
        made: Project = await self.call(
            "project_create", CreateProject(name=name, organisation="acme", author="ann", **more)
        )
        return made

    async def key(self, tenant: str = "shop", role: Role = Role.MEMBER, **more: Any) -> IssuedKey:
        """A new key."""
        wanted = CreateKey(**{"name": "till", "role": role, "author": "ann", "tenant": tenant, **more})
        issued: IssuedKey = await self.call("key_create", wanted)
        return issued

    async def revoke(self, key_id: str, **more: Any) -> ApiKey:
        """End a key."""
        revoked: ApiKey = await self.call("key_revoke", RevokeKey(id=key_id, author="bob", **more))
        return revoked

    async def follow(self) -> bool:
        """Ask for what changed if the last word heard says that something has; whether anything was asked."""
        if not self.heard or self.heard[-1] == self.revision:
            return False
        await self.catch_up()
        return True

    async def catch_up(self, limit: int = 500) -> int:
        """Ask until everything is known; how many pages it took."""
        pages = 0
        while True:
            asked = KeysSince(self.revision.store, self.revision.revision, limit)
            page: KeyChanges = await self.call("keys_since", asked)
            if page.is_whole:
                self.known.clear()
            self.known.update({record.digest: record for record in page.records})
            self.revision = KeysRevision(store=page.store, revision=page.revision)
            pages += 1
            if not page.has_more:
                return pages
