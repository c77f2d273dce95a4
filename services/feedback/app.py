"""Puts one feedback process together: database, bus, use cases, shutdown."""

import asyncio
from typing import Final

from libs.contracts import subjects
from libs.contracts.feedback import OPERATIONS
from libs.contracts.topology import FEEDBACK_CAPTURED, FEEDBACK_COMPLETED, FEEDBACK_SIGNALS, Consumer
from libs.kit.backend import Backend
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from services.feedback import metrics
from services.feedback.datasets.redact import Redactor
from services.feedback.datasets.service import Datasets
from services.feedback.intake import Intake, Record
from services.feedback.migrations import migrate
from services.feedback.repository.bulk import CollisionError
from services.feedback.service.erasing import Erasing
from services.feedback.service.expiring import Expiring
from services.feedback.service.interactions import Interactions
from services.feedback.service.kept import KeptLetters
from services.feedback.service.letters import Undertaker
from services.feedback.service.lineage import Lineage
from services.feedback.service.reading import Reading
from services.feedback.service.signals import Signals
from services.feedback.service.statistics import Counting
from services.feedback.service.telling import Telling
from services.feedback.settings import Settings
from services.feedback.tables import OUTBOX

_DESK: Final = Desk(name="feedback", contract=OPERATIONS, subject=subjects.feedback_call)


class Feedback(Backend):
    """One process; several may serve the same database."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, migrate, letter="f", fresh_plans=True)
        self._settings = settings
        self._arrived = asyncio.Event()
        """Something came that signals may wait for."""
        self.signals = Signals(self.database, wait_s=settings.wait_s, wake=self.told)
        self._interactions = Interactions(
            self.database,
            policy=settings.content,
            redactor=lambda: Redactor().redact,
            arrived=self._arrived.set,
        )
        self._counting = Counting(self.database)
        self._datasets = Datasets(
            self.database,
            settings.database,
            BusRegistry(self.bus),
            settings.build_directory,
            told=self.told,
            pause_s=settings.build_s,
        )
        self.answer(self._operations())
        self.keep_letters(self._kept())
        self.send(OUTBOX)
        metrics.show(self.page, self.database)
        self.work(*self._rounds(), *self._intakes(), self._datasets)

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

    def _rounds(self) -> tuple[Rounds, ...]:
        settings = self._settings
        expiring = Expiring(
            self.database,
            content_keep_days=settings.content_keep_days,
            inbox_keep_days=settings.inbox_keep_days,
        )
        telling = Telling(self.database, self._counting, self.told)
        collisions = (CollisionError,)
        return (
            Rounds("statistics", telling.tell, pause_s=settings.statistics_s),
            Rounds("sweep", self.signals.sweep, pause_s=settings.sweep_s, wake=self._arrived, at_once=collisions),
            Rounds("expire", expiring.expire, pause_s=settings.expire_s),
        )

    def _intakes(self) -> tuple[Intake, ...]:
        return (
            self._intake(FEEDBACK_COMPLETED, self._interactions.take_completed),
            self._intake(FEEDBACK_CAPTURED, self._interactions.take_captured),
            self._intake(FEEDBACK_SIGNALS, self.signals.take),
        )

    def _kept(self) -> KeptLetters:
        ways = {
            subjects.COMPLETED: self._interactions.retake_completed,
            subjects.CAPTURED: self._interactions.retake_captured,
            subjects.RECORD_SIGNAL: self.signals.retake,
        }
        return KeptLetters(self.database, ways)

    def _intake(self, consumer: Consumer, record: Record) -> Intake:
        undertaker = Undertaker(self.database)
        return Intake(self.pull(consumer, self._settings.batch), record, undertaker.bury, retry_s=self._retry_s)


def build_app(settings: Settings) -> Feedback:
    """Everything wired, nothing started."""
    return Feedback(settings)
