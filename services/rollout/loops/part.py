"""What loops give to the process: the calls that they answer, and the work that is done again and again."""

from collections.abc import Callable, Mapping
from typing import Final

from libs.contracts.rollouts import RolloutPlan
from libs.kit.rounds import Rounds
from libs.kit.serving import Operation
from services.rollout.ground import Ground
from services.rollout.loops.driving import Driver
from services.rollout.loops.others import Others, Within
from services.rollout.loops.service import Loops as Calls

_COUNT_LOOKS: Final = 5
"""A look costs a few small calls; counting judgements costs feedback a query over all that are new."""


class Loops:
    """Loops and their turns."""

    def __init__(
        self, ground: Ground, rollouts: Mapping[str, Operation], check_rollout: Callable[[RolloutPlan], None]
    ) -> None:
        """Prepare.

        Args:
            ground: what everything in this process stands on.
            rollouts: the calls about rollouts, answered by this process.
            check_rollout: refuses plans that cannot be carried out.
        """
        self._ground = ground
        others = Others(
            feedback=ground.feedback, trainer=ground.trainer, registry=ground.registry, rollouts=Within(rollouts)
        )
        self._driver = Driver(
            ground.database,
            ground.leader,
            others,
            told=ground.told,
            count_s=_COUNT_LOOKS * ground.settings.look_s,
        )
        self._calls = Calls(
            ground.database, self._driver, ground.feedback, check_rollout=check_rollout, wake=ground.turned
        )

    def operations(self) -> dict[str, Operation]:
        """The calls of loops and turns."""
        return self._calls.operations()

    def rounds(self) -> tuple[Rounds, ...]:
        """What is done while this process leads."""
        look_s = self._ground.settings.look_s
        return (Rounds("loops", self._driver.round, pause_s=look_s, wake=self._ground.turned),)
