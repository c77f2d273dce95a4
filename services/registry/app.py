"""Puts one registry process together: database, store, bus, use cases, shutdown."""

from typing import Final

from libs.kit.backend import Backend
from libs.kit.metrics.standing import show_outbox
from libs.kit.objects import ObjectStore
from libs.kit.objects_checked import CheckedObjects
from libs.kit.postgres import Database
from libs.kit.serving import Operation
from services.registry import metrics
from services.registry.fleet import Fleet
from services.registry.handlers import DESK
from services.registry.leader import Leader
from services.registry.migrations import migrate
from services.registry.service.adjusting import Adjusting
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

_LOOKS: Final = 4
"""In the time for which a worker may be silent, at least, whatever is amiss."""


class Registry(Backend):
    """One process; several may serve the same database, one of them leads."""

    def __init__(self, settings: Settings, passed: StepListener = nobody) -> None:
        super().__init__(DESK, settings, self._prepare, letter="r")
        self._settings = settings
        self._passed = passed
        self.store = ObjectStore(settings.objects)
        self.health.ask("s3", self.store.answers)
        show_outbox(self.page, self.database, OUTBOX)
        metrics.show(self.page, self.database)
        self.fleet = Fleet(beat_timeout_s=settings.beat_timeout_s, wake=self.told)
        self.fleet.subscribe(self.bus)
        self.deployments = Deployments(
            database=self.database,
            fleet=self.fleet,
            adapter_grace_s=settings.adapter_grace_s,
            roll_timeout_s=settings.roll_timeout_s,
            wake=self.told,
        )
        self._garbage = Collector(database=self.database, store=self.store, purge_after_s=settings.purge_after_s)
        self.answer(self._operations())
        self.work(self._make_steward())

    async def _prepare(self, database: Database) -> None:
        await migrate(database)
        await self.store.check_bucket()

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
            wake=self.told,
        )
        catalogue = Catalogue(database=self.database, store=self.store, reader=reader, url_ttl_s=settings.url_ttl_s)
        naming = Naming(database=self.database, wake=self.told)
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
            "deployment_adjust": Adjusting(deployments=self.deployments).adjust,
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
            voice=Voice(self.bus, self.instance),
            passed=self._passed,
            pause_s=self._settings.steward_s,
            # A longer pause would look to the fleet like a time in which nothing could be heard.
            retry_s=min(self._settings.retry_s, self._settings.beat_timeout_s / _LOOKS),
            announce_s=self._settings.announce_s,
            wake=self.told,
        )


def build_app(settings: Settings, passed: StepListener = nobody) -> Registry:
    """Everything wired, nothing started; `passed` hears the named steps of a publication."""
    return Registry(settings, passed)
