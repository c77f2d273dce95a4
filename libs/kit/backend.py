"""One process of a service that has a database and answers calls: what it stands on, how it begins and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from libs.contracts.topology import Consumer
from libs.kit import clock
from libs.kit.broker import insist, is_connected, make_broker, stop_broker
from libs.kit.bus import BusClient
from libs.kit.bus.batches import BatchConsumer
from libs.kit.bus.stored import StoredPublisher
from libs.kit.discovery import Discovery
from libs.kit.health import Health
from libs.kit.intake import Intake, Record
from libs.kit.letters import DeadLetters
from libs.kit.metrics import standing
from libs.kit.metrics.connection import show_bus
from libs.kit.operators import LetterKeeper, operators_desk
from libs.kit.outbox import BundledOutbox, Outbox, Relay
from libs.kit.page import Page
from libs.kit.postgres import Database
from libs.kit.rounds import Rounds
from libs.kit.serving import Calls, Desk, Operation
from libs.kit.settings import BackendSettings

log = structlog.get_logger(__name__)


class Worker(Protocol):
    """Something that works in the background: rounds, an intake, a runner of jobs."""

    def start(self) -> None:
        """Work until `stop`."""

    async def stop(self) -> None:
        """End soon; what is half done is done again by another process, or the next."""


class Backend:
    """Several processes may serve the same database.

    A service derives its own from this one, and says in its `__init__` what it does: `answer` calls, `send` what its
    outbox holds, `work` in the background.
    """

    def __init__(
        self,
        desk: Desk,
        settings: BackendSettings,
        migrate: Callable[[Database], Awaitable[None]],
        *,
        letter: str,
        fresh_plans: bool = False,
    ) -> None:
        """Wire the connections; none is made yet.

        Args:
            desk: the name of the service, and the calls that it answers.
            settings: where the bus and the database are.
            migrate: brings the schema up to date.
            letter: what the names of its processes begin with.
            fresh_plans: see `Database`.
        """
        self.name = desk.name
        self.instance = clock.new_instance_id(letter)
        self._desk = desk
        self._start_timeout_s = settings.start_timeout_s
        self._retry_s = settings.retry_s
        self._drain_s = settings.drain_s
        self._calls: list[Calls] = []
        self._migrate = migrate
        options = settings.nats.options(f"{self.name}.{self.instance}", inbox_prefix=f"_INBOX.{self.instance}")
        self.database = Database(settings.database, fresh_plans=fresh_plans)
        self.broker = make_broker(settings.nats, service=self.name, instance=self.instance)
        self.bus = BusClient(options, on_state=self._on_bus)
        self.health = Health()
        self.health.see("nats", lambda: self.bus.connected and is_connected(self.broker))
        self.health.ask("database", self.database.answers)
        self.discovery = Discovery(self.name, self.instance, self.health)
        self.discovery.listen(self.bus)
        self.page = Page((settings.metrics_host, settings.metrics_port), self.health)
        show_bus(self.page, self.bus)
        standing.show_database(self.page, self.database)
        self.told = asyncio.Event()
        """To be set after each transaction that has put something into the outbox."""
        self._letters = DeadLetters(self.bus, self.name, f"_INBOX.{self.instance}")
        self._operators = operators_desk(
            self.bus, self.name, settings, instance=self.instance, dead_letters=self._letters
        )
        self._relay: Rounds | None = None
        self._consumers: list[BatchConsumer] = []
        standing.show_intakes(self.page, self._consumers)
        self._workers: list[Worker] = []

    def answer(self, operations: Mapping[str, Operation]) -> None:
        """Answer every call of the contract with its function in `operations`."""
        calls = self._desk.subscribe(self.broker, operations)
        self._calls.append(calls)
        self.discovery.offer(self._desk.subject, calls.tallies, queue_group=self.name)

    def send(self, outbox: Outbox | BundledOutbox) -> None:
        """Announce what transactions leave in `outbox`, until the last call is answered."""
        publisher = StoredPublisher(self.bus, source=f"llmos/{self.name}", inbox=f"_INBOX.{self.instance}.said")
        publisher.start()
        standing.show_outbox(self.page, self.database, outbox)
        relay = Relay(self.database, outbox, publisher.store)
        self._relay = Rounds("relay", relay.send, pause_s=self._retry_s, wake=self.told)

    def work(self, *workers: Worker) -> None:
        """Start these in order when everything stands, and stop them in the opposite order, before anything else."""
        self._workers += workers

    def pull(self, consumer: Consumer, batch: int) -> BatchConsumer:
        """Take batches from a stream, through one of its durable consumers."""
        pulling = BatchConsumer(
            self.bus,
            stream=consumer.stream,
            durable=consumer.durable,
            inbox=f"_INBOX.{self.instance}.{consumer.durable}",
            lease_s=consumer.ack_wait_s,
            batch=batch,
            retry_s=self._retry_s,
        )
        self._consumers.append(pulling)
        return pulling

    def take(self, consumer: Consumer, record: Record, *, batch: int) -> Intake:
        """Have batches from a stream recorded; what cannot be is a dead letter of the service."""
        return Intake(self.pull(consumer, batch), record, self._letters.of(consumer, record), retry_s=self._retry_s)

    def keep_letters(self, keeper: LetterKeeper) -> None:
        """Have `keeper` answer operators about dead letters, of a service that keeps them itself."""
        self._operators.letters = keeper

    async def start(self) -> None:
        """Bring the schema up to date, then listen and work.

        Raises:
            ServiceError: `storage_unavailable`, the database did not answer in time.
            BusError, NatsError, OSError: the bus did not.
            StartError: what is there will not serve this process, however long it is waited for.
        """
        self.page.start()
        deadline_s = clock.monotonic_s() + self._start_timeout_s
        await insist(lambda: self._migrate(self.database), deadline_s)
        await insist(self.bus.connect, deadline_s)
        # While the bus is away the client tries for ever; a process that cannot serve should rather end and say why.
        async with asyncio.timeout(self._start_timeout_s):
            await insist(self.broker.start, deadline_s)
            # Subscriptions are on their way only; whoever reads that we started may call at once.
            await self.broker.connection.flush()
        self._operators.start(self.discovery)
        await insist(self.bus.flush, deadline_s)
        if self._relay is not None:
            self._relay.start()
        for worker in self._workers:
            worker.start()
        log.info("%s started", self.name, instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End the work, finish the calls that run, then close everything."""
        await self.rest()
        # The broker waits for what runs; its own patience ends without an answer to anybody, so ours ends before.
        breaking_off = asyncio.get_running_loop().call_later(self._drain_s, self._break_off)
        await stop_broker(self.broker)
        breaking_off.cancel()
        if self._relay is not None:
            await self._relay.stop()
        await self._operators.stop()
        await self.bus.close()
        await self.database.close()
        await self.page.stop()
        log.info("%s stopped", self.name, instance=self.instance)

    async def rest(self) -> None:
        """End the work in the background; calls are still answered."""
        for worker in reversed(self._workers):
            await worker.stop()

    def reconnected(self) -> None:
        """The bus is there: what was told while it was away is looked for."""
        for consumer in self._consumers:
            consumer.reconnected()
        self.told.set()

    def _break_off(self) -> None:
        for calls in self._calls:
            calls.break_off()

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            self.reconnected()
