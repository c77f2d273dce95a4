"""Plays the registry to workers: tells where blobs are, declares deployments, asks workers to reload."""

from dataclasses import dataclass, field

import msgspec

from libs.contracts import subjects
from libs.contracts.calls import Fault, Reply
from libs.contracts.registry import DeployedVersion, Deployment, FetchVersion
from libs.contracts.versions import parse_reference, short_reference
from libs.kit.bus import BusClient, Message
from libs.testkit.blob_store import BlobStore, Stored
from libs.testkit.nats_server import NatsServer

_encode = msgspec.json.encode


def deployed(stored: Stored) -> DeployedVersion:
    """A version as a deployment names it."""
    return DeployedVersion(reference(stored), stored.digest)


def reference(stored: Stored) -> str:
    """The name under which a version is served."""
    return short_reference(stored.manifest.name, stored.digest)


@dataclass
class RegistryDouble:
    """The registry of one pool; its versions lie in `store`."""

    server: NatsServer
    store: BlobStore
    pool: str = "default"
    revision: int = 0
    fault: str = ""
    """A code with which every call fails."""
    calls: list[FetchVersion] = field(default_factory=list)
    deployment: Deployment | None = None

    async def start(self) -> None:
        """Connect and answer."""
        self.bus = BusClient(self.server.options("registry", reconnect_max_s=0.1))
        await self.bus.connect()
        self.bus.subscribe(subjects.registry_call("version_fetch"), self._on_fetch)
        await self.bus.flush()

    async def stop(self) -> None:
        """Leave the bus."""
        await self.bus.close()

    def deploy(
        self,
        base: Stored,
        *adapters: Stored,
        names: dict[str, Stored] | None = None,
        engine_args: tuple[str, ...] = (),
    ) -> int:
        """Declare what the pool serves; the new revision."""
        self.revision += 1
        self.deployment = Deployment(
            pool=self.pool,
            generation=self.revision,
            revision=self.revision,
            base=deployed(base),
            adapters=tuple(deployed(adapter) for adapter in adapters),
            names={name: reference(stored) for name, stored in (names or {}).items()},
            engine_args=engine_args,
        )
        self.put(self.deployment)
        return self.revision

    def put(self, deployment: Deployment) -> None:
        """Put a deployment as it is."""
        self.bus.publish(subjects.deployment(self.pool), _encode(deployment))

    def reload(self, worker: str) -> None:
        """Ask a worker to start again."""
        self.bus.publish(subjects.reload(worker))

    def _on_fetch(self, message: Message) -> None:
        call = msgspec.json.decode(message.payload, type=FetchVersion)
        self.calls.append(call)
        digest = parse_reference(call.reference).digest
        if self.fault:
            reply = Reply(error=Fault(self.fault, f"The test wants {self.fault}."))
        elif digest not in self.store.versions:
            reply = Reply(error=Fault("version_not_found", f"There is no {call.reference}."))
        else:
            reply = Reply(result=msgspec.Raw(_encode(self.store.fetch(digest, call.skip))))
        self.bus.publish(message.reply, _encode(reply))
