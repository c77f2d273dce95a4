"""What traces cost a request: processor time of gateway, scheduler and worker, without them and with them.

`python -m benchmarks.tracing [--rounds N] [--seconds N] [--show]`. Five whole paths with the fake engine run side by
side and are all asked at the same time, as fast as each answers, so that whatever else slows the machine slows all of
them; each is compared with the one without traces in the same round. A round's times last until its spans have left.
One path differs from the first in nothing: how far its ratio is from 1 is what the others' cannot tell. The page is
`benchmarks/tracing.md`.
"""

import argparse
import asyncio
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.generator import Generator, Target, build_generator
from benchmarks.loads import Load
from benchmarks.machine import describe_machine
from deploy.nats.provision import provision
from libs.kit.settings import TracingSettings
from libs.kit.telemetry.export import DELAY_MS
from libs.testkit.collector import Collector, collecting
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform

RESULT: Final = Path(__file__).with_name("tracing.md")
ENGINE: Final = "benchmarks.stepping_engine:build"
COLUMNS: Final = ("traces of", "gateway", "scheduler", "worker", "together", "ratio", "quartiles")
PARTS: Final = ("gateway", "scheduler", "worker-0")
DEFAULT_RATIO: Final = float(TracingSettings.model_fields["sample_ratio"].default)
AIM: Final = 1.03
_SENT_S: Final = DELAY_MS / 1_000 + 2.0
"""By then every span has left: there is nothing in a path that says so, and its processor time is what is measured."""
WAYS: Final[Mapping[str, float | None]] = {
    "no traces": None,
    "no traces, once more": None,
    "traces on, of no request": 0.0,
    f"the default, {DEFAULT_RATIO:g} of requests": DEFAULT_RATIO,
    "every request": 1.0,
}
LOADS: Final = (
    Load(name="whole", title="8 tokens, not streamed", connections=4, stream=False, warm_s=0, window_s=10, tokens=8),
    Load(name="burst", title="64 tokens, streamed", connections=4, stream=True, warm_s=0, window_s=10, min_events=3),
)


@dataclass
class Figures:
    """Processor time in microseconds per request, one of each round, by load, way and part."""

    taken: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    requests: dict[str, list[int]] = field(default_factory=dict)
    """Of each window, by load."""

    def add(self, load: str, way: str, spent_us: Mapping[str, float], requests: int) -> None:
        """Keep one window; the sum of the parts is `all`."""
        self.requests.setdefault(load, []).append(requests)
        for part, value in {**spent_us, "all": sum(spent_us.values())}.items():
            self.taken.setdefault((load, way, part), []).append(value)

    def cost_us(self, load: str, way: str, part: str) -> float:
        """The median."""
        return statistics.median(self.taken[load, way, part])

    def ratios(self, load: str, way: str) -> list[float]:
        """To no traces, in each round, sorted."""
        base = self.taken[load, next(iter(WAYS)), "all"]
        return sorted(one / other for one, other in zip(self.taken[load, way, "all"], base, strict=True))


def main() -> int:
    """Measure, print, and write unless it is only to be shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="for which all are asked in each round")
    parser.add_argument("--show", action="store_true", help="write nothing")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-tracing-") as directory, collecting() as collector:
        generator = Generator(build_generator(Path(directory)), Path(directory))
        with _platforms(Path(directory), collector) as platforms:
            figures = _measure(generator, platforms, asked.rounds, asked.seconds)
            spans = len(collector.spans)
    text = _page(figures, asked.rounds, asked.seconds, spans)
    print(text)
    if not asked.show:
        RESULT.write_text(text, encoding="utf-8")
    return 0


@contextmanager
def _platforms(directory: Path, collector: Collector) -> Iterator[dict[str, Platform]]:
    """One path for each way."""
    with ExitStack() as stack:
        started = {}
        for number, (way, ratio) in enumerate(WAYS.items()):
            home = directory / f"way-{number}"
            home.mkdir()
            server = NatsServer(home)
            server.start()
            stack.callback(server.stop)
            asyncio.run(provision(server.settings("provisioner"), ("default",)))
            tracing = {} if ratio is None else _tracing(collector.url, ratio)
            started[way] = stack.enter_context(Platform(home, server, engine=ENGINE, environment=tracing))
        yield started


def _tracing(endpoint: str, ratio: float) -> dict[str, str]:
    return {"LLMOS_TRACING_ENDPOINT": endpoint, "LLMOS_TRACING_SAMPLE_RATIO": str(ratio)}


def _measure(generator: Generator, platforms: Mapping[str, Platform], rounds: int, seconds: float) -> Figures:
    figures = Figures()
    with ThreadPoolExecutor(len(WAYS)) as askers:
        for kind in LOADS:
            load = dataclasses.replace(kind, window_s=seconds)
            # What a process does once, such as its first connection to the collector, is not a request's.
            _round(askers, generator, platforms, load)
            for number in range(rounds):
                print(f"{load.name}: round {number + 1} of {rounds}", file=sys.stderr)
                for way, (spent_us, requests) in _round(askers, generator, platforms, load).items():
                    figures.add(load.name, way, spent_us, requests)
    return figures


def _round(
    askers: Executor, generator: Generator, platforms: Mapping[str, Platform], load: Load
) -> dict[str, tuple[dict[str, float], int]]:
    """Ask all of them at once; microseconds of processor time per request by part, and the requests, of each way."""
    before = {way: _spent_ns(platform) for way, platform in platforms.items()}
    asking = {way: askers.submit(_ask, generator, platform, load) for way, platform in platforms.items()}
    asked = {way: requests.result() for way, requests in asking.items()}
    time.sleep(_SENT_S)
    after = {way: _spent_ns(platform) for way, platform in platforms.items()}
    return {
        way: ({part: (after[way][part] - before[way][part]) / requests / 1_000 for part in PARTS}, requests)
        for way, requests in asked.items()
    }


def _ask(generator: Generator, platform: Platform, load: Load) -> int:
    """Ask for a while; how many requests were answered."""
    target = Target(platform.port, platform.model_name, {"Authorization": f"Bearer {platform.api_key}"}, {})
    own = dataclasses.replace(generator, scratch=generator.scratch / str(platform.port))
    figures = own.run(target, load)
    assert figures.errors == 0, figures.first_error
    return figures.all_requests


def _spent_ns(platform: Platform) -> dict[str, int]:
    """Processor time of the parts of a path so far."""
    return {part: _cpu_ns(platform.processes[part].pid) for part in PARTS}


def _cpu_ns(pid: int) -> int:
    """Of all threads, the one that exports among them; ticks of 10 ms would be too coarse."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads)


def _verdict(figures: Figures) -> str:
    default = next(way for way, ratio in WAYS.items() if ratio == DEFAULT_RATIO)
    worst = max(statistics.median(figures.ratios(load.name, default)) for load in LOADS)
    return "met" if worst <= AIM else f"**missed** ({worst:.3f})"


def _page(figures: Figures, rounds: int, seconds: float, spans: int) -> str:
    machine = describe_machine(private_network=False)
    lines = [
        "# What traces cost a request",
        "",
        "    python -m benchmarks.tracing            # some minutes; wants an otherwise idle machine",
        "    python -m benchmarks.tracing --show --rounds 1 --seconds 1   # does it still run? Nothing is written",
        "",
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}. Processor time in µs per request of",
        f"gateway, scheduler and worker (fake engine): medians of {rounds} rounds, in which all paths are asked at the",
        f"same time for {seconds:g} s. Ratios are to no traces in the same round, their median and their quartiles.",
        f"What sending costs, every {DELAY_MS // 1_000} s, weighs the more the fewer the requests. The collector is",
        f"not counted; it received {spans} spans.",
        f"Aim: {AIM} at most at the default, which is {_verdict(figures)}.",
    ]
    for load in LOADS:
        lines += [
            "",
            f"## {load.title}, {statistics.median(figures.requests[load.name]) / seconds:.0f} requests/s for each path",
            "",
            "| traces of | gateway | scheduler | worker | together | ratio | quartiles |",
        ]
        lines.append("|---|---|---|---|---|---|---|")
        for way in WAYS:
            costs = [f"{figures.cost_us(load.name, way, part):.1f}" for part in (*PARTS, "all")]
            ratios = figures.ratios(load.name, way)
            low, high = ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]
            row = [way, *costs, f"{statistics.median(ratios):.3f}", f"{low:.3f}-{high:.3f}"]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
