"""`python -m benchmarks.feedback`: how fast feedback takes in interactions and signals beside plain copies of the rows.

Every round has a database of its own. The messages lie in their streams before the service starts; it runs as a
process, as in production, and is timed from its first batch to its last row by looking at the table. Then the very rows
that it wrote are copied by the driver's COPY, in batches of the same size with a commit each: all of them, table by
table, into tables without indexes or constraints (`same`, which is what the aim is about); those of the one table alone
(`one`); and these into a table with the indexes and checks of ours (`indexed`). What is compared is the ratio inside a
round.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import nats as nats_py

from benchmarks.feedback_report import BATCH, COPIES, LEAVES, WAYS, Figures, render
from benchmarks.machine import settle
from benchmarks.processor_time import cpu_s, server_pid
from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.contracts.topology import STREAMS
from libs.kit import clock
from libs.testkit.feedback import FeedbackDesk, FeedbackGround, Rows, completed, feedback_process, new_signal
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer
from services.feedback.migrations import migrate
from services.feedback.repository.signals import from_row
from services.feedback.service.signals import announcement
from services.feedback.tables import OUTBOX

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "feedback.md"
POLL_S: Final = 0.02
NAMES: Final = {"interactions": "request_id", "signals": "id"}

Batch = dict[str, list[tuple[Any, ...]]]
"""Rows of one transaction, by table."""


def main() -> None:
    """Measure, and write the page unless this is only a try."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feedback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=40_000, help="of each kind in each round")
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    choice = parser.parse_args()
    text = render(asyncio.run(_measure(_home(), choice.rounds, choice.rows)))
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
            ours, cost = await _service(ground, rows, table, messages)
            batches = {"same": await _batches(rows, *LEAVES[table]), "one": await _batches(rows, table)}
            if table == "signals":
                await _add_outbox(rows, batches["same"])
            ways = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
            copies = {way: await _copies(ground, rows, batches.get(way, batches["one"]), way) for way in ways}
            speeds[table] = {"ours": ours, **{way: count / took_s for way, (took_s, _) in copies.items()}, **cost}
            speeds[table]["copy"] = copies["same"][1] / count * 1e6
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


async def _service(
    ground: FeedbackGround, rows: Rows, table: str, messages: Sequence[Any]
) -> tuple[float, dict[str, float]]:
    """Messages per second from the first look that sees some to the one that sees all, and what each cost whom.

    The cost includes acknowledging and sending events, which go on for a moment after the last row.
    """
    last = f"{NAMES[table]} = '{getattr(messages[-1], NAMES[table])}'"
    await asyncio.to_thread(settle)
    async with feedback_process(ground, content="metadata", batch=BATCH) as process:
        assert process.process is not None
        pids = {"service": process.process.pid, **_servers_of(ground)}
        while not (first := await rows.count(table)):  # noqa: ASYNC110 - they are written in another process
            await asyncio.sleep(POLL_S)
        began_s = clock.monotonic_s()
        before_s = {name: cpu_s(pid) for name, pid in pids.items()}
        assert first < len(messages), "too few rows to be timed"
        # One row is found by its key; counting all of them each time would be work for the database.
        while not await rows.count(table, last):  # noqa: ASYNC110 - they are written in another process
            await asyncio.sleep(POLL_S)
        while await rows.count(table) < len(messages):  # noqa: ASYNC110 - they are written in another process
            await asyncio.sleep(POLL_S)
        took_s = clock.monotonic_s() - began_s
        await rows.until("outbox", 0)
        written = len(messages) - first
        cost = {name: (cpu_s(pid) - before_s[name]) / written * 1e6 for name, pid in pids.items()}
    return written / took_s, cost


def _servers_of(ground: FeedbackGround) -> dict[str, int]:
    return {
        "nats": server_pid(ground.directory / "nats", "nats-server"),
        "postgres": server_pid(ground.directory / "postgres", "postgres"),
    }


async def _batches(rows: Rows, *tables: str) -> list[Batch]:
    """What these tables hold, as it would be written by transactions of `BATCH` messages."""
    found = {table: await _all(rows, table) for table in tables}
    count = max(map(len, found.values()))
    return [{name: every[at : at + BATCH] for name, every in found.items()} for at in range(0, count, BATCH)]


async def _all(rows: Rows, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await rows.fetch(f"select * from feedback.{table}")]  # noqa: S608 - our own names


async def _add_outbox(rows: Rows, batches: list[Batch]) -> None:
    """The events of each batch, as they were in the outbox until they were sent."""
    said = [from_row(row) for row in await rows.fetch("select * from feedback.signals")]
    for number, batch in enumerate(batches):
        signals = said[number * BATCH : (number + 1) * BATCH]
        names = [f"{one.id}-recorded" for one in signals]
        events = OUTBOX.row(subjects.SIGNAL_RECORDED, names, [announcement(one) for one in signals], time_ms=1)
        batch["outbox"] = [(number, *events)]


async def _copies(ground: FeedbackGround, rows: Rows, batches: list[Batch], way: str) -> tuple[float, float]:
    """As `_copy`, the mean of some: one takes less than a fifth of a second, in which anything disturbs much."""
    taken = []
    for _ in range(COPIES):
        await asyncio.to_thread(settle)
        taken.append(await _copy(ground, rows, batches, way))
    took_s, used_s = map(statistics.mean, zip(*taken, strict=True))
    return took_s, used_s


async def _copy(ground: FeedbackGround, rows: Rows, batches: list[Batch], way: str) -> tuple[float, float]:
    """Seconds that COPY takes on the driver's own connection, a commit for each batch; those of both processors."""
    including = "including all" if way == "indexed" else ""
    for name in batches[0]:
        await rows.fetch(f"create table feedback.{name}_{way} (like feedback.{name} {including})")
    server = _servers_of(ground)["postgres"]
    used_s, began_s = cpu_s(server) + time.process_time(), time.perf_counter()
    for batch in batches:
        async with rows.database.begin_bulk() as connection:
            for name, records in batch.items():
                await connection.copy_records_to_table(f"{name}_{way}", schema_name="feedback", records=records)
    took_s = time.perf_counter() - began_s
    used_s = cpu_s(server) + time.process_time() - used_s
    for name in batches[0]:
        await rows.fetch(f"drop table feedback.{name}_{way}")
    return took_s, used_s


if __name__ == "__main__":
    main()
