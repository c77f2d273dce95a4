"""Puts one rollout process together: database, bus, calls, rounds, shutdown."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.rollouts import OPERATIONS, SPLITS_EVERY_S
from libs.contracts.topology import ROLLOUT_OBSERVED, ROLLOUT_SIGNALS, Consumer
from libs.kit import clock
from libs.kit.broker import insist, make_broker, stop_broker
from libs.kit.bus import BusClient
from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.stored import StoredPublisher
from libs.kit.feedback_client import BusFeedback
from libs.kit.outbox import Relay
from libs.kit.postgres import Database
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from libs.kit.trainer_client import BusTrainer
from services.rollout.domain.validating import check_plan
from services.rollout.ground import Ground
from services.rollout.intake import Intake, Record
from services.rollout.leader import Leader
from services.rollout.loops.part import Loops
from services.rollout.migrations import migrate
from services.rollout.running.carrying import Carrying
from services.rollout.running.speaking import Speaking
from services.rollout.service.looking import Looking
from services.rollout.service.observing import Observing
from services.rollout.service.ordering import Ordering
from services.rollout.service.steering import Steering
from services.rollout.settings import Settings
from services.rollout.tables import OUTBOX

log = structlog.get_logger(__name__)

_DESK: Final = Desk(name="rollout", contract=OPERATIONS, subject=subjects.rollout_call)
_SOURCE: Final = "llmos/rollout"
_RENEWALS: Final = 5
"""Of the lead, in its length."""


class RolloutService:
    """One process; several may serve the same database, one of them leads."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("o")
        self._settings = settings
        self.database = Database(settings.database)
        self.broker = make_broker(settings.nats, service="rollout", instance=self.instance)
        options = settings.nats.options(f"rollout.{self.instance}.calls", inbox_prefix=f"_INBOX.{self.instance}")
        self._bus = BusClient(options, on_state=self._on_bus)
        self._publisher = StoredPublisher(self._bus, source=_SOURCE, inbox=f"_INBOX.{self.instance}.said")
        self.leader = Leader(self.database, self.instance, lease_s=settings.lease_s)
        self.ground = Ground(
            instance=self.instance,
            settings=settings,
            database=self.database,
            leader=self.leader,
            registry=BusRegistry(self._bus),
            feedback=BusFeedback(self._bus),
            trainer=BusTrainer(self._bus),
        )
        self._rollouts = self._rollout_operations()
        self._loops = Loops(self.ground, self._rollouts, check_plan)
        self._observing = Observing(self.database, keep_days=settings.keep_days)
        self._intakes = (
            self._intake(ROLLOUT_OBSERVED, self._observing.observed),
            self._intake(ROLLOUT_SIGNALS, self._observing.said),
        )
        self._rounds = self._make_rounds()
        _DESK.subscribe(self.broker, self._operations())

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
        for intake in self._intakes:
            intake.start()
        log.info("rollout started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Finish the calls that run, give the lead away, then close everything."""
        for intake in self._intakes:
            await intake.stop()
        for rounds in self._rounds:
            await rounds.stop()
        await self.leader.resign()
        await stop_broker(self.broker)
        await self._bus.close()
        await self.database.close()
        log.info("rollout stopped", instance=self.instance)

    def _operations(self) -> dict[str, Operation]:
        return {**self._rollouts, **self._loops.operations()}

    def _rollout_operations(self) -> dict[str, Operation]:
        looking = Looking(self.ground)
        return {
            "rollout_order": Ordering(self.ground).order,
            "rollout_list": looking.list,
            "rollout_show": looking.show,
            **Steering(self.ground).operations(),
        }

    def _make_rounds(self) -> tuple[Rounds, ...]:
        settings, ground = self._settings, self.ground
        relay = Relay(self.database, OUTBOX, self._publisher.store)
        return (
            Rounds("lead", self.leader.check, pause_s=settings.lease_s / _RENEWALS),
            Rounds("relay", relay.send, pause_s=settings.retry_s, wake=ground.told),
            Rounds("rollouts", Carrying(ground).look, pause_s=settings.look_s, wake=ground.wake),
            Rounds("splits", Speaking(ground, self._bus).speak, pause_s=SPLITS_EVERY_S, wake=ground.spoken),
            Rounds("expire", self._observing.expire, pause_s=settings.expire_s),
            *self._loops.rounds(),
        )

    def _intake(self, consumer: Consumer, record: Record) -> Intake:
        puller = BatchConsumer(
            self._bus,
            stream=consumer.stream,
            durable=consumer.durable,
            inbox=f"_INBOX.{self.instance}.{consumer.durable}",
            lease_s=consumer.ack_wait_s,
            batch=self._settings.batch,
            retry_s=self._settings.retry_s,
        )
        return Intake(puller, record, retry_s=self._settings.retry_s)

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            for intake in self._intakes:
                intake.reconnected()
            self.ground.told.set()
            self.ground.spoken.set()


def build_app(settings: Settings) -> RolloutService:
    """Everything wired, nothing started."""
    return RolloutService(settings)
