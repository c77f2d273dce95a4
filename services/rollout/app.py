"""Puts one rollout process together: database, bus, calls, rounds, shutdown."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.rollouts import OPERATIONS, SPLITS_EVERY_S
from libs.contracts.topology import ROLLOUT_OBSERVED, ROLLOUT_SIGNALS, Consumer
from libs.kit.backend import Backend
from libs.kit.feedback_client import BusFeedback
from libs.kit.intake import Intake, Record
from libs.kit.leader import Leader
from libs.kit.registry_client import BusRegistry
from libs.kit.rounds import Rounds
from libs.kit.serving import Desk, Operation
from libs.kit.trainer_client import BusTrainer
from services.rollout import metrics
from services.rollout.domain.validating import check_plan
from services.rollout.ground import Ground
from services.rollout.loops.part import Loops
from services.rollout.migrations import migrate
from services.rollout.running.carrying import Carrying
from services.rollout.running.speaking import Speaking
from services.rollout.service.looking import Looking
from services.rollout.service.observing import Observing
from services.rollout.service.ordering import Ordering
from services.rollout.service.steering import Steering
from services.rollout.settings import Settings
from services.rollout.tables import OUTBOX, SCHEMA

_DESK: Final = Desk(name="rollout", contract=OPERATIONS, subject=subjects.rollout_call)
_RENEWALS: Final = 5
"""Of the lead, in its length."""


class RolloutService(Backend):
    """One process; several may serve the same database, one of them leads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_DESK, settings, migrate, letter="o")
        self._settings = settings
        self.leader = Leader(self.database, self.instance, schema=SCHEMA, lease_s=settings.lease_s)
        self.ground = Ground(
            instance=self.instance,
            settings=settings,
            database=self.database,
            leader=self.leader,
            registry=BusRegistry(self.bus),
            feedback=BusFeedback(self.bus),
            trainer=BusTrainer(self.bus),
            told=self.told,
        )
        metrics.show(self.page, self.database, self.leader)
        rollouts = self._rollout_operations()
        loops = Loops(self.ground, rollouts, check_plan)
        observing = Observing(self.database, keep_days=settings.keep_days)
        self.answer({**rollouts, **loops.operations()})
        self.send(OUTBOX)
        self.work(
            Rounds("lead", self.leader.check, pause_s=settings.lease_s / _RENEWALS),
            Rounds("rollouts", Carrying(self.ground).look, pause_s=settings.look_s, wake=self.ground.wake),
            Rounds("splits", Speaking(self.ground, self.bus).speak, pause_s=SPLITS_EVERY_S, wake=self.ground.spoken),
            Rounds("expire", observing.expire, pause_s=settings.expire_s),
            *loops.rounds(),
            self._intake(ROLLOUT_OBSERVED, observing.observed),
            self._intake(ROLLOUT_SIGNALS, observing.said),
        )

    async def rest(self) -> None:
        """End the work in the background, then give the lead away."""
        await super().rest()
        await self.leader.resign()

    def reconnected(self) -> None:
        """The bus is there: gateways are told anew, too."""
        super().reconnected()
        self.ground.spoken.set()

    def _rollout_operations(self) -> dict[str, Operation]:
        looking = Looking(self.ground)
        return {
            "rollout_order": Ordering(self.ground).order,
            "rollout_list": looking.list,
            "rollout_show": looking.show,
            **Steering(self.ground).operations(),
        }

    def _intake(self, consumer: Consumer, record: Record) -> Intake:
        return self.take(consumer, record, batch=self._settings.batch)


def build_app(settings: Settings) -> RolloutService:
    """Everything wired, nothing started."""
    return RolloutService(settings)
