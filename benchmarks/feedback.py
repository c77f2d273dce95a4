"""`python -m benchmarks.feedback`: how fast feedback takes in interactions and signals beside plain copies of the rows.

Every round has a database of its own. The messages lie in their streams before the service starts; it runs as a
process, as in production, and is timed from its first batch to its last row by looking at the table. Then the very rows
that it wrote are copied, in batches of the same size with a commit each, by the driver's COPY into a table without any
index, and into one with the indexes and checks of ours. What is compared is the ratio inside a round.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nats as nats_py

from benchmarks.machine import describe_machine
from benchmarks.processor_time import cpu_s, server_pid
from deploy.nats.provision import provision
from libs.contracts.topology import STREAMS
from libs.kit import clock
from libs.testkit.feedback import FeedbackDesk, FeedbackGround, Rows, completed, feedback_process, new_signal
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer
from services.feedback.migrations import migrate

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "feedback.md"
BATCH: Final = 2_000
TARGET: Final = 0.25
POLL_S: Final = 0.1
TABLES: Final = ("interactions", "signals")
LEAVES: Final = {"interactions": ("interactions",), "signals": ("signals", "inbox", "standing")}
"""Every row that one message leaves for good; the outbox is empty again."""


@dataclass
class Figures:
    """Rows per second of each way, one of each per round, by table."""

    rows: int
    load: float
    taken: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {table: [] for table in TABLES})
    """Rows per second of `ours`, `plain`, `indexed` and `all` (a plain copy of every row left); microseconds of
    processor time per row of `service`, `nats` and `postgres`, and of a plain copy at both ends (`copy`)."""


def main() -> None:
    """Measure, and write the page unless this is only a try."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feedback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=40_000, help="of each kind in each round")
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    choice = parser.parse_args()
    text = _render(asyncio.run(_measure(_home(), choice.rounds, choice.rows)))
    if choice.show:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
        print(f"results: {PAGE}")


def _home() -> Path:
    home = Path(os.environ.get("LLMOS_HOME") or HERE.parent / ".llmos").resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    return home


async def _measure(home: Path, rounds: int, count: int) -> Figures:
    with tempfile.TemporaryDirectory(dir=home, prefix="feedback-") as directory:
        async with _servers(Path(directory)) as (nats, postgres):
            figures = Figures(rows=count, load=os.getloadavg()[0])
            for number in range(rounds + 1):
                speeds = await _round(nats, postgres, Path(directory), number, count)
                if number:  # the first one warms everything
                    for table, taken in speeds.items():
                        figures.taken[table].append(taken)
                    print(f"round {number} of {rounds}: {speeds}", flush=True)
            return figures


@asynccontextmanager
async def _servers(directory: Path) -> AsyncIterator[tuple[NatsServer, PostgresServer]]:
    places = {name: directory / name for name in ("nats", "postgres")}
    for place in places.values():
        place.mkdir()
    nats, postgres = NatsServer(places["nats"]), PostgresServer(places["postgres"])
    nats.start()
    try:
        await asyncio.to_thread(postgres.start)
        await provision(nats.settings("provisioner"), ("default",))
        yield nats, postgres
    finally:
        await asyncio.to_thread(postgres.stop)
        nats.stop()


async def _round(
    nats: NatsServer, postgres: PostgresServer, directory: Path, number: int, count: int
) -> dict[str, dict[str, float]]:
    """Both tables, the service and the copies in an order that shifts from round to round."""
    await _purge(nats)
    ground = FeedbackGround(nats, postgres, await postgres.create_database(), directory)
    speeds: dict[str, dict[str, float]] = {}
    async with ground.desk() as desk, ground.rows() as rows:
        await migrate(rows.database)
        requests = [completed(episode_id=f"e{i // 4}", user=f"u{i % 100}") for i in range(count)]
        for table, messages in (
            ("interactions", requests),
            ("signals", [new_signal(one.request_id, rater=f"r{i % 50}") for i, one in enumerate(requests)]),
        ):
            await _say(desk, messages)
            ours, cost = await _service(ground, rows, table, count)
            copies = ["plain", "indexed"]
            if number % 2:
                copies.reverse()
            speeds[table] = {"ours": ours, **{way: await _copy(rows, table, way) for way in copies}, **cost}
            speeds[table]["all"] = await _copy_all(rows, table)
            speeds[table]["copy"] = await _copy_cost(ground, rows, table)
    await postgres.drop_database(ground.database)
    return speeds


async def _purge(nats: NatsServer) -> None:
    address = f"nats://{nats.host}:{nats.port}"
    client = await nats_py.connect(address, user="provisioner", password=nats.passwords["provisioner"])
    for stream in STREAMS:
        await client.jetstream().purge_stream(stream.name)
    await client.close()


async def _say(desk: FeedbackDesk, messages: Iterable[Any]) -> None:
    waiting = iter(messages)
    while batch := list(itertools.islice(waiting, BATCH)):
        await desk.say(batch)


async def _service(ground: FeedbackGround, rows: Rows, table: str, count: int) -> tuple[float, dict[str, float]]:
    """Rows per second from the first look that sees some to the one that sees all, and what each cost whom.

    The cost includes acknowledging and sending events, which go on for a moment after the last row.
    """
    async with feedback_process(ground, content="metadata", batch=BATCH) as process:
        assert process.process is not None
        pids = {"service": process.process.pid, **_servers_of(ground)}
        while not (first := await rows.count(table)):  # noqa: ASYNC110 - they are written in another process
            await asyncio.sleep(POLL_S)
        began_s = clock.monotonic_s()
        before_s = {name: cpu_s(pid) for name, pid in pids.items()}
        assert first < count, "too few rows to be timed"
        while await rows.count(table) < count:  # noqa: ASYNC110 - they are written in another process
            await asyncio.sleep(POLL_S)
        took_s = clock.monotonic_s() - began_s
        await rows.until("outbox", 0)
        cost = {name: (cpu_s(pid) - before_s[name]) / (count - first) * 1e6 for name, pid in pids.items()}
    return (count - first) / took_s, cost


def _servers_of(ground: FeedbackGround) -> dict[str, int]:
    return {
        "nats": server_pid(ground.directory / "nats", "nats-server"),
        "postgres": server_pid(ground.directory / "postgres", "postgres"),
    }


async def _copy_cost(ground: FeedbackGround, rows: Rows, table: str) -> float:
    """Microseconds of processor time, of this process and the database together, that a copied row takes."""
    found = [tuple(row) for row in await rows.fetch(f"select * from feedback.{table}")]  # noqa: S608 - our own names
    await rows.fetch(f"create table feedback.{table}_again (like feedback.{table})")
    server = _servers_of(ground)["postgres"]
    before_s = cpu_s(server) + time.process_time()
    await _copy_batches(rows, f"{table}_again", found)
    return (cpu_s(server) + time.process_time() - before_s) / len(found) * 1e6


async def _copy(rows: Rows, table: str, way: str) -> float:
    """Rows per second of COPY, in batches with a commit each, on the driver's own connection."""
    found = [tuple(row) for row in await rows.fetch(f"select * from feedback.{table}")]  # noqa: S608 - our own names
    including = "including all" if way == "indexed" else ""
    await rows.fetch(f"create table feedback.{table}_{way} (like feedback.{table} {including})")
    began_s = time.perf_counter()
    await _copy_batches(rows, f"{table}_{way}", found)
    return len(found) / (time.perf_counter() - began_s)


async def _copy_all(rows: Rows, table: str) -> float:
    """Messages per second, if all that is done is to copy the rows that they leave, table by table."""
    took_s = [1 / await _copy(rows, left, "alone") for left in LEAVES[table]]
    return 1 / sum(took_s)


async def _copy_batches(rows: Rows, table: str, found: list[tuple[Any, ...]]) -> None:
    for batch in [found[at : at + BATCH] for at in range(0, len(found), BATCH)]:
        async with rows.database.begin_bulk() as connection:
            await connection.copy_records_to_table(table, schema_name="feedback", records=batch)


def _render(figures: Figures) -> str:
    machine = describe_machine(private_network=False)
    return "\n".join(
        [
            "# Feedback benchmark",
            "",
            "    python -m benchmarks.feedback            # about two minutes; wants an otherwise idle machine",
            "    python -m benchmarks.feedback --show --rounds 1 --rows 5000   # does it still run? Nothing is written",
            "",
            f"{machine.processor}, {machine.cores} cores, {machine.memory_mib // 1024} GiB; all servers on it.",
            f"Load average before the run: {figures.load:.1f}; above 0.5, other work took its share of the processor.",
            f"{figures.rows} messages of each kind in each of {len(figures.taken['signals'])} rounds, by {BATCH}.",
            "The service, one process, pulls from JetStream, checks, writes every row exactly once (a signal in four",
            "tables), commits, acknowledges and sends its events; the copies only write one table, or all of them.",
            "",
            "| rows | per second, median | beside plain COPY (range) | … of all its rows | … with our indexes | aim |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *(_row(table, taken) for table, taken in figures.taken.items()),
            "",
            "Processor time per row, medians, which other work disturbs less than it does the clock:",
            "",
            "| rows | service | NATS | PostgreSQL | together | plain COPY, both ends | ratio |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(_cost_row(table, taken) for table, taken in figures.taken.items()),
            "",
        ]
    )


def _row(table: str, taken: list[dict[str, float]]) -> str:
    plain = _ratio([one["ours"] / one["plain"] for one in taken])
    indexed = _ratio([one["ours"] / one["indexed"] for one in taken])
    middle = statistics.median(one["ours"] / one["plain"] for one in taken)
    met = "met" if middle >= TARGET else "missed"
    speed = statistics.median(one["ours"] for one in taken)
    whole = _ratio([one["ours"] / one["all"] for one in taken])
    return f"| {table} | {speed:,.0f} | {plain} | {whole} | {indexed} | ≥ {TARGET} of plain: {met} |"


def _cost_row(table: str, taken: list[dict[str, float]]) -> str:
    names = ("service", "nats", "postgres")
    parts = " | ".join(f"{statistics.median(one[name] for one in taken):.0f} µs" for name in names)
    whole = statistics.median(sum(one[name] for name in names) for one in taken)
    copied = statistics.median(one["copy"] for one in taken)
    return f"| {table} | {parts} | {whole:.0f} µs | {copied:.0f} µs | {copied / whole:.2f} |"


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
