"""One line per visit: what was measured, how far the run is, how long it will still take."""

import time

from benchmarks.figures import cpu_us_per_request, events_per_s, requests_per_s
from benchmarks.records import Window


class Progress:
    """Counts visits; a repeated one does not count."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._begun_s = time.monotonic()

    def show(self, window: Window) -> None:
        """Print the line of one visit."""
        self._done += not window.discarded
        spent_s = time.monotonic() - self._begun_s
        left_s = spent_s / max(1, self._done) * (self._total - self._done)
        note = f"  again: {window.discarded}" if window.discarded else ""
        if window.figures.errors:
            note += f"  {window.figures.errors} ERRORS: {window.figures.first_error}"
        print(
            f"[{self._done:3}/{self._total}] round {window.round + 1}  {window.load:10} {window.contender:12}"
            f"{requests_per_s(window):>10,.1f} req/s {events_per_s(window):>11,.0f} ev/s"
            f"{cpu_us_per_request(window) or 0:>12,.0f} µs/req   {left_s // 60:.0f}:{left_s % 60:02.0f} left{note}",
            flush=True,
        )
