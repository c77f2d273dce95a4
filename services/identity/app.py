"""Puts one identity process together: database, bus, calls, rounds, shutdown."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.identity import KEYS_EVERY_S, OPERATIONS
from libs.kit.backend import Backend
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk
from services.identity import metrics
from services.identity.ground import Ground
from services.identity.limits.desk import LeasingDesk
from services.identity.migrations import migrate
from services.identity.service.keys import Keys
from services.identity.service.organising import Organising
from services.identity.service.projects import Projects
from services.identity.service.reporting import Reporting
from services.identity.service.telling import Telling
from services.identity.settings import Settings
from services.identity.tables import OUTBOX

_DESK: Final = Desk(name="identity", contract=OPERATIONS, subject=subjects.identity_call)


class IdentityService(Backend):
    """One process; several may serve the same database: each says what it says, and one of them grants limits."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, migrate, letter="d")
        self.ground = Ground(instance=self.instance, settings=settings, database=self.database, told=self.told)
        telling = Telling(self.ground, self.bus)
        leasing = LeasingDesk(self.ground, self.bus)
        self.discovery.offer(subjects.identity_call, leasing.tallies)
        metrics.show(self.page, self.database, lambda: leasing.leads)
        self.answer(
            {
                **Organising(self.ground).operations(),
                **Projects(self.ground).operations(),
                **Keys(self.ground).operations(),
                **Reporting(self.ground).operations(),
                "keys_since": telling.since,
            }
        )
        self.send(OUTBOX)
        self.work(
            Rounds("keys", telling.speak, pause_s=KEYS_EVERY_S, wake=self.ground.spoken),
            leasing,
        )

    def reconnected(self) -> None:
        """The bus is there: gateways are told anew, too."""
        super().reconnected()
        self.ground.spoken.set()


def build_app(settings: Settings) -> IdentityService:
    """Everything wired, nothing started."""
    return IdentityService(settings)
