"""Renders runs as Markdown and keeps the results section of the README."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import (
    Measure,
    Spread,
    counted,
    cpu_us_per_request,
    differences,
    events_per_s,
    median_of,
    problems,
    ratios,
    remarks,
    requests_per_s,
    role_us_per_request,
)
from benchmarks.loads import ALL_LOADS, Load
from benchmarks.records import ContenderInfo, Run, Window
from benchmarks.targets import OURS, TARGETS, ttft_p50_ms

BEGIN: Final = "<!-- results:begin (written by ./llmos bench) -->"
END: Final = "<!-- results:end -->"
PART_TITLES: Final = {"mock": "Mock engine", "vllm": "Real vLLM"}


def number(value: float | None) -> str:
    """Three significant digits, thousands apart; a dash for what was not measured."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def middle(spread: Spread | None) -> str:
    """The median alone."""
    return number(spread.median if spread else None)


def ranged(spread: Spread | None, unit: str = "") -> str:
    """The median with its range over rounds."""
    if spread is None:
        return "-"
    return f"{number(spread.median)}{unit} ({number(spread.low)} … {number(spread.high)})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def render(runs: Sequence[Run], plots: Sequence[tuple[str, str]]) -> str:
    """Everything between the markers; `plots` are pairs of title and file name."""
    sections = [_targets(runs)]
    sections += [f"![{title}]({file})" for title, file in plots]
    for run in runs:
        sections += [f"### {PART_TITLES[run.plan.part]}", _conditions(run)]
        sections += [_load_section(run, load) for load in ALL_LOADS if load.name in run.plan.loads]
        sections.append(_memory(run))
    return "\n\n".join(sections)


def replace_section(text: str, section: str) -> str:
    """`text` with what lies between the markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the markers of the results section are missing")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def update_readme(readme: Path, runs: Sequence[Run], plots: Sequence[tuple[str, str]]) -> None:
    """Write the results into the README."""
    readme.write_text(replace_section(readme.read_text(encoding="utf-8"), render(runs, plots)), encoding="utf-8")


def _targets(runs: Sequence[Run]) -> str:
    by_part = {run.plan.part: run for run in runs}
    rows = []
    for target in TARGETS:
        run = by_part.get(target.part)
        spread = target.measured(run) if run else None
        bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}{target.unit}"
        verdict = target.verdict(spread)
        if run and problems(run):
            verdict += " (run not valid)"
        rows.append((target.claim, bound, ranged(spread, target.unit), verdict))
    return table(("what", "to reach", "measured: median (range over rounds)", "verdict"), rows)


def _conditions(run: Run) -> str:
    when = datetime.fromtimestamp(run.started_ms / 1_000, UTC).strftime("%d %B %Y, %H:%M UTC")
    machine = run.machine
    kept = [window for window in run.windows if not window.discarded]
    load = sorted(window.load_average for window in kept) or [0.0]
    steal = sorted(window.steal_percent for window in kept) or [0.0]
    settings = ", ".join(f"{name} {value}" for name, value in run.plan.settings.items())
    network = "loopback-only" if machine.private_network else "ordinary"
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_mib / 1024:.0f} GiB"
    how_quiet = f"load average {load[0]:.1f} … {load[-1]:.1f}, steal {steal[0]:.1f} … {steal[-1]:.1f} %"
    lines = [
        f"{when}; commit {run.plan.commit}; {run.plan.rounds} rounds; {settings}.",
        f"{where}, Linux {machine.kernel}, Python {machine.python}, {network} network; {how_quiet}.",
    ]
    found = problems(run)
    if found:
        shown = [*found[:5], *([f"and {len(found) - 5} more"] if len(found) > 5 else [])]
        lines.append("**This run is not valid:**\n\n" + "\n".join(f"- {problem}" for problem in shown))
    notes = remarks(run)
    if notes:
        lines.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(lines)


def _load_section(run: Run, load: Load) -> str:
    names = [info for info in run.contenders if counted(run, load.name, info.name)]
    figures = table(_figure_head(load), [_figure_row(run, load, info) for info in names])
    others = [info for info in names if info.name != OURS]
    ours = any(info.name == OURS for info in names)
    parts = [f"#### {load.title[0].upper()}{load.title[1:]}", figures]
    if ours and others:
        parts.append(table(_ratio_head(load), [_ratio_row(run, load, info) for info in others]))
    return "\n\n".join(parts)


def _figure_head(load: Load) -> list[str]:
    head = ["median of rounds", "requests/s"]
    if load.stream:
        head += ["events/s", "first token p50 ms", "p99", "gap p50 ms"]
    head += ["whole answer p50 ms", "p99", "CPU µs/request"]
    return [*head, "CPU µs/token", "of it by part"] if load.stream else [*head, "of it by part"]


def _figure_row(run: Run, load: Load, info: ContenderInfo) -> list[str]:
    def cell(measure: Measure) -> str:
        return middle(median_of(run, load.name, info.name, measure))

    row = [info.title, cell(requests_per_s)]
    if load.stream:
        row += [cell(events_per_s), cell(ttft_p50_ms), cell(lambda window: window.figures.ttft_p99_ms)]
        row.append(cell(lambda window: window.figures.gap_p50_ms))
    row += [cell(lambda window: window.figures.latency_p50_ms), cell(lambda window: window.figures.latency_p99_ms)]
    row.append(cell(cpu_us_per_request))
    divisor = load.tokens if load.stream else 1
    if load.stream:
        row.append(cell(per_token(cpu_us_per_request, load)))
    return [*row, _by_role(run, load.name, info.name, divisor)]


def per_token(measure: Measure, load: Load) -> Measure:
    """A measure per request, divided by the tokens of one request."""

    def divided(window: Window) -> float | None:
        value = measure(window)
        return None if value is None else value / load.tokens

    return divided


def roles_of(run: Run, load: str, contender: str) -> list[str]:
    """The roles that used CPU time, in the order of the way."""
    windows = counted(run, load, contender)
    return list(dict.fromkeys(role for window in windows for role in window.cpu_s))


def _by_role(run: Run, load: str, contender: str, divisor: int) -> str:
    parts = []
    for role in roles_of(run, load, contender):
        spread = median_of(run, load, contender, role_us_per_request(role))
        parts.append(f"{role} {number(spread.median / divisor if spread else None)}")
    return ", ".join(parts)


def _ratio_head(load: Load) -> list[str]:
    head = ["llmos against", "requests/s ratio"]
    if load.stream:
        head += ["events/s ratio", "first token p50, ms more"]
    return [*head, "answer p50, ms more", "CPU/request ratio"]


def _ratio_row(run: Run, load: Load, info: ContenderInfo) -> list[str]:
    row = [info.title, ranged(ratios(run, load.name, OURS, info.name, requests_per_s))]
    if load.stream:
        row.append(ranged(ratios(run, load.name, OURS, info.name, events_per_s)))
        row.append(ranged(differences(run, load.name, OURS, info.name, ttft_p50_ms)))
    row.append(ranged(differences(run, load.name, OURS, info.name, lambda window: window.figures.latency_p50_ms)))
    return [*row, ranged(ratios(run, load.name, OURS, info.name, cpu_us_per_request))]


def _memory(run: Run) -> str:
    rows = [
        (
            f"{info.title} {info.version}".strip(),
            number(sum(info.pss_mib.values())),
            ", ".join(f"{role} {number(mib)}" for role, mib in info.pss_mib.items()),
        )
        for info in run.contenders
    ]
    return table(("memory after the run", "PSS MiB", "of it by part"), rows)
