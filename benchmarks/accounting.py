"""CPU time and memory of process trees, and how quiet the machine is, read from `/proc`."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
ENGINE_TITLE: Final = "VLLM::"
"""vLLM's engine processes title themselves so; their time is told apart from that of the process that started them."""

ENGINE_ROLE: Final = "engine"


@dataclass(frozen=True)
class Role:
    """One part of a contender: the process `pid`, all that descend from it, and its whole session."""

    name: str
    pid: int


@dataclass(frozen=True)
class ProcessStat:
    """What `/proc/<pid>/stat` tells of one process; `cpu_s` includes children that have ended and were waited for."""

    pid: int
    parent: int
    session: int
    title: str
    cpu_s: float


@dataclass(frozen=True)
class SystemCpu:
    """Seconds that all cores together have spent since the machine started."""

    steal_s: float
    total_s: float
    idle_s: float = 0.0
    """With nothing to do; waiting for a disk does not count."""


def parse_stat(text: str) -> ProcessStat:
    """Read one line of `/proc/<pid>/stat`; the title may contain spaces and brackets."""
    left, _, right = text.rpartition(")")
    pid, _, title = left.partition("(")
    fields = right.split()
    ticks = sum(int(fields[index]) for index in (11, 12, 13, 14))
    return ProcessStat(int(pid), int(fields[1]), int(fields[3]), title, ticks / TICKS_PER_S)


def scan() -> dict[int, ProcessStat]:
    """Every process of the machine that can be read now, by pid."""
    found: dict[int, ProcessStat] = {}
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            try:
                stat = parse_stat((PROC / entry.name / "stat").read_text(encoding="utf-8", errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[stat.pid] = stat
    return found


def tree(processes: Mapping[int, ProcessStat], leader: int) -> list[ProcessStat]:
    """The processes of `leader`'s session and everything that descends from them."""
    children: dict[int, list[int]] = {}
    for stat in processes.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    waiting = [stat.pid for stat in processes.values() if leader in {stat.pid, stat.session}]
    seen: set[int] = set()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            waiting += children.get(pid, [])
    return [processes[pid] for pid in sorted(seen)]


def cpu_by_role(processes: Mapping[int, ProcessStat], roles: Iterable[Role]) -> dict[str, float]:
    """Seconds of CPU that each role has used so far; vLLM's engine processes form a role of their own."""
    used: dict[str, float] = {}
    for role in roles:
        used.setdefault(role.name, 0.0)
        for stat in tree(processes, role.pid):
            name = ENGINE_ROLE if stat.title.startswith(ENGINE_TITLE) else role.name
            used[name] = used.get(name, 0.0) + stat.cpu_s
    return used


def cpu_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each role has used between two snapshots; a process that vanished unseen cannot make it negative."""
    return {name: max(0.0, seconds - before.get(name, 0.0)) for name, seconds in after.items()}


def pss_mib(processes: Mapping[int, ProcessStat], roles: Iterable[Role]) -> dict[str, float]:
    """Proportional memory of each role in MiB; 0 for what may not be read."""
    used: dict[str, float] = {}
    for role in roles:
        total_kib = sum(_pss_kib(stat.pid) for stat in tree(processes, role.pid))
        used[role.name] = used.get(role.name, 0.0) + total_kib / 1024
    return used


def _pss_kib(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def system_cpu() -> SystemCpu:
    """Time stolen by other machines on the same host, and all time."""
    fields = (PROC / "stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return SystemCpu(steal_s=ticks[7] / TICKS_PER_S, total_s=sum(ticks) / TICKS_PER_S, idle_s=ticks[3] / TICKS_PER_S)


def steal_percent(before: SystemCpu, after: SystemCpu) -> float:
    """Share of the machine's time between two snapshots that was stolen."""
    passed_s = after.total_s - before.total_s
    return 100.0 * (after.steal_s - before.steal_s) / passed_s if passed_s > 0 else 0.0


def load_average() -> float:
    """Runnable processes, averaged over the last minute."""
    return os.getloadavg()[0]
