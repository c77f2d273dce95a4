"""Which gateway processes have been heard of, and when: an answer for a dead gateway only costs the engine."""

from collections.abc import Iterable
from typing import Final

from libs.kit import clock

BEAT_S: Final = 1.0
MISSED_BEATS: Final = 5


class Gateways:
    """Remembers the last beat of each gateway."""

    def __init__(self) -> None:
        self._heard_s: dict[str, float] = {}
        self._since_s = clock.monotonic_s()

    def heard(self, gateway: str) -> None:
        """A beat came."""
        self._heard_s[gateway] = clock.monotonic_s()

    def restart(self) -> None:
        """The bus was away: nobody could be heard, so all silence begins now."""
        self._since_s = clock.monotonic_s()

    def silent(self, waiting: Iterable[tuple[str, float]]) -> set[str]:
        """Gateways among `waiting` (gateway, monotonic time of its request in seconds) that missed five beats."""
        now_s = clock.monotonic_s()
        limit_s = BEAT_S * MISSED_BEATS
        return {
            gateway
            for gateway, asked_s in waiting
            if now_s - max(self._heard_s.get(gateway, 0.0), asked_s, self._since_s) > limit_s
        }

    def forget(self, keep: set[str]) -> None:
        """Drop those that have been silent for long and have nothing running here."""
        now_s = clock.monotonic_s()
        old = [name for name, at_s in self._heard_s.items() if now_s - at_s > 60 * BEAT_S and name not in keep]
        for name in old:
            del self._heard_s[name]
