"""How much processor time processes have taken, with their children: it says what a row costs whatever else runs."""

import contextlib
from pathlib import Path

import psutil


def cpu_s(pid: int) -> float:
    """Seconds that a process and everything it started have been on a processor; those that have ended, too."""
    total_s = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total_s += times.user + times.system + times.children_user + times.children_system
    return total_s


def server_pid(directory: Path, name: str) -> int:
    """The process named `name` whose command line names `directory`, for servers that were started for a benchmark.

    Raises:
        LookupError: there is none.
    """
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or []
        if command and name in Path(command[0]).name and any(str(directory) in part for part in command):
            return int(process.info["pid"])
    raise LookupError(f"no process {name} works in {directory}")
