"""Two plots of one run: how llmos compares in each load, and where the CPU time of a token goes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.figures import events_per_s, median_of, ratios, requests_per_s, role_us_per_request
from benchmarks.loads import ALL_LOADS, Load
from benchmarks.records import ContenderInfo, Run
from benchmarks.report import roles_of
from benchmarks.targets import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = ("#33628a", "#c2703d", "#5c8a4b", "#8a5c86", "#b9a13c")
ROLE_COLOURS: Final = {
    "gateway": "#33628a",
    "nats": "#c2703d",
    "scheduler": "#b9a13c",
    "worker": "#5c8a4b",
    "api": "#8a5c86",
    "engine": "#b8bcc0",
}
BAR_HEIGHT: Final = 0.8
DPI: Final = 130


def draw(run: Run, folder: Path) -> list[tuple[str, str]]:
    """Write the plots of `run` to `folder`; returns title and file name of each."""
    import matplotlib as mpl  # noqa: PLC0415 (a second to load, and only this command needs it)

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    loads = [load for load in ALL_LOADS if load.name in run.plan.loads]
    made = [_draw_ratios(run, loads, folder)]
    streamed = [load for load in loads if load.stream]
    if streamed:
        made.append(_draw_cpu(run, streamed, folder))
    return made


def _draw_ratios(run: Run, loads: Sequence[Load], folder: Path) -> tuple[str, str]:
    from matplotlib import pyplot as plt  # noqa: PLC0415 (as above)

    others = [info for info in run.contenders if info.name != OURS]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.28 * len(loads) * max(1, len(others))), layout="constrained")
    for index, info in enumerate(others):
        _ratio_bars(axes, run, loads, info, (index, len(others)))
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(loads)), [load.title for load in loads])
    axes.set_ylim(len(loads) - 0.4, -0.6)
    if run.plan.part == "vllm":
        axes.set_xlim(left=0)
        axes.set_xlabel("requests/s, llmos ÷ other: median of rounds, from least to most")
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("events/s (not streamed: requests/s), llmos ÷ other: median of rounds, from least to most")
    axes.xaxis.label.set_fontsize(9)
    axes.grid(axis="x", which="major", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    title = f"llmos against each contender ({run.plan.part})"
    axes.set_title(title)
    file = f"{run.plan.part}-ratios.png"
    figure.savefig(folder / file, dpi=DPI)
    plt.close(figure)
    return title, file


def _ratio_bars(axes: "Axes", run: Run, loads: Sequence[Load], info: ContenderInfo, place: tuple[int, int]) -> None:
    index, count = place
    step = BAR_HEIGHT / count
    points = []
    for row, load in enumerate(loads):
        measure = events_per_s if load.stream and run.plan.part == "mock" else requests_per_s
        spread = ratios(run, load.name, OURS, info.name, measure)
        if spread is not None:
            points.append((row - BAR_HEIGHT / 2 + step * (index + 0.5), spread))
    axes.errorbar(
        [spread.median for _, spread in points],
        [y for y, _ in points],
        xerr=[
            [spread.median - spread.low for _, spread in points],
            [spread.high - spread.median for _, spread in points],
        ],
        fmt="o",
        capsize=3,
        color=COLOURS[index % len(COLOURS)],
        label=f"against {info.title}",
    )
    for y, spread in points:
        axes.annotate(
            f"{spread.median:#.3g}", (spread.median, y), (0, 4), textcoords="offset points", fontsize=7, ha="center"
        )


def _draw_cpu(run: Run, loads: Sequence[Load], folder: Path) -> tuple[str, str]:
    from matplotlib import pyplot as plt  # noqa: PLC0415 (as above)
    from matplotlib.patches import Rectangle  # noqa: PLC0415 (as above)

    figure, grid = plt.subplots(1, len(loads), figsize=(2.6 * len(loads) + 1, 3.6), layout="constrained", squeeze=False)
    for axes, load in zip(grid[0], loads, strict=True):
        _cpu_bars(axes, run, load)
    roles = {role for load in loads for info in run.contenders for role in roles_of(run, load.name, info.name)}
    handles = [Rectangle((0, 0), 1, 1, color=ROLE_COLOURS.get(role, "black")) for role in ROLE_COLOURS if role in roles]
    figure.legend(
        handles, [role for role in ROLE_COLOURS if role in roles], loc="outside lower center", ncols=6, frameon=False
    )
    title = f"CPU µs per token by part, very high bars cut off ({run.plan.part})"
    figure.suptitle(title)
    file = f"{run.plan.part}-cpu.png"
    figure.savefig(folder / file, dpi=DPI)
    plt.close(figure)
    return title, file


def _cpu_bars(axes: "Axes", run: Run, load: Load) -> None:
    """Stacked bars; the axis ends a little above the second highest, so that one giant cannot flatten the others."""
    stacks = {info.name: _stack(run, load, info) for info in run.contenders}
    totals = sorted(sum(parts.values()) for parts in stacks.values())
    ceiling = 1.25 * (totals[-2] if len(totals) > 1 and totals[-1] > 4 * totals[-2] else totals[-1])
    for index, parts in enumerate(stacks.values()):
        bottom = 0.0
        for role, value in parts.items():
            axes.bar(index, value, bottom=bottom, color=ROLE_COLOURS.get(role, "black"), width=0.7)
            bottom += value
        axes.annotate(
            f"{bottom:#.3g}",
            (index, min(bottom, 0.93 * ceiling)),
            ha="center",
            va="bottom",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_ylim(0, ceiling or 1.0)
    axes.set_xticks(range(len(stacks)), list(stacks), rotation=35, ha="right", fontsize=8)
    axes.set_title(load.name, fontsize=9)


def _stack(run: Run, load: Load, info: ContenderInfo) -> dict[str, float]:
    """Microseconds per token of each role."""
    parts = {}
    for role in roles_of(run, load.name, info.name):
        spread = median_of(run, load.name, info.name, role_us_per_request(role))
        parts[role] = spread.median / load.tokens if spread else 0.0
    return parts
