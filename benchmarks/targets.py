"""What the benchmark is to show, line by line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Spread, differences, events_per_s, ratios, requests_per_s
from benchmarks.records import Run, Window

OURS: Final = "llmos"


@dataclass(frozen=True)
class Target:
    """One claim with its bound: `at_least`, or else `at_most`."""

    part: str
    claim: str
    bound: float
    at_least: bool
    unit: str
    measured: Callable[[Run], Spread | None]

    def verdict(self, spread: Spread | None) -> str:
        """Whether the bound holds: in every round, by the median only, or not."""
        if spread is None:
            return "not measured"
        worst = spread.low if self.at_least else spread.high
        if self._holds(worst):
            return "met in every round"
        return "met by the median" if self._holds(spread.median) else "**missed**"

    def _holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def ttft_p50_ms(window: Window) -> float | None:
    """Median time to the first event."""
    return window.figures.ttft_p50_ms


def _throughput(load: str) -> Target:
    concurrency = load.rpartition("c")[2]
    return Target(
        "vllm",
        f"requests per second, real vLLM, {concurrency} at a time, against `vllm serve`",
        0.95,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, load, OURS, "vllm-serve", requests_per_s),
    )


def _added_ttft(load: str) -> Target:
    kind, _, concurrency = load.partition("-c")
    tokens = "one each 10 ms" if kind == "paced" else "at once"
    return Target(
        "mock",
        f"first token later than from the engine itself, p50, 64 tokens {tokens}, {concurrency} at a time",
        2.0,
        at_least=False,
        unit=" ms",
        measured=lambda run: differences(run, load, OURS, "direct", ttft_p50_ms),
    )


TARGETS: Final = (
    Target(
        "mock",
        "events per second, 64 tokens at once, 32 at a time, against vllm-router",
        2.0,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, "burst-c32", OURS, "vllm-router", events_per_s),
    ),
    Target(
        "mock",
        "requests per second, not streamed, 32 at a time, against LiteLLM",
        50.0,
        at_least=True,
        unit=" x",
        measured=lambda run: ratios(run, "whole-c32", OURS, "litellm", requests_per_s),
    ),
    _added_ttft("burst-c1"),
    _added_ttft("paced-c1"),
    _added_ttft("paced-c16"),
    _throughput("vllm-c1"),
    _throughput("vllm-c8"),
    _throughput("vllm-c32"),
)
