"""Measures: warms every contender up, visits them in rotation, records each visit at once."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from benchmarks import accounting
from benchmarks.contenders import Contender
from benchmarks.figures import IDLE_LIMIT_PERCENT
from benchmarks.generator import Generator
from benchmarks.loads import Load
from benchmarks.progress import Progress
from benchmarks.records import Run, Warmup, Window

AGREEMENT: Final = 0.10
MOST_WARM_WINDOWS: Final = 6
MOST_REPEATS: Final = 2
QUIET_PROBE_S: Final = 0.25
QUIET_TIMEOUT_S: Final = 10.0


class UnfitError(RuntimeError):
    """A contender answers with errors before anything is measured."""


@dataclass(frozen=True)
class Snapshot:
    """Machine and contenders at one moment."""

    at_s: float
    cpu_s: Mapping[str, Mapping[str, float]]
    """By contender, then by role."""
    system: accounting.SystemCpu


@dataclass
class Runner:
    """Fills `run` with what `contenders` do under `loads`; `save` is called after every visit."""

    run: Run
    contenders: list[Contender]
    loads: Sequence[Load]
    generator: Generator
    save: Callable[[Run], None]

    def warm(self, loads: Sequence[Load]) -> None:
        """Send each load to each contender until two windows in a row agree."""
        self.run.warmups = []
        for load in loads:
            for contender in list(self.contenders):
                try:
                    self._warm_one(load, contender)
                except UnfitError as error:
                    self._leave_out(contender, error)

    def _leave_out(self, contender: Contender, error: UnfitError) -> None:
        """Go on without a peer that fails; without any other contender there is nothing to compare."""
        if not contender.is_peer:
            raise error
        print(f"{contender.name} is not run: {error}", flush=True)
        self.contenders.remove(contender)
        self.run.contenders = [info for info in self.run.contenders if info.name != contender.name]
        self.run.not_run[contender.name] = str(error)

    def _warm_one(self, load: Load, contender: Contender) -> None:
        rates: list[float] = []
        while len(rates) < MOST_WARM_WINDOWS and not settled(rates):
            figures = self.generator.run(contender.target, load)
            if figures.errors:
                what = f"{figures.errors} errors, the first: {figures.first_error.strip()}"
                raise UnfitError(f"{contender.name} failed while it was warmed with {load.name}: {what}")
            rates.append(figures.served / figures.window_s)
        print(
            f"warm  {load.name:10} {contender.name:12} {' → '.join(f'{rate:,.0f}' for rate in rates)} req/s", flush=True
        )
        self.run.warmups.append(
            Warmup(load=load.name, contender=contender.name, requests_per_s=tuple(rates), settled=settled(rates))
        )

    def measure(self) -> None:
        """Visit every contender under every load in every round, except where an earlier attempt did already."""
        self.run.windows = complete_visits(self.run)
        done = {(window.round, window.load) for window in self.run.windows if not window.discarded}
        groups = [
            (round_, index, load)
            for round_ in range(self.run.plan.rounds)
            for index, load in enumerate(self.loads)
            if (round_, load.name) not in done
        ]
        progress = Progress(len(groups) * len(self.contenders))
        for round_, index, load in groups:
            for contender in rotated(self.contenders, round_ + index):
                self._visit(round_, load, contender, progress)

    def _visit(self, round_: int, load: Load, contender: Contender, progress: Progress) -> None:
        """Measure one window; repeat it if something else was busy meanwhile, but never because of its result."""
        for attempt in range(MOST_REPEATS + 1):
            self._wait_until_quiet()
            window = self._window(round_, load, contender)
            offender = busiest(window)
            repeat = bool(offender) and attempt < MOST_REPEATS
            if repeat:
                window = msgspec.structs.replace(window, discarded=offender)
            self.run.windows.append(window)
            self.save(self.run)
            progress.show(window)
            if not repeat:
                return

    def _window(self, round_: int, load: Load, contender: Contender) -> Window:
        started_ms = time.time_ns() // 1_000_000
        before = self._snapshot()
        figures = self.generator.run(contender.target, load)
        after = self._snapshot()
        return Window(
            round=round_,
            load=load.name,
            contender=contender.name,
            started_ms=started_ms,
            figures=figures,
            cpu_s=accounting.cpu_between(before.cpu_s[contender.name], after.cpu_s[contender.name]),
            idle_percent=self._idle(before, after, contender),
            load_average=accounting.load_average(),
            steal_percent=accounting.steal_percent(before.system, after.system),
        )

    def _snapshot(self) -> Snapshot:
        processes = accounting.scan()
        cpu = {contender.name: accounting.cpu_by_role(processes, contender.roles) for contender in self.contenders}
        return Snapshot(time.monotonic(), cpu, accounting.system_cpu())

    def _idle(self, before: Snapshot, after: Snapshot, busy: Contender) -> dict[str, float]:
        shared = {role.pid for role in busy.roles}
        others = (contender for contender in self.contenders if contender is not busy)
        return {contender.name: idle_percent(before, after, contender, shared) for contender in others}

    def _wait_until_quiet(self) -> None:
        """Wait until every contender has finished what it does after the last answer (logs, garbage)."""
        deadline_s = time.monotonic() + QUIET_TIMEOUT_S
        before = self._snapshot()
        while time.monotonic() < deadline_s:
            time.sleep(QUIET_PROBE_S)
            after = self._snapshot()
            if all(idle_percent(before, after, contender, ()) < IDLE_LIMIT_PERCENT for contender in self.contenders):
                return
            before = after


def idle_percent(before: Snapshot, after: Snapshot, contender: Contender, shared: Collection[int]) -> float:
    """What `contender` used in percent of one core, without the processes in `shared`."""
    used = accounting.cpu_between(before.cpu_s[contender.name], after.cpu_s[contender.name])
    names = {role.name for role in contender.roles if role.pid in shared}
    seconds = sum(cpu_s for name, cpu_s in used.items() if name not in names)
    return 100.0 * seconds / (after.at_s - before.at_s)


def settled(rates: Sequence[float]) -> bool:
    """Whether the last two rates agree."""
    if len(rates) < 2:
        return False
    last, previous = rates[-1], rates[-2]
    return abs(last - previous) <= AGREEMENT * max(last, previous)


def rotated(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """The order of visits in one turn: each contender comes first equally often."""
    start = turn % len(contenders)
    return [*contenders[start:], *contenders[:start]]


def busiest(window: Window) -> str:
    """The contender that used more than it may while it should have been idle; empty if none did."""
    name, percent = max(window.idle_percent.items(), key=lambda item: item[1], default=("", 0.0))
    return f"{name} used {percent:.0f} % of a core" if percent > IDLE_LIMIT_PERCENT else ""


def complete_visits(run: Run) -> list[Window]:
    """The windows of those rounds and loads in which every contender was visited; the others are measured again.

    Ratios are taken inside a round, so its windows must not lie on two sides of an interruption.
    """
    wanted = {contender.name for contender in run.contenders}
    seen: dict[tuple[int, str], set[str]] = {}
    for window in run.windows:
        if not window.discarded:
            seen.setdefault((window.round, window.load), set()).add(window.contender)
    return [window for window in run.windows if seen.get((window.round, window.load), set()) >= wanted]
