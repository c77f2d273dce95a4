"""What one pool's scheduler has counted; plain integers, read by the metrics page."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

WAIT_BOUNDS_MS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


@dataclass(slots=True)
class Stats:
    """Totals since the start of the process."""

    pulled: int = 0
    express: int = 0
    """Requests that came past the stream."""
    stored: int = 0
    """Of them, those put into the stream because no worker had room."""
    handed_over: int = 0
    """Offers made to workers."""
    accepted: int = 0
    unanswered: int = 0
    """Offers that a worker left unanswered."""
    redelivered: int = 0
    """Messages that JetStream delivered more than once."""
    repeated: int = 0
    """Messages for a request that is held or settled here already."""
    cancelled: int = 0
    invalid: int = 0
    unsaid: int = 0
    """Messages dropped because too much waited to be sent."""
    refused: Counter[str] = field(default_factory=Counter)
    """Offers refused, by the worker's reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Requests that ended here, by error code."""
    lost: Counter[str] = field(default_factory=Counter)
    """Workers lost, by how it was seen."""
    wait_counts: list[int] = field(default_factory=lambda: [0] * (len(WAIT_BOUNDS_MS) + 1))
    wait_sum_ms: int = 0

    def waited(self, wait_ms: int) -> None:
        """Count one request that a worker accepted `wait_ms` after its submission."""
        wait_ms = max(0, wait_ms)
        self.wait_counts[bisect_left(WAIT_BOUNDS_MS, wait_ms)] += 1
        self.wait_sum_ms += wait_ms
