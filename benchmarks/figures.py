"""The arithmetic: figures of one window, medians over rounds, and ratios taken inside each round."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.accounting import ENGINE_ROLE
from benchmarks.records import Run, Window

IDLE_LIMIT_PERCENT: Final = 5.0
LEAST_ROUNDS: Final = 5

Measure = Callable[[Window], float | None]


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest of the values it stands for."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Median, minimum and maximum of the values that exist; None if none does."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    return Spread(statistics.median(present), min(present), max(present), len(present))


def requests_per_s(window: Window) -> float:
    """Requests served per second of the window."""
    return window.figures.served / window.figures.window_s


def events_per_s(window: Window) -> float:
    """Server-sent events that arrived per second of the window."""
    return window.figures.events / window.figures.window_s


def cpu_us_per_request(window: Window) -> float | None:
    """CPU microseconds of all roles together for one request."""
    return _us_per_request(window, window.cpu_s)


def role_us_per_request(role: str) -> Measure:
    """CPU microseconds of one role for one request."""
    return lambda window: _us_per_request(window, (role,))


def way_us_per_request(window: Window) -> float | None:
    """CPU microseconds of everything but the engine's own processes for one request: what the way to it costs."""
    return _us_per_request(window, (role for role in window.cpu_s if role != ENGINE_ROLE))


def _us_per_request(window: Window, roles: Iterable[str]) -> float | None:
    """Divided by every request of the visit, because CPU time is counted over the whole visit too."""
    count = window.figures.all_requests
    return sum(window.cpu_s.get(role, 0.0) for role in roles) * 1e6 / count if count else None


def counted(run: Run, load: str, contender: str) -> list[Window]:
    """The windows that count, in the order of rounds."""
    found = [w for w in run.windows if w.load == load and w.contender == contender and not w.discarded]
    return sorted(found, key=lambda window: window.round)


def median_of(run: Run, load: str, contender: str, measure: Measure) -> Spread | None:
    """`measure` over all rounds."""
    return spread(measure(window) for window in counted(run, load, contender))


def pairs(run: Run, load: str, ours: str, theirs: str) -> list[tuple[Window, Window]]:
    """The windows of two contenders that belong to the same round."""
    other = {window.round: window for window in counted(run, load, theirs)}
    return [(window, other[window.round]) for window in counted(run, load, ours) if window.round in other]


def ratio(pair: Sequence[float | None]) -> float | None:
    """The first of two values divided by the second, if both exist and the second is not 0."""
    first, second = pair
    return first / second if first is not None and second else None


def ratios(run: Run, load: str, ours: str, theirs: str, measure: Measure) -> Spread | None:
    """Median and range of the ratios ours : theirs, each taken inside one round."""
    return spread(ratio((measure(a), measure(b))) for a, b in pairs(run, load, ours, theirs))


def differences(run: Run, load: str, ours: str, theirs: str, measure: Measure) -> Spread | None:
    """Median and range of the differences ours - theirs, each taken inside one round."""

    def difference(first: float | None, second: float | None) -> float | None:
        return first - second if first is not None and second is not None else None

    return spread(difference(measure(a), measure(b)) for a, b in pairs(run, load, ours, theirs))


def problems(run: Run) -> list[str]:
    """Why the figures of `run` must not be believed; empty if nothing speaks against them."""
    found = [] if run.finished_ms else ["the run was not finished"]
    kept = [window for window in run.windows if not window.discarded]
    for window in kept:
        where = f"round {window.round + 1}, {window.load}, {window.contender}"
        if window.figures.errors:
            found.append(f"{where}: {window.figures.errors} errors ({window.figures.first_error.strip()})")
        for name, percent in window.idle_percent.items():
            if percent > IDLE_LIMIT_PERCENT:
                found.append(f"{where}: {name} should have been idle and used {percent:.0f} % of a core")
    return found


def remarks(run: Run) -> list[str]:
    """What a reader should know, though it does not make the figures void."""
    found = [f"{name} was not run: {reason.splitlines()[0]}" for name, reason in run.not_run.items()]
    if run.plan.rounds < LEAST_ROUNDS:
        found.append(f"only {run.plan.rounds} round(s)")
    found += [
        f"{warmup.contender} did not settle within 10 % when it was warmed with {warmup.load}"
        for warmup in run.warmups
        if not warmup.settled
    ]
    repeated = sum(1 for window in run.windows if window.discarded)
    if repeated:
        found.append(f"{repeated} windows were repeated because something else was busy")
    return found
