"""What was begun within the last minute, by the second."""

from collections import deque
from typing import Final

from libs.contracts.identity import RATE_WINDOW_S

_KEPT: Final = int(RATE_WINDOW_S) + 1
"""Seconds that count: the oldest one may have begun within the minute."""
_RECENT: Final = 2


class Window:
    """Counts requests and tokens from when they are begun until they are a minute old, or up to a second longer."""

    __slots__ = ("_seconds", "requests", "tokens")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.requests = 0
        self.tokens = 0
        self._seconds: deque[list[int]] = deque()

    def advance(self, second: int) -> None:
        """Forget what is older than a minute."""
        seconds = self._seconds
        while seconds and seconds[0][0] <= second - _KEPT:
            _, requests, tokens = seconds.popleft()
            self.requests -= requests
            self.tokens -= tokens

    def add(self, second: int, tokens: int) -> None:
        """One request begins."""
        seconds = self._seconds
        if seconds and seconds[-1][0] == second:
            seconds[-1][1] += 1
            seconds[-1][2] += tokens
        else:
            seconds.append([second, 1, tokens])
        self.requests += 1
        self.tokens += tokens

    def correct(self, second: int, tokens: int) -> None:
        """A request that began in `second` has used so many more tokens (or fewer, below 0) than were counted."""
        for entry in reversed(self._seconds):
            if entry[0] == second:
                entry[2] += tokens
                self.tokens += tokens
                return
            if entry[0] < second:
                return

    def recent(self, second: int) -> tuple[int, int]:
        """Requests and tokens of the newest seconds."""
        requests = tokens = 0
        for entry in reversed(self._seconds):
            if entry[0] <= second - _RECENT:
                break
            requests += entry[1]
            tokens += entry[2]
        return requests, tokens

    def frees_s(self, now_s: float, *, requests: int = 0, tokens: int = 0) -> float:
        """In how many seconds so much will have left; 0 if that is more than there is."""
        for second, begun, used in self._seconds:
            requests -= begun
            tokens -= used
            if requests <= 0 and tokens <= 0:
                return max(0.0, second + _KEPT - now_s)
        return 0.0

    def empty_s(self, now_s: float) -> float:
        """In how many seconds all of it will have left."""
        return max(0.0, self._seconds[-1][0] + _KEPT - now_s) if self._seconds else 0.0
