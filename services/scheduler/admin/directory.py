"""Every worker by its last beat, of whatever pool, so that any scheduler can tell of all of them."""

from typing import Final, NamedTuple

from libs.contracts import subjects
from libs.contracts.inference import WorkerBeat, WorkerState
from libs.kit import clock
from libs.kit.errors import ServiceError

_GONE_S: Final = 5.0
"""A worker that is silent for longer is not shown any more."""
_MAX_SHOWN: Final = 80


class Heard(NamedTuple):
    """A beat, and when it came."""

    beat: WorkerBeat
    at_s: float


class Directory:
    """Keeps one beat of each worker."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}

    def hear(self, beat: WorkerBeat) -> None:
        """Take in what a worker says of itself."""
        if beat.state is WorkerState.STOPPED:
            self._heard.pop(beat.worker, None)
        elif subjects.is_token(beat.pool):
            self._heard[beat.worker] = Heard(beat, clock.monotonic_s())

    def all(self, pool: str = "") -> list[Heard]:
        """Workers that have beaten lately, by id; those of `pool` if one is named."""
        before_s = clock.monotonic_s() - _GONE_S
        for worker in [worker for worker, heard in self._heard.items() if heard.at_s < before_s]:
            del self._heard[worker]
        return [self._heard[worker] for worker in sorted(self._heard) if pool in ("", self._heard[worker].beat.pool)]

    def find(self, wanted: str) -> Heard:
        """The worker of this id, or else the newest one of this name.

        Raises:
            ServiceError: `not_found`; `conflict`, there are workers of this name in several pools.
        """
        alive = self.all()
        found = [heard for heard in alive if heard.beat.worker == wanted]
        found = found or [heard for heard in alive if heard.beat.name == wanted]
        if not found:
            raise ServiceError("not_found", f"There is no worker `{wanted[:_MAX_SHOWN]}`.")
        if len({heard.beat.pool for heard in found}) > 1:
            text = f"There are workers called `{wanted[:_MAX_SHOWN]}` in several pools; name one by its id."
            raise ServiceError("conflict", text)
        return max(found, key=lambda heard: heard.at_s)

    def running(self, request_id: str) -> str:
        """The worker whose last beat says that it runs this request; empty if there is none."""
        for heard in self.all():
            if any(run.request_id == request_id for run in heard.beat.running):
                return heard.beat.worker
        return ""
