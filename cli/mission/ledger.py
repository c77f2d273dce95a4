"""What customers thought, by time and by version: what the table and the plot are made of."""

from collections import defaultdict
from dataclasses import dataclass, field

from libs.kit.clock import monotonic_s


@dataclass(frozen=True)
class Thumb:
    """One judgement."""

    at_s: float
    """Since the demo began to ask."""
    version: str
    up: bool


@dataclass(frozen=True)
class Span:
    """A time with a name."""

    title: str
    from_s: float
    to_s: float


@dataclass
class Ledger:
    """Thumbs and times, in the order in which they came."""

    began_s: float = field(default_factory=monotonic_s)
    thumbs: list[Thumb] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Since the beginning."""
        return monotonic_s() - self.began_s

    def note(self, version: str, *, up: bool) -> None:
        """A judgement that was given now."""
        self.thumbs.append(Thumb(self.now_s, version, up))

    def span(self, title: str, from_s: float) -> None:
        """What lasted from then until now."""
        self.spans.append(Span(title, from_s, self.now_s))

    def liked(self, version: str) -> tuple[int, int]:
        """Thumbs up and all thumbs of a version."""
        own = [one.up for one in self.thumbs if one.version == version]
        return sum(own), len(own)


def shares(thumbs: list[Thumb], width_s: float, fewest: int) -> dict[str, list[tuple[float, float]]]:
    """For each version the share of thumbs up in every window of that width that has enough of them."""
    windows: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one in thumbs:
        windows[one.version][int(one.at_s // width_s)].append(one.up)
    return {
        version: [
            ((number + 0.5) * width_s, sum(ups) / len(ups))
            for number, ups in sorted(found.items())
            if len(ups) >= fewest
        ]
        for version, found in windows.items()
    }
