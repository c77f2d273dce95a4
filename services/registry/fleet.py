"""What the workers last said of themselves, and whether we have listened long enough to believe their silence."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import WorkerBeat, WorkerState
from libs.kit import clock
from libs.kit.bus import BusClient

log = structlog.get_logger(__name__)

_decode: Final = msgspec.json.Decoder(WorkerBeat).decode


@dataclass(frozen=True, slots=True)
class _Heard:
    beat: WorkerBeat
    at_s: float


@dataclass(kw_only=True)
class Fleet:
    """Workers of every pool, by their beats."""

    beat_timeout_s: float
    wake: asyncio.Event
    """Set when a worker says something new of what it has loaded."""
    _heard: dict[str, _Heard] = field(default_factory=dict)
    _looked_s: float | None = None
    _listening_since_s: float | None = None

    def subscribe(self, bus: BusClient) -> None:
        """Hear every beat."""
        bus.subscribe(subjects.ALL_BEATS, lambda message: self.hear(message.subject, message.payload))

    def hear(self, subject: str, payload: bytes) -> None:
        """Take one beat; what cannot be read, or speaks for another, is logged and left."""
        try:
            beat = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("beat cannot be read", subject=subject, reason=str(error))
            return
        if not subjects.is_token(beat.worker) or subject != subjects.beat(beat.worker):
            log.error("beat does not fit its subject", subject=subject, worker=beat.worker)
            return
        before = self._heard.pop(beat.worker, None)
        if beat.state is not WorkerState.STOPPED:
            self._heard[beat.worker] = _Heard(beat, clock.monotonic_s())
        if before is None or _matters(before.beat) != _matters(beat):
            self.wake.set()

    def look(self, *, connected: bool) -> None:
        """To be called often: notices times in which nothing could be heard, for silence then means nothing."""
        now_s = clock.monotonic_s()
        slept = self._looked_s is not None and now_s - self._looked_s > self.beat_timeout_s / 2
        self._looked_s = now_s
        if not connected:
            self._listening_since_s = None
        elif self._listening_since_s is None or slept:
            self._listening_since_s = now_s

    @property
    def is_known(self) -> bool:
        """Whether every living worker must have been heard by now."""
        since_s = self._listening_since_s
        return since_s is not None and clock.monotonic_s() - since_s >= self.beat_timeout_s

    def workers(self, pool: str) -> list[WorkerBeat]:
        """The last beat of each worker of `pool` that is not silent for too long, by name."""
        oldest_s = clock.monotonic_s() - self.beat_timeout_s
        self._heard = {worker: heard for worker, heard in self._heard.items() if heard.at_s >= oldest_s}
        found = [heard.beat for heard in self._heard.values() if heard.beat.pool == pool]
        return sorted(found, key=lambda beat: (beat.name, beat.worker))

    def has_loaded(self, pool: str, revision: int, reference: str) -> bool:
        """Whether every ready worker has taken in this revision and offers this version; other versions do not matter.

        True of a pool without living workers, as soon as its silence can be believed.
        """
        workers = self.workers(pool)
        if not workers:
            return self.is_known
        ready = [beat for beat in workers if beat.state is WorkerState.READY]
        return bool(ready) and all(
            beat.revision == revision and any(reference in (model.name, model.version) for model in beat.models)
            for beat in ready
        )


def _matters(beat: WorkerBeat) -> tuple[object, ...]:
    return beat.revision, beat.base, beat.state, beat.models, beat.missing, beat.deployment_error
