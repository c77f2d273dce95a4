"""Puts one identity process together: database, bus, calls, rounds, shutdown."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.identity import KEYS_EVERY_S, OPERATIONS
from libs.kit import clock
from libs.kit.broker import insist, make_broker, stop_broker
from libs.kit.bus import BusClient
from libs.kit.bus.stored import StoredPublisher
from libs.kit.outbox import Relay
from libs.kit.postgres import Database
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.identity.ground import Ground
from services.identity.limits.desk import LeasingDesk
from services.identity.migrations import migrate
from services.identity.service.keys import Keys
from services.identity.service.organising import Organising
from services.identity.service.projects import Projects
from services.identity.service.reporting import Reporting
from services.identity.service.telling import Telling
from services.identity.settings import Settings
from services.identity.tables import OUTBOX

log = structlog.get_logger(__name__)

_SOURCE: Final = "llmos/identity"


class IdentityService:
    """One process; several may serve the same database, and one of them grants limits."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("d")
        self._settings = settings
        self.database = Database(settings.database)
        self.broker = make_broker(settings.nats, service="identity", instance=self.instance)
        options = settings.nats.options(f"identity.{self.instance}.calls", inbox_prefix=f"_INBOX.{self.instance}")
        self._bus = BusClient(options, on_state=self._on_bus)
        self._publisher = StoredPublisher(self._bus, source=_SOURCE, inbox=f"_INBOX.{self.instance}.said")
        self.ground = Ground(instance=self.instance, settings=settings, database=self.database)
        self._telling = Telling(self.ground, self._bus)
        self._leasing = LeasingDesk(self.ground, self._bus)
        self._rounds = self._make_rounds()
        operations = self._operations()
        desk = Desk(
            name="identity",
            contract={name: OPERATIONS[name] for name in operations},
            subject=subjects.identity_call,
        )
        desk.subscribe(self.broker, operations)

    async def start(self) -> None:
        """Bring the schema up to date, then listen and work.

        Raises:
            ServiceError: `storage_unavailable`, the database did not answer in time.
            BusError, NatsError, OSError: the bus did not.
        """
        deadline_s = clock.monotonic_s() + self._settings.start_timeout_s
        await insist(lambda: migrate(self.database), deadline_s)
        await insist(self._bus.connect, deadline_s)
        # While the bus is away the client tries for ever; a process that cannot serve should rather end and say why.
        async with asyncio.timeout(self._settings.start_timeout_s):
            await insist(self.broker.start, deadline_s)
            # Subscriptions are on their way only; whoever reads that we started may call at once.
            await self.broker.connection.flush()
        self._publisher.start()
        for rounds in self._rounds:
            rounds.start()
        self._leasing.start()
        log.info("identity started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Finish the calls that run, then close everything."""
        await stop_broker(self.broker)
        for rounds in self._rounds:
            await rounds.stop()
        await self._leasing.stop()
        await self._bus.close()
        await self.database.close()
        log.info("identity stopped", instance=self.instance)

    def _operations(self) -> dict[str, Operation]:
        ground = self.ground
        return {
            **Organising(ground).operations(),
            **Projects(ground).operations(),
            **Keys(ground).operations(),
            **Reporting(ground).operations(),
            "keys_since": self._telling.since,
        }

    def _make_rounds(self) -> tuple[Rounds, ...]:
        relay = Relay(self.database, OUTBOX, self._publisher.store)
        return (
            Rounds("relay", relay.send, pause_s=self._settings.retry_s, wake=self.ground.told),
            Rounds("keys", self._telling.speak, pause_s=KEYS_EVERY_S, wake=self.ground.spoken),
        )

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            self.ground.changed()


def build_app(settings: Settings) -> IdentityService:
    """Everything wired, nothing started."""
    return IdentityService(settings)
