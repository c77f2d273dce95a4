"""What loops give to the process: the calls that they answer, and the work that is done again and again."""

from libs.contracts.calls import Empty
from libs.contracts.rollouts import OPERATIONS
from libs.kit.errors import ServiceError
from libs.kit.rounds import Rounds
from libs.kit.serving import Operation
from services.rollout.ground import Ground


class Loops:
    """Loops and their turns."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def operations(self) -> dict[str, Operation]:
        """The calls of loops and turns."""
        return {name: _absent for name in OPERATIONS if name.startswith(("loop_", "turn_"))}

    def rounds(self) -> tuple[Rounds, ...]:
        """What is done while this process leads."""
        return ()


async def _absent(_: object) -> Empty:
    raise ServiceError("rollout_unavailable", "This process runs no loops.")
