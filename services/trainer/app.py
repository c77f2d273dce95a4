"""Puts one trainer together: database, bus, calls, the worker, shutdown."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.training import OPERATIONS, JobChanged, JobProgressed
from libs.kit.backend import Backend
from libs.kit.bus import BusError, Message
from libs.kit.fetch.cache import Cache
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.trainer import metrics
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
_CACHE: Final = "versions"


class Trainer(Backend):
    """One process; several may serve the same database, each carries out one job at a time."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, migrate, letter="t")
        self._settings = settings
        self._wake = asyncio.Event()
        """There may be a job to do."""
        self._ended = asyncio.Event()
        """There may be something to tidy up."""
        self._registry = BusRegistry(self.bus)
        self._space = Space(settings.directory)
        self._runner = Runner(self._context(), wake=self._wake)
        tidying = Tidying(self.database, self._registry)
        self.answer(self._operations())
        self.send(OUTBOX)
        self.work(Rounds("tidy", tidying.tidy, pause_s=10 * settings.look_s, wake=self._ended), self._runner)
        self.bus.subscribe(subjects.JOB_CHANGED, self._on_changed)
        metrics.show(self.page, self.database)

    async def start(self) -> None:
        """Take the directory, bring the schema up to date, then listen and work.

        Raises:
            ServiceError: `conflict`, another process works in the same directory; else as `Backend.start`.
            BusError, NatsError, OSError: as there.
        """
        await asyncio.to_thread(self._space.open)
        await super().start()

    async def stop(self) -> None:
        """Put the job back with its checkpoint, finish the calls that run, then close everything."""
        await super().stop()
        await asyncio.to_thread(self._space.close)

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
            told=self.told,
        )

    def _operations(self) -> dict[str, Operation]:
        ordering = Ordering(self.database, Resolver(self._registry), wake=self._wake, told=self.told)
        steering = Steering(self.database, wake=self._wake, told=self.told)
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
            self.bus.publish(subjects.job_progress(progressed.job), msgspec.json.encode(progressed))
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


def build_app(settings: Settings) -> Trainer:
    """Everything wired, nothing started."""
    return Trainer(settings)
