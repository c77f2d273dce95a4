"""What a run records, as it is stored: one JSON file per part, enough to draw every table again."""

from pathlib import Path
from typing import Final

import msgspec

SCHEMA: Final = 1


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the load generator measured in one window; field for field its output."""

    window_s: float
    elapsed_s: float
    served: float
    """Requests in the window, each with the part of its duration that lies in it."""
    requests: int
    events: int
    all_requests: int
    """In the whole run, with warm-up and drain: what CPU time is divided by."""
    all_events: int
    errors: int
    unfinished: int
    first_error: str
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    gap_p50_ms: float | None
    gap_p99_ms: float | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One visit to one contender under one load."""

    round: int
    load: str
    contender: str
    started_ms: int
    figures: Figures
    cpu_s: dict[str, float]
    """CPU seconds of each role of the contender, over the whole visit."""
    idle_percent: dict[str, float]
    """CPU that each contender that should have been idle used meanwhile, in percent of one core."""
    load_average: float
    steal_percent: float
    discarded: str = ""
    """Why this visit does not count and was repeated; empty if it counts."""


class Warmup(msgspec.Struct, frozen=True, kw_only=True):
    """How a contender came to its speed under one load."""

    load: str
    contender: str
    requests_per_s: tuple[float, ...]
    settled: bool
    """Whether the last two windows agreed."""


class ContenderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One contender, for people."""

    name: str
    title: str
    version: str
    roles: tuple[str, ...]
    pss_mib: dict[str, float] = {}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run took place."""

    processor: str
    cores: int
    memory_mib: int
    kernel: str
    python: str
    private_network: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run means to do; an interrupted run goes on only under an equal plan."""

    part: str
    commit: str
    rounds: int
    loads: tuple[str, ...]
    contenders: tuple[str, ...]
    window_scale: float
    settings: dict[str, str]
    """Versions and engine arguments: whatever changes the figures."""
    schema: int = SCHEMA


class Run(msgspec.Struct, kw_only=True):
    """Everything one part of the benchmark has measured so far."""

    plan: Plan
    machine: Machine
    started_ms: int
    finished_ms: int = 0
    """0 while windows are missing."""
    contenders: list[ContenderInfo] = []
    not_run: dict[str, str] = {}
    """Contenders that could not be started, and why."""
    warmups: list[Warmup] = []
    windows: list[Window] = []


def load_run(path: Path) -> Run | None:
    """The run stored at `path`; None if there is none that this version can read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save_run(run: Run, path: Path) -> None:
    """Store `run` so that an interruption leaves either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    draft.replace(path)
