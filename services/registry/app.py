"""Puts one registry process together: database, store, bus, use cases, shutdown."""

import asyncio

import structlog

from libs.kit import clock
from libs.kit.broker import insist, is_connected, make_broker, stop_broker
from libs.kit.discovery import Discovery
from libs.kit.health import Health
from libs.kit.metrics.standing import show_database, show_outbox
from libs.kit.objects import ObjectStore
from libs.kit.objects_checked import CheckedObjects
from libs.kit.operators_broker import answer_operators
from libs.kit.page import Page
from libs.kit.postgres import Database
from libs.kit.serving import Operation
from services.registry import metrics
from services.registry.fleet import Fleet
from services.registry.handlers import DESK
from services.registry.leader import Leader
from services.registry.migrations import migrate
from services.registry.service.catalogue import Catalogue
from services.registry.service.deploying import Deployments
from services.registry.service.garbage import Collector
from services.registry.service.naming import Naming
from services.registry.service.publish import Publisher
from services.registry.service.reading import BlobReader
from services.registry.service.steps import StepListener, nobody
from services.registry.settings import Settings
from services.registry.steward import Steward
from services.registry.tables import OUTBOX
from services.registry.voice import Voice

log = structlog.get_logger(__name__)


class Registry:
    """One process; several may serve the same database."""

    def __init__(self, settings: Settings, passed: StepListener = nobody) -> None:
        self.instance = clock.new_instance_id("r")
        self._settings = settings
        self.database = Database(settings.database)
        self.store = ObjectStore(settings.objects)
        self.broker = make_broker(settings.nats, service="registry", instance=self.instance)
        self.health = Health()
        self.health.see("nats", lambda: is_connected(self.broker))
        self.health.ask("database", self.database.answers)
        self.health.ask("s3", self.store.answers)
        self.page = Page((settings.metrics_host, settings.metrics_port), self.health)
        show_database(self.page, self.database)
        show_outbox(self.page, self.database, OUTBOX)
        metrics.show(self.page, self.database)
        self._passed = passed
        self._wake = asyncio.Event()
        self.fleet = Fleet(beat_timeout_s=settings.beat_timeout_s, wake=self._wake)
        self.deployments = Deployments(
            database=self.database,
            fleet=self.fleet,
            adapter_grace_s=settings.adapter_grace_s,
            roll_timeout_s=settings.roll_timeout_s,
            wake=self._wake,
        )
        self._garbage = Collector(database=self.database, store=self.store, purge_after_s=settings.purge_after_s)
        self._steward: Steward | None = None
        self._calls = DESK.subscribe(self.broker, self._operations())
        discovery = Discovery("registry", self.instance, self.health)
        discovery.offer(DESK.subject, self._calls.tallies, queue_group=DESK.name)
        answer_operators(self.broker, "registry", settings, instance=self.instance, discovery=discovery)
        discovery.listen_at(self.broker)
        self.fleet.subscribe(self.broker)

    async def start(self) -> None:
        """Bring the schema up to date, then listen.

        Raises:
            ServiceError: `storage_unavailable`, the database did not answer in time.
            StartError: what is there will not serve this process, however long it is waited for.
            TimeoutError, NatsError: the bus did not answer.
            TimeoutError, NatsError: the bus did not.
            StartError: the page cannot be opened.
        """
        self.page.start()
        deadline_s = clock.monotonic_s() + self._settings.start_timeout_s
        await insist(lambda: migrate(self.database), deadline_s)
        await self.store.check_bucket()
        # While the bus is away the client tries for ever; a process that cannot serve should rather end and say why.
        async with asyncio.timeout(self._settings.start_timeout_s):
            await insist(self.broker.start, deadline_s)
            # Subscriptions are on their way only; whoever reads that we started may call at once.
            await self.broker.connection.flush()
        self._steward = self._make_steward()
        self._steward.start()
        log.info("registry started", instance=self.instance)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        try:
            await self.start()
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Finish the calls that run, then close everything."""
        if self._steward is not None:
            await self._steward.stop()
        # The broker waits for what runs; its own patience ends without an answer to anybody, so ours ends before.
        breaking_off = asyncio.get_running_loop().call_later(self._settings.drain_s, self._calls.break_off)
        await stop_broker(self.broker)
        breaking_off.cancel()
        await self.database.close()
        await self.page.stop()
        log.info("registry stopped", instance=self.instance)

    def _operations(self) -> dict[str, Operation]:
        settings = self._settings
        reader = BlobReader(self.store, settings.verify_parallel)
        publisher = Publisher(
            database=self.database,
            store=self.store,
            checked=CheckedObjects(settings.objects),
            reader=reader,
            upload_ttl_s=settings.upload_ttl_s,
            url_ttl_s=settings.url_ttl_s,
            passed=self._passed,
            wake=self._wake,
        )
        catalogue = Catalogue(database=self.database, store=self.store, reader=reader, url_ttl_s=settings.url_ttl_s)
        naming = Naming(database=self.database, wake=self._wake)
        return {
            "upload_begin": publisher.begin,
            "upload_commit": publisher.commit,
            "version_list": catalogue.list,
            "version_show": catalogue.show,
            "version_fetch": catalogue.fetch,
            "version_verify": catalogue.verify,
            "version_delete": catalogue.delete,
            "alias_set": naming.set,
            "alias_list": naming.list,
            "deployment_declare": self.deployments.declare,
            "deployment_show": self.deployments.show,
            "deployment_list": self.deployments.show_all,
            "garbage_collect": self._garbage.collect,
        }

    def _make_steward(self) -> Steward:
        return Steward(
            database=self.database,
            store=self.store,
            leader=Leader(self.database),
            fleet=self.fleet,
            deployments=self.deployments,
            voice=Voice(self.broker.connection),
            passed=self._passed,
            pause_s=self._settings.steward_s,
            announce_s=self._settings.announce_s,
            wake=self._wake,
        )


def build_app(settings: Settings, passed: StepListener = nobody) -> Registry:
    """Everything wired, nothing started; `passed` hears the named steps of a publication."""
    return Registry(settings, passed)
