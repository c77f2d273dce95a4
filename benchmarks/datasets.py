"""`python -m benchmarks.datasets`: building data sets from judged interactions in a real PostgreSQL: rows/s and memory.

The build is the service's own child process, as it runs in production; its peak memory is what the kernel says of it.
"""

import argparse
import asyncio
import os
import resource
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import describe_machine
from libs.contracts.datasets import Shape
from libs.kit.postgres import Database
from libs.kit.settings import PostgresSettings
from libs.testkit.judged import START_MS, Crowd, judged_rows, selection
from libs.testkit.judged_store import store
from libs.testkit.stores import PostgresServer
from services.feedback.datasets.builder import reports
from services.feedback.datasets.order import Done
from services.feedback.migrations import migrate

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "datasets.md"
STORED: Final = HERE / "results" / "datasets.json"
PLOT: Final = HERE / "results" / "datasets.png"
SIZES: Final = (10_000, 100_000)
LIMIT_MIB: Final = 1_024
_SHAPES: Final = (Shape.SFT, Shape.PREFERENCE)
_AGES_MS: Final = 10**12


class Figure(msgspec.Struct, frozen=True):
    """One build."""

    rows: int
    shape: Shape
    seconds: float
    peak_mib: float
    kept: int
    cpu_s: float = 0.0
    """Of the builder, without the database; 0 where it was not measured."""


def main() -> None:
    """Measure, and write the page and the plot unless this is only a try."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.datasets", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="interactions, for example 10000,100000,1000000")
    parser.add_argument("--shapes", type=_shapes, default=_SHAPES, help="for example sft")
    parser.add_argument("--show", action="store_true", help="print the page instead of writing it")
    choice = parser.parse_args()
    figures = asyncio.run(_measure(_home(), choice.sizes, choice.shapes))
    if choice.show:
        print(_render(figures))
    else:
        figures = _merged(figures)
        text = _render(figures)
        PAGE.write_text(text, encoding="utf-8")
        _draw(figures)
        print(f"results: {PAGE}, {PLOT}")


def _merged(figures: list[Figure]) -> list[Figure]:
    """With those of earlier runs that this one has not measured again; kept for the next."""
    kept = msgspec.json.decode(STORED.read_bytes(), type=list[Figure]) if STORED.exists() else []
    found = {(one.rows, one.shape): one for one in [*kept, *figures]}
    merged = [found[key] for key in sorted(found)]
    STORED.write_bytes(msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")
    return merged


def _shapes(text: str) -> tuple[Shape, ...]:
    return tuple(Shape(name) for name in text.split(","))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def _home() -> Path:
    home = Path(os.environ.get("LLMOS_HOME") or HERE.parent / ".llmos").resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    return home


async def _measure(home: Path, sizes: tuple[int, ...], shapes: tuple[Shape, ...]) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(dir=home, prefix="datasets-") as directory:
        place = Path(directory) / "postgres"
        place.mkdir()
        server = PostgresServer(place)
        await asyncio.to_thread(server.start)
        try:
            for size in sizes:
                figures += await _measure_size(server, size, shapes, Path(directory))
        finally:
            await asyncio.to_thread(server.stop)
    return figures


async def _measure_size(server: PostgresServer, size: int, shapes: tuple[Shape, ...], directory: Path) -> list[Figure]:
    settings = await server.create_database()
    database = Database(settings)
    await migrate(database)
    await store(settings, judged_rows(size, crowd=Crowd(honest=200, hostile=20, flood=5)))
    async with database.connect() as connection:
        await connection.exec_driver_sql("vacuum analyze")
    await database.close()
    figures = []
    for shape in shapes:
        with tempfile.TemporaryDirectory(dir=directory) as out:
            figures.append(await _build(settings, size, shape, Path(out)))
        print(figures[-1], flush=True)
    await server.drop_database(settings)
    return figures


async def _build(settings: PostgresSettings, size: int, shape: Shape, directory: Path) -> Figure:
    started_s, kept = time.perf_counter(), 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watch = _Watch()
    watching = asyncio.create_task(watch.run())
    async with aclosing(reports(selection(shape, until_ms=START_MS + _AGES_MS), directory, settings)) as heard:
        async for report in heard:
            if isinstance(report, Done):
                kept = report.rows
    seconds = time.perf_counter() - started_s
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert kept, "the build failed"
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(size, shape, seconds, watch.peak_mib, kept, cpu_s)


class _Watch:
    """Looks at the builder's high-water mark again and again; the kernel forgets it when the process ends."""

    def __init__(self) -> None:
        self.peak_mib = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.peak_mib = max(self.peak_mib, *map(_high_water_mib, _children()), 0.0)
            await asyncio.sleep(0.02)


def _children() -> list[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [child for task in tasks for child in task.read_text(encoding="utf-8").split()]


def _high_water_mib(process: str) -> float:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    if b"services.feedback.datasets" not in command:
        return 0.0
    return max((int(line.split()[1]) / 1_024 for line in lines if line.startswith("VmHWM")), default=0.0)


def _render(figures: list[Figure]) -> str:
    machine = describe_machine(private_network=False)
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_mib // 1024} GiB"
    largest = max(figure.rows for figure in figures)
    slopes = _slopes(figures)
    lines = [
        "# Data sets benchmark",
        "",
        "    python -m benchmarks.datasets                               # about two minutes",
        "    python -m benchmarks.datasets --sizes 10000,100000,1000000  # the long form",
        "    python -m benchmarks.datasets --show --sizes 2000            # does it still run? Nothing is written",
        "",
        f"{where}; PostgreSQL on this machine; Python {machine.python}.",
        "Made-up interactions (12 words asked, 40 answered, one signal each, half of them in episodes, one in ten with",
        "an address to redact, 200 raters and 20 who flood), all steps on. A build is the service's own child process,",
        "from its start to its last report: reading, redaction, MinHash, quarantine, JSONL and Parquet. One run each;",
        "nothing keeps other work off the machine meanwhile.",
        "",
        "| interactions | shape | rows in the set | seconds | processor, each | interactions/s | peak memory | limit |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.rows:,} | {one.shape} | {one.kept:,} | {one.seconds:.1f} | {_cpu(one)}"
            f" | {one.rows / one.seconds:,.0f} | {one.peak_mib:.0f} MiB | {LIMIT_MIB} MiB |"
            for one in figures
        ),
        "",
        *(f"{line}" for line in slopes),
        f"The largest size measured is {largest:,} interactions.",
        "",
        "![seconds and memory by interactions](results/datasets.png)",
        "",
    ]
    return "\n".join(lines)


def _cpu(one: Figure) -> str:
    return f"{one.cpu_s / one.rows * 1e6:.0f} µs" if one.cpu_s else "not measured"


def _slopes(figures: list[Figure]) -> list[str]:
    """What one row more costs between the smallest and the largest size: time and memory."""
    lines = []
    for shape in _SHAPES:
        own = sorted((one for one in figures if one.shape is shape), key=lambda one: one.rows)
        if len(own) > 1:
            rows = own[-1].rows - own[0].rows
            us = (own[-1].seconds - own[0].seconds) / rows * 1e6
            cpu_us = (own[-1].cpu_s - own[0].cpu_s) / rows * 1e6
            cpu = f" ({cpu_us:.0f} µs of them the builder's processor time)" if own[0].cpu_s and own[-1].cpu_s else ""
            kib = (own[-1].peak_mib - own[0].peak_mib) / rows * 1_024
            whole = own[0].peak_mib + kib * (1_000_000 - own[0].rows) / 1_024
            text = f"`{shape}`: each further interaction costs {us:.0f} µs{cpu} and {kib:.2f} KiB"
            lines.append(f"{text}; by that a million would take {whole:.0f} MiB.")
    return [*lines, ""] if lines else []


def _draw(figures: list[Figure]) -> None:
    import matplotlib as mpl  # noqa: PLC0415 (a second to load, and only this needs it)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 (as above)

    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for shape in _SHAPES:
        own = sorted((one for one in figures if one.shape is shape), key=lambda one: one.rows)
        sizes = [one.rows for one in own]
        time_axes.plot(sizes, [one.seconds for one in own], marker="o", label=shape.value)
        memory_axes.plot(sizes, [one.peak_mib for one in own], marker="o", label=shape.value)
    memory_axes.axhline(LIMIT_MIB, color="black", linewidth=1, label="limit")
    for axes, what in ((time_axes, "seconds"), (memory_axes, "peak memory, MiB")):
        axes.set_xscale("log")
        axes.set_xlabel("interactions")
        axes.set_ylabel(what)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    time_axes.set_yscale("log")
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
