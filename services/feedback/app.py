"""Puts one feedback process together: database, bus, use cases, shutdown."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.feedback import OPERATIONS
from libs.contracts.topology import FEEDBACK_CAPTURED, FEEDBACK_COMPLETED, FEEDBACK_SIGNALS, Consumer
from libs.kit import clock
from libs.kit.broker import insist, make_broker, stop_broker
from libs.kit.bus import BusClient
from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.stored import StoredPublisher
from libs.kit.outbox import Relay
from libs.kit.postgres import Database
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.feedback.datasets.redact import Redactor
from services.feedback.datasets.service import Datasets
from services.feedback.intake import Intake, Record
from services.feedback.migrations import migrate
from services.feedback.repository.bulk import CollisionError
from services.feedback.service.erasing import Erasing
from services.feedback.service.expiring import Expiring
from services.feedback.service.interactions import Interactions
from services.feedback.service.letters import Undertaker
from services.feedback.service.lineage import Lineage
from services.feedback.service.reading import Reading
from services.feedback.service.signals import Signals
from services.feedback.service.statistics import Counting
from services.feedback.service.telling import Telling
from services.feedback.settings import Settings
from services.feedback.tables import OUTBOX

log = structlog.get_logger(__name__)

_DESK: Final = Desk(name="feedback", contract=OPERATIONS, subject=subjects.feedback_call)
_SOURCE: Final = "llmos/feedback"


class Feedback:
    """One process; several may serve the same database."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("f")
        self._settings = settings
        self._said = asyncio.Event()
        """Something is in the outbox."""
        self._arrived = asyncio.Event()
        """Something came that signals may wait for."""
        self.database = Database(settings.database, fresh_plans=True)
        self.broker = make_broker(settings.nats, service="feedback", instance=self.instance)
        options = settings.nats.options(f"feedback.{self.instance}.intake", inbox_prefix=f"_INBOX.{self.instance}")
        self._bus = BusClient(options, on_state=self._on_bus)
        self._publisher = StoredPublisher(self._bus, source=_SOURCE, inbox=f"_INBOX.{self.instance}.said")
        self.signals = Signals(self.database, wait_s=settings.wait_s, wake=self._said)
        interactions = Interactions(
            self.database,
            policy=settings.content,
            redactor=lambda: Redactor().redact,
            arrived=self._arrived.set,
        )
        self._counting = Counting(self.database)
        self._undertaker = Undertaker(self.database)
        self._intakes = (
            self._intake(FEEDBACK_COMPLETED, interactions.take_completed),
            self._intake(FEEDBACK_CAPTURED, interactions.take_captured),
            self._intake(FEEDBACK_SIGNALS, self.signals.take),
        )
        self._rounds = self._make_rounds()
        self._datasets = Datasets(
            self.database,
            settings.database,
            BusRegistry(self._bus),
            settings.build_directory,
            told=self._said,
            pause_s=settings.build_s,
        )
        _DESK.subscribe(self.broker, self._operations())

    async def start(self) -> None:
        """Bring the schema up to date, then listen.

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
        self._datasets.start()
        log.info("feedback started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Finish the calls that run, then close everything; what is half done in the streams comes again."""
        await self._datasets.stop()
        for intake in self._intakes:
            await intake.stop()
        for rounds in self._rounds:
            await rounds.stop()
        await stop_broker(self.broker)
        await self._bus.close()
        await self.database.close()
        log.info("feedback stopped", instance=self.instance)

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            for intake in self._intakes:
                intake.reconnected()
            self._said.set()

    def _operations(self) -> dict[str, Operation]:
        reading = Reading(self.database)
        lineage = Lineage(self.database)
        return {
            **self._datasets.operations(),
            "statistics": self._counting.statistics,
            "dataset_origin": lineage.origin,
            "signal_reach": lineage.reach,
            "erase": Erasing(self.database).erase,
            "signal_record": self.signals.record,
            "interaction_list": reading.list,
            "interaction_show": reading.show,
            "dead_letter_list": reading.dead_letters,
        }

    def _make_rounds(self) -> tuple[Rounds, ...]:
        settings = self._settings
        relay = Relay(self.database, OUTBOX, self._publisher.store)
        expiring = Expiring(
            self.database,
            content_keep_days=settings.content_keep_days,
            inbox_keep_days=settings.inbox_keep_days,
        )
        telling = Telling(self.database, self._counting, self._said)
        return (
            Rounds("statistics", telling.tell, pause_s=settings.statistics_s),
            Rounds("relay", relay.send, pause_s=settings.retry_s, wake=self._said),
            Rounds(
                "sweep",
                self.signals.sweep,
                pause_s=settings.sweep_s,
                wake=self._arrived,
                at_once=(CollisionError,),
            ),
            Rounds("expire", expiring.expire, pause_s=settings.expire_s),
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
        return Intake(puller, record, self._undertaker.bury, retry_s=self._settings.retry_s)


def build_app(settings: Settings) -> Feedback:
    """Everything wired, nothing started."""
    return Feedback(settings)
