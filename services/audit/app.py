"""Puts one audit process together: database, bus, the work queue, calls, heads, shutdown."""

import asyncio
from typing import Final

from libs.contracts import subjects
from libs.contracts.audit import OPERATIONS
from libs.contracts.topology import AUDIT_ENTRIES
from libs.kit.backend import Backend
from libs.kit.bus.stored import StoredPublisher
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk
from services.audit import metrics
from services.audit.chain import Chain
from services.audit.heads import Heads
from services.audit.migrations import expect
from services.audit.reading import Reading
from services.audit.recording import Recording
from services.audit.settings import Settings

_DESK: Final = Desk(name="audit", contract=OPERATIONS, subject=subjects.audit_call)


class AuditService(Backend):
    """One process; several may serve the same database, and append one after the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, expect, letter="a")
        publisher = StoredPublisher(self.bus, source="llmos/audit", inbox=f"_INBOX.{self.instance}.said")
        publisher.start()
        chain = Chain(settings.key())
        self._grown = asyncio.Event()
        heads = Heads(self.bus, self.database, publisher)
        self.answer(Reading(self.database, chain, heads).operations())
        metrics.show(self.page, self.database, heads)
        recording = Recording(self.database, chain, heads, self._grown)
        self.work(
            Rounds("heads", heads.say, pause_s=settings.heads_every_s, wake=self._grown),
            self.take(AUDIT_ENTRIES, recording.record, batch=settings.batch),
        )


def build_app(settings: Settings) -> AuditService:
    """Everything wired, nothing started.

    Raises:
        ValueError: the key cannot be used any more.
    """
    return AuditService(settings)
