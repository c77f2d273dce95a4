"""The page of the feedback benchmark: what was measured, as ratios of one round each."""

import statistics
from dataclasses import dataclass, field
from typing import Final

from benchmarks.machine import describe_machine

BATCH: Final = 2_000
"""Messages in one transaction, of the service and of the copies."""
COPIES: Final = 3
"""In each round, of each kind; their mean counts."""
TARGET: Final = 0.25
LEAVES: Final = {"interactions": ("interactions",), "signals": ("signals", "inbox", "standing")}
"""Tables in which one message leaves a row for good; a batch of signals writes a row of the outbox besides."""
TABLES: Final = tuple(LEAVES)
WAYS: Final = ("same", "one", "indexed")

_WHAT: Final = """\
The service, one process, pulls from JetStream, checks, writes every row exactly once (inbox, row and outbox in one
transaction), commits, acknowledges and sends its events. The copy of the same rows writes all of them into plain tables
without indexes or constraints, one transaction a batch: an interaction is one row; a signal is one each in `signals`,
`inbox` and `standing`, and its event in the row that its batch leaves in `outbox`. The aim is about this copy. The
other two write the rows of the one table alone, without and with our indexes and checks."""
_COLUMNS: Final = (
    "messages",
    "per second, median",
    "beside plain COPY of the same rows (range)",
    "aim",
    "… of the one table alone",
    "… of that table with our indexes",
)
_COST_COLUMNS: Final = ("messages", "service", "NATS", "PostgreSQL", "together", "COPY of the same rows", "ratio")


@dataclass
class Figures:
    """Rows per second of each way, one of each per round, by table."""

    rows: int
    load: float
    taken: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {table: [] for table in TABLES})
    """Messages per second of `ours` and each of `WAYS`; microseconds of processor time per message of `service`, `nats`
    and `postgres`, and of the plain copy of the same rows at both ends (`copy`)."""


def render(figures: Figures) -> str:
    """The page in Markdown."""
    machine = describe_machine(private_network=False)
    return "\n".join(
        [
            "# Feedback benchmark",
            "",
            "    python -m benchmarks.feedback            # about five minutes; wants an otherwise idle machine",
            "    python -m benchmarks.feedback --show --rounds 1 --rows 5000   # does it still run? Nothing is written",
            "",
            f"{machine.processor}, {machine.cores} cores, {machine.memory_mib // 1024} GiB, all servers on it;",
            f"Python {machine.python}.",
            f"Load average before the run: {figures.load:.1f}; above 0.5, other work took its share of the processor.",
            f"{figures.rows} messages of each kind in each of {len(figures.taken['signals'])} rounds, by {BATCH}.",
            "What is timed begins when the disk has everything and the cores are idle;",
            f"of copies the mean of {COPIES} counts.",
            *_WHAT.splitlines(),
            "",
            f"| {' | '.join(_COLUMNS)} |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *(_row(table, taken) for table, taken in figures.taken.items()),
            "",
            "Processor time per message, medians, which other work disturbs less than it does the clock:",
            "",
            f"| {' | '.join(_COST_COLUMNS)} |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(_cost_row(table, taken) for table, taken in figures.taken.items()),
            "",
        ]
    )


def _row(table: str, taken: list[dict[str, float]]) -> str:
    same, one, indexed = (_ratio([speeds["ours"] / speeds[way] for speeds in taken]) for way in WAYS)
    met = "met" if statistics.median(speeds["ours"] / speeds["same"] for speeds in taken) >= TARGET else "missed"
    speed = statistics.median(speeds["ours"] for speeds in taken)
    return f"| {table} | {speed:,.0f} | {same} | ≥ {TARGET}: {met} | {one} | {indexed} |"


def _cost_row(table: str, taken: list[dict[str, float]]) -> str:
    names = ("service", "nats", "postgres")
    parts = " | ".join(f"{statistics.median(one[name] for one in taken):.0f} µs" for name in names)
    whole = statistics.median(sum(one[name] for name in names) for one in taken)
    copied = statistics.median(one["copy"] for one in taken)
    return f"| {table} | {parts} | {whole:.0f} µs | {copied:.0f} µs | {copied / whole:.2f} |"


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
