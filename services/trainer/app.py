"""Puts one trainer together: database, bus, calls, the worker, shutdown."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.training import OPERATIONS, JobChanged, JobProgressed
from libs.kit import clock
from libs.kit.broker import insist, make_broker, stop_broker
from libs.kit.bus import BusClient, BusError, Message
from libs.kit.bus.stored import StoredPublisher
from libs.kit.fetch.cache import Cache
from libs.kit.outbox import Relay
from libs.kit.postgres import Database
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.trainer.migrations import migrate
from services.trainer.running.code import code_version
from services.trainer.running.context import Context
from services.trainer.running.runner import Runner
from services.trainer.running.space import Space
from services.trainer.running.tidying import Tidying
from services.trainer.service.ordering import Ordering
from services.trainer.service.resolving import Resolver
from services.trainer.service.steering import Steering
from services.trainer.settings import Settings
from services.trainer.tables import OUTBOX

log = structlog.get_logger(__name__)

_DESK: Final = Desk(name="trainer", contract=OPERATIONS, subject=subjects.trainer_call)
_SOURCE: Final = "llmos/trainer"
_CACHE: Final = "versions"


class Trainer:
    """One process; several may serve the same database, each carries out one job at a time."""

    def __init__(self, settings: Settings) -> None:
        self.instance = clock.new_instance_id("t")
        self._settings = settings
        self._told = asyncio.Event()
        """Something is in the outbox."""
        self._wake = asyncio.Event()
        """There may be a job to do."""
        self._ended = asyncio.Event()
        """There may be something to tidy up."""
        self.database = Database(settings.database)
        self.broker = make_broker(settings.nats, service="trainer", instance=self.instance)
        options = settings.nats.options(f"trainer.{self.instance}.calls", inbox_prefix=f"_INBOX.{self.instance}")
        self._bus = BusClient(options, on_state=self._on_bus)
        self._publisher = StoredPublisher(self._bus, source=_SOURCE, inbox=f"_INBOX.{self.instance}.said")
        self._registry = BusRegistry(self._bus)
        self._space = Space(settings.directory)
        self._runner = Runner(self._context(), wake=self._wake)
        self._rounds = (
            Rounds(
                "relay",
                Relay(self.database, OUTBOX, self._publisher.store).send,
                pause_s=settings.retry_s,
                wake=self._told,
            ),
            Rounds("tidy", Tidying(self.database, self._registry).tidy, pause_s=10 * settings.look_s, wake=self._ended),
        )
        _DESK.subscribe(self.broker, self._operations())

    async def start(self) -> None:
        """Bring the schema up to date, then listen and work.

        Raises:
            ServiceError: `storage_unavailable`, the database did not answer in time; `conflict`, another process works
                in the same directory.
            BusError, NatsError, OSError: the bus did not answer in time.
        """
        deadline_s = clock.monotonic_s() + self._settings.start_timeout_s
        await asyncio.to_thread(self._space.open)
        await insist(lambda: migrate(self.database), deadline_s)
        await insist(self._bus.connect, deadline_s)
        # While the bus is away the client tries for ever; a process that cannot serve should rather end and say why.
        async with asyncio.timeout(self._settings.start_timeout_s):
            await insist(self.broker.start, deadline_s)
            # Subscriptions are on their way only; whoever reads that we started may call at once.
            await self.broker.connection.flush()
        self._publisher.start()
        self._bus.subscribe(subjects.JOB_CHANGED, self._on_changed)
        for rounds in self._rounds:
            rounds.start()
        self._runner.start()
        log.info("trainer started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Put the job back with its checkpoint, finish the calls that run, then close everything."""
        await self._runner.stop()
        await stop_broker(self.broker)
        for rounds in self._rounds:
            await rounds.stop()
        await self._bus.close()
        await self.database.close()
        await asyncio.to_thread(self._space.close)
        log.info("trainer stopped", instance=self.instance)

    def _context(self) -> Context:
        settings = self._settings
        return Context(
            instance=self.instance,
            settings=settings,
            database=self.database,
            registry=self._registry,
            space=self._space,
            cache=Cache(settings.cache_directory or settings.directory / _CACHE, settings.cache_bytes),
            code=settings.code or code_version(),
            tell=self._tell,
            told=self._told,
        )

    def _operations(self) -> dict[str, Operation]:
        ordering = Ordering(self.database, Resolver(self._registry), wake=self._wake, told=self._told)
        steering = Steering(self.database, wake=self._wake, told=self._told)
        return {
            "training_order": ordering.training,
            "evaluation_order": ordering.evaluation,
            "job_list": steering.list,
            "job_show": steering.show,
            "job_log": steering.log,
            "job_pause": steering.pause,
            "job_resume": steering.resume,
            "job_cancel": steering.cancel,
        }

    def _tell(self, progressed: JobProgressed) -> None:
        """For whoever looks on; nobody misses what is lost."""
        try:
            self._bus.publish(subjects.job_progress(progressed.job), msgspec.json.encode(progressed))
        except BusError as error:
            log.debug("progress not told", job=progressed.job, reason=str(error))

    def _on_changed(self, message: Message) -> None:
        try:
            changed = msgspec.json.decode(message.payload, type=JobChanged)
        except msgspec.MsgspecError as error:
            log.error("event cannot be read", subject=message.subject, reason=str(error))
            return
        self._runner.changed(changed.job)
        self._ended.set()

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus's own callback
        if connected:
            self._told.set()


def build_app(settings: Settings) -> Trainer:
    """Everything wired, nothing started."""
    return Trainer(settings)
