"""Renders the figures of `benchmarks.registry` as a page."""

import statistics
from dataclasses import dataclass, field
from typing import Final

from benchmarks.records import Machine

TARGET: Final = 0.8
_UPS: Final = ("publish", "obstore up", "minio up")
_DOWNS: Final = ("load", "obstore down", "minio down")
_WHAT: Final = {
    "publish": "publish: hash, send what is missing, checked by the store as it comes, commit",
    "obstore up": "plain copy by obstore",
    "minio up": "plain copy by the minio client",
    "load": "load: fetch by presigned URLs into the cache, every byte checked, whole or not at all",
    "obstore down": "plain copy by obstore",
    "minio down": "plain copy by the minio client",
}


@dataclass
class Growth:
    """What was published, and by how much the bucket grew."""

    what: str
    size_bytes: int = 0
    grown_bytes: int = 0


@dataclass
class Figures:
    """What one run has measured."""

    mib: int
    load: float
    """Load average of the machine before anything was started: what else ran."""
    rounds: list[dict[str, float]] = field(default_factory=list)
    """Seconds per way, one per round."""
    steps: list[dict[str, float]] = field(default_factory=list)
    """Seconds per step of publishing, one per round."""
    growth: list[Growth] = field(default_factory=list)


def render(figures: Figures, machine: Machine) -> str:
    """The page."""
    lines = [
        "# Registry benchmark",
        "",
        "    python -m benchmarks.registry            # about five minutes, 2 GB; wants an otherwise idle machine",
        "    # Does it still run? Nothing is written:",
        "    python -m benchmarks.registry --show --rounds 1 --mib 64 --base-mib 80 --adapter-mib 1",
        "",
        f"{machine.processor}, {machine.cores} cores, {machine.memory_mib // 1024} GiB, all servers on it;",
        f"Python {machine.python}.",
        f"Load average before the run: {figures.load:.1f}; above 0.5, other work took its share of the processor.",
        "SeaweedFS syncs every object before it acknowledges it. Each round has new chance bytes and visits the ways",
        "in an order of its own, each when the disk has what the one before wrote and the cores are idle; ratios are",
        "taken inside a round, and the table gives their median and range.",
        "",
        f"## {figures.mib} MiB of weights, {len(figures.rounds)} rounds",
        "",
        "| way | MB/s, median | beside the faster plain copy | aim |",
        "| --- | ---: | ---: | ---: |",
        *_rows(figures, _UPS),
        *_rows(figures, _DOWNS),
        "",
        _steps(figures),
        "",
        "## How the bucket grows",
        "",
        "| published | size of the versions | growth |",
        "| --- | ---: | ---: |",
        *(f"| {each.what} | {_mb(each.size_bytes)} | {_mb(each.grown_bytes)} |" for each in figures.growth),
        "",
    ]
    return "\n".join(lines)


def _steps(figures: Figures) -> str:
    told = {"hash": "hashing", "upload": "sending", "commit": "looking into the files and committing"}
    medians = {step: statistics.median(taken[step] for taken in figures.steps) for step in told}
    return "Of a publication: " + ", ".join(f"{told[step]} {took:.2f} s" for step, took in medians.items()) + "."


def _rows(figures: Figures, ways: tuple[str, ...]) -> list[str]:
    rows = []
    for way in ways:
        speeds = [figures.mib * 1.048576 / taken[way] for taken in figures.rounds]
        ratios = sorted(min(taken[other] for other in ways[1:]) / taken[way] for taken in figures.rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        met = "met" if statistics.median(ratios) >= TARGET else "missed"
        aim = f"≥ {TARGET}: {met}" if way == ways[0] else ""
        rows.append(f"| {_WHAT[way]} | {statistics.median(speeds):.0f} | {spread} | {aim} |")
    return rows


def _mb(count: int) -> str:
    return f"{count / 1e6:,.3f} MB"
