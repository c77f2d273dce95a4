"""A registry on real servers, in the test's own process or as a process to be killed, and ways to ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx2

from libs.contracts.registry import (
    BeginUpload,
    Blob,
    BlobUpload,
    CommitUpload,
    Fetch,
    FetchVersion,
    Kind,
    Manifest,
    Upload,
    Version,
)
from libs.kit.bus import BusClient
from libs.kit.publish import Description, Scan, scan
from libs.kit.registry_client import BusRegistry
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.stores import ObjectServer, PostgresServer
from services.registry.app import Registry, build_app
from services.registry.settings import Settings

QUICK: Final = {
    "steward_s": 0.05,
    "retry_s": 0.05,
    "announce_s": 0.5,
    "adapter_grace_s": 0.3,
    "beat_timeout_s": 1.0,
    "roll_timeout_s": 5.0,
    "start_timeout_s": 20.0,
}
"""Settings under which a test need not wait."""


@dataclass
class RegistryDesk:
    """Asks whatever registry listens on a bus, as the command line would."""

    bus: BusClient
    http: httpx2.AsyncClient
    client: BusRegistry = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusRegistry(self.bus)

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def send(self, found: Scan, missing: tuple[BlobUpload, ...]) -> None:
        """Put blobs to their URLs, as a publisher does."""
        for one in missing:
            await self.put(one, found.pieces[one.blob.digest].read())

    async def put(self, upload: BlobUpload, content: bytes) -> None:
        """Put the right bytes to a URL."""
        answer = await self.http.put(upload.url, content=content, headers=upload.headers)
        assert answer.status_code == 200, answer.text

    async def begin(self, found: Scan, author: str = "ann", tenant: str = "") -> Upload:
        """Announce a version, as a tenant or as the platform."""
        wanted = BeginUpload(manifest=found.manifest, author=author, tenant=tenant)
        upload = await self.call("upload_begin", wanted)
        assert isinstance(upload, Upload)
        return upload

    async def publish(
        self, directory: Path, name: str, kind: Kind = Kind.MODEL, *, author: str = "ann", tenant: str = "", **more: Any
    ) -> Version:
        """Publish a directory, from end to end."""
        found = scan(directory, Description(name=name, kind=kind, **more))
        upload = await self.begin(found, author, tenant)
        await self.send(found, upload.missing)
        version = upload.published or await self.call("upload_commit", CommitUpload(upload.upload_id, tenant))
        assert isinstance(version, Version)
        return version

    async def read(self, reference: str) -> tuple[Manifest, dict[str, bytes]]:
        """A version's manifest and blobs, as a worker would fetch them."""
        blobs: dict[str, bytes] = {}
        while True:
            page = await self.call("version_fetch", FetchVersion(reference, skip=len(blobs)))
            assert isinstance(page, Fetch)
            for one in page.downloads:
                blobs[one.blob.digest] = (await self.http.get(one.url)).content
            if len(blobs) >= page.total:
                return page.manifest, blobs


def wrong_bytes(blob: Blob) -> bytes:
    """Bytes of the right number and the wrong content."""
    return b"\0" * blob.size_bytes


@dataclass
class RegistryGround:
    """The servers that a registry stands on, with a database and a bucket prefix of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    objects: ObjectServer
    database: PostgresSettings
    bucket: ObjectSettings
    directory: Path

    def settings(self, **more: Any) -> Settings:
        """For a registry in this process."""
        return Settings(
            nats=self.nats.settings("registry"),
            database=self.database,
            objects=self.bucket,
            **{**QUICK, **more},
        )

    def environment(self, **more: Any) -> dict[str, str]:
        """For a registry that is a process."""
        values = {**QUICK, **more}
        return {
            **self.nats.environment("REGISTRY_NATS__", "registry"),
            **self.postgres.environment("REGISTRY_DATABASE__", self.database),
            **self.objects.environment("REGISTRY_OBJECTS__", self.bucket),
            **{f"REGISTRY_{name.upper()}": str(value) for name, value in values.items()},
        }

    @asynccontextmanager
    async def registry(self, **more: Any) -> AsyncIterator[Registry]:
        """A registry in this process."""
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    @asynccontextmanager
    async def desk(self, user: str = "provisioner") -> AsyncIterator[RegistryDesk]:
        """Somebody who asks."""
        inbox = "_INBOX" if user == "provisioner" else f"rpl.{user}"
        bus = BusClient(replace(self.nats.options(user), inbox_prefix=inbox))
        await bus.connect()
        async with httpx2.AsyncClient(timeout=30) as http:
            yield RegistryDesk(bus, http)
        await bus.close()


@asynccontextmanager
async def registry_process(
    ground: RegistryGround, *, die_after: str = "", **settings: Any
) -> AsyncIterator[ServiceProcess]:
    """A registry as a process, started, and ended with the block; right after the step `die_after` it kills itself."""
    module = ("libs.testkit.mortal_registry", die_after) if die_after else ()
    async with running(
        ServiceProcess("registry", ground.directory, ground.environment(**settings)), *module
    ) as process:
        yield process
