"""What customers thought, by time, version and topic: what the table and the picture are made of."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from libs.kit.clock import monotonic_s


@dataclass(frozen=True)
class Thumb:
    """One judgement."""

    at_s: float
    """Since the demo began."""
    version: str
    topic: str
    up: bool


@dataclass(frozen=True)
class Span:
    """A time with a name."""

    title: str
    from_s: float
    to_s: float


@dataclass
class Act:
    """One rollout as it was seen from outside."""

    title: str
    versions: dict[str, str]
    """Which take part, and what they are called; the candidate last."""
    watched: str = ""
    """A topic on which the candidate is looked at apart."""
    spans: list[Span] = field(default_factory=list)
    """Its steps."""


@dataclass
class Ledger:
    """Thumbs and rollouts, in the order in which they came."""

    began_s: float = field(default_factory=monotonic_s)
    thumbs: list[Thumb] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Since the beginning."""
        return monotonic_s() - self.began_s

    def note(self, version: str, topic: str, *, up: bool) -> None:
        """A judgement that was given now."""
        self.thumbs.append(Thumb(self.now_s, version, topic, up))

    def liked(self, version: str) -> tuple[int, int]:
        """Thumbs up and all thumbs of a version."""
        own = [one.up for one in self.thumbs if one.version == version]
        return sum(own), len(own)


def rolling(thumbs: Iterable[Thumb], last: int, fewest: int) -> list[tuple[float, float]]:
    """After each thumb the share of those up among the last so many, once there are `fewest`."""
    window: deque[bool] = deque(maxlen=last)
    points = []
    for one in thumbs:
        window.append(one.up)
        if len(window) >= fewest:
            points.append((one.at_s, sum(window) / len(window)))
    return points
