"""What traces cost a request: processor time of gateway, scheduler and worker, without them and with them.

`python -m benchmarks.tracing [--rounds N] [--requests N] [--show]`. Five whole paths with the fake engine run side by
side and are asked in turn, in an order of each round's own; each round's times are compared with those of the same
round. A path's time lasts until it is asked again, for spans leave when the requests are over; and it is asked for as
long as spans wait before they leave, so that requests share what sending costs as they do in a path that is always
busy. One path differs from the first in nothing: how far its ratio is from 1 is what the others' cannot tell. The page
is `benchmarks/tracing.md`.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
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
    Load(name="whole", title="8 tokens, not streamed", connections=16, stream=False, warm_s=0, window_s=60, tokens=8),
    Load(name="burst", title="64 tokens, streamed", connections=16, stream=True, warm_s=0, window_s=60, min_events=3),
)


@dataclass
class Figures:
    """Processor time in microseconds per request, one of each round, by load, way and part."""

    taken: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, load: str, way: str, spent_us: Mapping[str, float]) -> None:
        """Keep one window; the sum of the parts is `all`."""
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
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=20_000, help="in each window")
    parser.add_argument("--show", action="store_true", help="write nothing")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-tracing-") as directory, collecting() as collector:
        generator = Generator(build_generator(Path(directory)), Path(directory))
        with _platforms(Path(directory), collector) as platforms:
            figures = _measure(generator, platforms, asked.rounds, asked.requests)
            spans = len(collector.spans)
    text = _page(figures, asked.rounds, asked.requests, spans)
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


def _measure(generator: Generator, platforms: Mapping[str, Platform], rounds: int, requests: int) -> Figures:
    figures = Figures()
    for load in LOADS:
        for way in WAYS:
            # What a process does once, such as its first connection to the collector, is not a request's.
            _window(generator, platforms[way], load, requests)
        time.sleep(_SENT_S)
        visits: dict[str, _Visit] = {}
        for number in range(rounds):
            print(f"{load.name}: round {number + 1} of {rounds}", file=sys.stderr)
            for way in random.Random(number).sample(list(WAYS), len(WAYS)):  # noqa: S311 - an order, not a secret
                visit = _Visit(platforms[way])
                if way in visits:
                    figures.add(load.name, way, visits[way].spent_us(until=visit))
                visit.requests = _window(generator, platforms[way], load, requests)
                visits[way] = visit
        time.sleep(_SENT_S)
        for way, last in visits.items():
            figures.add(load.name, way, last.spent_us(until=_Visit(platforms[way])))
    return figures


class _Visit:
    """What the parts of a path had spent when a visit began, and how many requests they were then asked."""

    def __init__(self, platform: Platform) -> None:
        self.spent_ns = {part: _cpu_ns(platform.processes[part].pid) for part in PARTS}
        self.requests = 0

    def spent_us(self, *, until: "_Visit") -> dict[str, float]:
        """Microseconds of processor time per request, by part."""
        return {part: (until.spent_ns[part] - ns) / self.requests / 1_000 for part, ns in self.spent_ns.items()}


def _window(generator: Generator, platform: Platform, load: Load, requests: int) -> int:
    """Ask; how many requests were answered."""
    target = Target(platform.port, platform.model_name, {"Authorization": f"Bearer {platform.api_key}"}, {})
    figures = generator.run(target, load, max_requests=requests)
    assert figures.errors == 0, figures.first_error
    assert figures.all_requests >= requests
    return figures.all_requests


def _cpu_ns(pid: int) -> int:
    """Of all threads, the one that exports among them; ticks of 10 ms would be too coarse."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads)


def _verdict(figures: Figures) -> str:
    default = next(way for way, ratio in WAYS.items() if ratio == DEFAULT_RATIO)
    worst = max(statistics.median(figures.ratios(load.name, default)) for load in LOADS)
    return "met" if worst <= AIM else f"**missed** ({worst:.3f})"


def _page(figures: Figures, rounds: int, requests: int, spans: int) -> str:
    machine = describe_machine(private_network=False)
    lines = [
        "# What traces cost a request",
        "",
        "    python -m benchmarks.tracing            # a quarter of an hour; wants an otherwise idle machine",
        "    python -m benchmarks.tracing --show --rounds 1 --requests 300   # does it still run? Nothing is written",
        "",
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}. Processor time in µs per request of",
        f"gateway, scheduler and worker (fake engine): medians of {rounds} rounds of {requests} requests, which take",
        f"about as long as spans wait before they are sent ({DELAY_MS // 1_000} s). Ratios are to none in the same",
        "round, their median and their quartiles. The collector, in the measuring process, is not counted;",
        f"it received {spans} spans. Aim: {AIM} at most at the default, which is {_verdict(figures)}.",
    ]
    for load in LOADS:
        lines += [
            "",
            f"## {load.title}",
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
