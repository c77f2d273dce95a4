"""Rollout processes on real servers, in the test's own process or to be killed, and ways to order and look."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from libs.contracts.rollouts import (
    OrderRollout,
    Rollout,
    RolloutPlan,
    RolloutRef,
    RolloutState,
    RolloutStatus,
    SteerRollout,
)
from libs.kit.bus import BusClient
from libs.kit.rollout_client import BusRollouts
from libs.kit.settings import PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.stores import PostgresServer
from libs.testkit.wait import eventually
from services.rollout.app import RolloutService, build_app
from services.rollout.settings import Settings

PATIENCE_S: Final = 150.0
QUICK: Final = {"look_s": 0.05, "retry_s": 0.1, "lease_s": 2.0, "start_timeout_s": 20.0}
"""Settings under which a test need not wait."""


@dataclass
class RolloutGround:
    """The servers that rollout processes stand on, with a database of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    database: PostgresSettings
    directory: Path

    def settings(self, **more: Any) -> Settings:
        """For one in this process."""
        return Settings(nats=self.nats.settings("rollout"), database=self.database, **{**QUICK, **more})

    def environment(self, **more: Any) -> dict[str, str]:
        """For one that is a process."""
        return {
            **self.nats.environment("ROLLOUT_NATS__", "rollout"),
            **self.postgres.environment("ROLLOUT_DATABASE__", self.database),
            **{f"ROLLOUT_{name.upper()}": str(value) for name, value in {**QUICK, **more}.items()},
        }

    @asynccontextmanager
    async def service(self, **more: Any) -> AsyncIterator[RolloutService]:
        """One in this process."""
        app = build_app(self.settings(**more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    def process(self, **more: Any) -> ServiceProcess:
        """One as a process, not started."""
        return ServiceProcess("rollout", self.directory, self.environment(**more))

    @asynccontextmanager
    async def started_process(self, **more: Any) -> AsyncIterator[ServiceProcess]:
        """One as a process, started, and ended with the block."""
        async with running(self.process(**more)) as process:
            yield process

    @asynccontextmanager
    async def desk(self) -> AsyncIterator["RolloutDesk"]:
        """Somebody who orders and asks."""
        bus = BusClient(replace(self.nats.options("provisioner"), inbox_prefix="_INBOX"))
        await bus.connect()
        yield RolloutDesk(bus)
        await bus.close()


@dataclass
class RolloutDesk:
    """Asks whatever rollout process listens on a bus."""

    bus: BusClient
    client: BusRollouts = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusRollouts(self.bus)

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def order(self, plan: RolloutPlan, rollout_id: str = "") -> Rollout:
        """Begin a rollout."""
        begun: Rollout = await self.call("rollout_order", OrderRollout(plan=plan, author="ann", id=rollout_id))
        return begun

    async def show(self, rollout_id: str) -> RolloutStatus:
        """One rollout as it is."""
        status: RolloutStatus = await self.call("rollout_show", RolloutRef(rollout_id))
        return status

    async def do(self, verb: str, rollout_id: str) -> Rollout:
        """Pause, resume, promote, abort it or roll it back."""
        steered: Rollout = await self.call(f"rollout_{verb}", SteerRollout(id=rollout_id, author="bob", reason="so"))
        return steered

    async def reaches(self, rollout_id: str, *states: RolloutState, step: int = 0) -> RolloutStatus:
        """The rollout as soon as it is in one of these states, and in this step or a later one."""

        async def there() -> RolloutStatus | None:
            status = await self.show(rollout_id)
            found = status.rollout
            return status if found.state in states and found.step >= step else None

        return await eventually(there, timeout_s=PATIENCE_S, what=f"{rollout_id} in {states}")
