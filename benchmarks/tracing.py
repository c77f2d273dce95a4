"""What traces cost a request: processor time of gateway, scheduler and worker, without them and with them.

`python -m benchmarks.tracing [--starts N] [--rounds N] [--seconds N] [--show]`. Five whole paths with the fake engine
run side by side and are all asked at the same time, as fast as each answers, so that whatever else slows the machine
slows all of them; each is compared with the one without traces in the same round. A round's times last until its spans
have left. A process keeps its luck (hash seeds, where its memory lies) as long as it lives, so all paths are started
again and again. One path differs from the first in nothing: how far its ratio is from 1 is what the others' cannot
tell. The page is `benchmarks/tracing.md`.
"""

import argparse
import asyncio
import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import instructions
from benchmarks.generator import Generator, Target, build_generator
from benchmarks.loads import Load
from benchmarks.machine import describe_machine
from benchmarks.tracing_figures import ALL, INSTRUCTIONS, Figures, Window, between, verdict
from deploy.nats.provision import provision
from libs.kit.settings import TracingSettings
from libs.kit.telemetry.export import DELAY_MS
from libs.testkit.collector import Collector, collecting
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform

RESULT: Final = Path(__file__).with_name("tracing.md")
ENGINE: Final = "benchmarks.stepping_engine:build"
PARTS: Final = ("gateway", "scheduler", "worker-0")
DEFAULT_RATIO: Final = float(TracingSettings.model_fields["sample_ratio"].default)
AIM: Final = 1.03
_SENT_S: Final = DELAY_MS / 1_000 + 2.0
"""By then every span has left: there is nothing in a path that says so, and its processor time is what is measured."""
_WARM_S: Final = 2.0
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


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    starts: int
    rounds: int
    seconds: float
    counts: bool
    """Instructions, too."""


def main() -> int:
    """Measure, print, and write unless it is only to be shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=10, help="how often all paths are started")
    parser.add_argument("--rounds", type=int, default=1, help="of each load in each start")
    parser.add_argument("--seconds", type=float, default=8.0, help="for which all are asked in each round")
    parser.add_argument("--show", action="store_true", help="write nothing")
    asked = parser.parse_args()
    plan = Plan(asked.starts, asked.rounds, asked.seconds, instructions.can_count())
    figures, spans = _measure(plan)
    text = _page(figures, plan, spans)
    print(text)
    if not asked.show:
        RESULT.write_text(text, encoding="utf-8")
    return 0


def _measure(plan: Plan) -> tuple[Figures, int]:
    """What was taken, and how many spans the collector received."""
    figures = Figures(next(iter(WAYS)))
    with tempfile.TemporaryDirectory(prefix="llmos-tracing-") as directory, collecting() as collector:
        generator = Generator(build_generator(Path(directory)), Path(directory))
        for number in range(plan.starts):
            print(f"start {number + 1} of {plan.starts}", file=sys.stderr)
            home = Path(directory) / f"start-{number}"
            with _platforms(home, collector, _turned(list(WAYS), number)) as platforms:
                for load, rounds in _start(generator, platforms, plan).items():
                    figures.add(load, rounds)
        return figures, len(collector.spans)


def _turned(ways: Sequence[str], by: int) -> list[str]:
    """None is always the first that is started."""
    first = by % len(ways)
    return [*ways[first:], *ways[:first]]


@contextmanager
def _platforms(directory: Path, collector: Collector, ways: Sequence[str]) -> Iterator[dict[str, Platform]]:
    """One path for each way, started in this order."""
    with ExitStack() as stack:
        started = {}
        for number, way in enumerate(ways):
            home = directory / f"way-{number}"
            home.mkdir(parents=True)
            server = NatsServer(home)
            server.start()
            stack.callback(server.stop)
            asyncio.run(provision(server.settings("provisioner"), ("default",)))
            ratio = WAYS[way]
            tracing = {} if ratio is None else _tracing(collector.url, ratio)
            started[way] = stack.enter_context(Platform(home, server, engine=ENGINE, environment=tracing))
        yield started


def _tracing(endpoint: str, ratio: float) -> dict[str, str]:
    return {"LLMOS_TRACING_ENDPOINT": endpoint, "LLMOS_TRACING_SAMPLE_RATIO": str(ratio)}


def _start(generator: Generator, platforms: Mapping[str, Platform], plan: Plan) -> dict[str, list[dict[str, Window]]]:
    """The rounds of one start, by load."""
    # What a process does once, such as its first connection to the collector, is not a request's.
    for load in LOADS:
        _ask_all(generator, platforms, dataclasses.replace(load, window_s=min(_WARM_S, plan.seconds)))
    time.sleep(_SENT_S)
    rounds: dict[str, list[dict[str, Window]]] = {load.name: [] for load in LOADS}
    for _ in range(plan.rounds):
        for load in LOADS:
            timed = dataclasses.replace(load, window_s=plan.seconds)
            rounds[load.name].append(_round(generator, platforms, timed, counts=plan.counts))
    return rounds


def _round(generator: Generator, platforms: Mapping[str, Platform], load: Load, *, counts: bool) -> dict[str, Window]:
    """Ask all of them at once, and see what it cost each."""
    counted = {way: instructions.Count(_pids(platform).values()) for way, platform in platforms.items() if counts}
    if counted:
        instructions.settle()
    before = {way: _spent_ns(platform) for way, platform in platforms.items()}
    asked = _ask_all(generator, platforms, load)
    time.sleep(_SENT_S)
    after = {way: _spent_ns(platform) for way, platform in platforms.items()}
    executed = {way: count.end() for way, count in counted.items()}
    return {
        way: Window(
            {part: (after[way][part] - before[way][part]) / requests / 1_000 for part in PARTS},
            None if (total := executed.get(way)) is None else total / requests / 1_000,
            requests,
        )
        for way, requests in asked.items()
    }


def _ask_all(generator: Generator, platforms: Mapping[str, Platform], load: Load) -> dict[str, int]:
    """Ask all of them at the same time; how many requests each has answered."""
    with ThreadPoolExecutor(len(platforms)) as askers:
        asking = {way: askers.submit(_ask, generator, platform, load) for way, platform in platforms.items()}
        return {way: requests.result() for way, requests in asking.items()}


def _ask(generator: Generator, platform: Platform, load: Load) -> int:
    """Ask for a while; how many requests were answered."""
    target = Target(platform.port, platform.model_name, {"Authorization": f"Bearer {platform.api_key}"}, {})
    own = dataclasses.replace(generator, scratch=generator.scratch / str(platform.port))
    figures = own.run(target, load)
    assert figures.errors == 0, figures.first_error
    return figures.all_requests


def _spent_ns(platform: Platform) -> dict[str, int]:
    """Processor time of the parts of a path so far."""
    return {part: _cpu_ns(pid) for part, pid in _pids(platform).items()}


def _pids(platform: Platform) -> dict[str, int]:
    return {part: platform.processes[part].pid for part in PARTS}


def _cpu_ns(pid: int) -> int:
    """Of all threads, the one that exports among them; ticks of 10 ms would be too coarse."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads)


def _page(figures: Figures, plan: Plan, spans: int) -> str:
    default = next(way for way, ratio in WAYS.items() if ratio == DEFAULT_RATIO)
    machine = describe_machine(private_network=False)
    rounds = f"{plan.rounds} round{'s' if plan.rounds > 1 else ''}"
    lines = [
        "# What traces cost a request",
        "",
        "    python -m benchmarks.tracing            # about ten minutes; wants an otherwise idle machine",
        "    python -m benchmarks.tracing --show --starts 1 --seconds 1   # does it still run? Nothing is written",
        "",
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}. Processor time in µs per request of",
        "gateway, scheduler and worker (fake engine), medians. All processes of all paths were started",
        f"{plan.starts} times, with {rounds} of each load per start, in which all paths are asked at the same time",
        f"for {plan.seconds:g} s. Ratios are to no traces in the same round: their median, their quartiles, and 95 %",
        "of the medians that starts drawn again from these give (bootstrap). What differs in nothing from no traces",
        f"shows what is chance. {_of_instructions(figures, default)}",
        f"What sending costs, every {DELAY_MS // 1_000} s, weighs the more the fewer the requests. The collector is",
        f"not counted; it received {spans} spans.",
        "",
        f"Aim: {AIM} at most at the default, by processor time {_verdict(figures, default, ALL)}.",
    ]
    for load in LOADS:
        lines += ["", *_table(figures, load, plan.seconds)]
    return "\n".join([*lines, ""])


def _of_instructions(figures: Figures, default: str) -> str:
    if figures.cost(LOADS[0].name, default, INSTRUCTIONS) is None:
        return "This machine does not count instructions."
    return "Instructions, in thousands per request, are of all three together, the kernel's among them."


def _verdict(figures: Figures, way: str, what: str) -> str:
    found = [ratio for load in LOADS if (ratio := figures.ratio(load.name, way, what)) is not None]
    return verdict(found, AIM)


def _table(figures: Figures, load: Load, seconds: float) -> list[str]:
    counted = figures.ratio(load.name, figures.base, INSTRUCTIONS) is not None
    head = ["traces of", "gateway", "scheduler", "worker", "together", "ratio", "quartiles", "95 %"]
    head += ["instructions", "ratio", "quartiles", "95 %"] if counted else []
    rows = [head, ["---"] * len(head)]
    for way in WAYS:
        costs = [f"{figures.cost(load.name, way, part):.1f}" for part in PARTS]
        row = [way, *costs, *_compared(figures, load, way, ALL)]
        rows.append(row + (_compared(figures, load, way, INSTRUCTIONS) if counted else []))
    title = f"## {load.title}, {figures.requests(load.name) / seconds:.0f} requests/s for each path"
    return [title, "", *(f"| {' | '.join(row)} |" for row in rows)]


def _compared(figures: Figures, load: Load, way: str, what: str) -> list[str]:
    """What it costs, and its ratio to the base with both spreads; dashes where it was not taken each time."""
    cost, ratio = figures.cost(load.name, way, what), figures.ratio(load.name, way, what)
    if cost is None or ratio is None:
        return ["-"] * 4
    return [f"{cost:.1f}", f"{ratio.median:.3f}", between(ratio.quartiles), between(ratio.interval)]


if __name__ == "__main__":
    sys.exit(main())
