"""Which loopback ports the stack uses: configured, else those of last time, else free ones."""

import json
import socket
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from deploy.local.errors import StackError
from deploy.local.home import Home, write_private

HOST: Final = "127.0.0.1"
GATEWAY_DEFAULT: Final = 8000
# Below the range that the kernel takes outgoing connections from, so that nobody sits on a port between two starts.
_FIRST: Final = 20_000
_LAST: Final = 31_999

NAMES: Final = (
    "gateway",
    "nats",
    "postgres",
    "s3",
    "s3_grpc",
    "objects_master",
    "objects_master_grpc",
    "objects_volume",
    "objects_volume_grpc",
    "objects_filer",
    "objects_filer_grpc",
    "objects_admin",
    "objects_admin_grpc",
    "scheduler_metrics",
    "registry_metrics",
    "feedback_metrics",
    "trainer_metrics",
    "rollout_metrics",
    "identity_metrics",
    "events_metrics",
    "audit_metrics",
)


def worker_names(count: int) -> tuple[str, ...]:
    """The names of the ports of so many inference workers."""
    return tuple(f"inference_{number}_metrics" for number in range(count))


def choose(home: Home, configured: Mapping[str, int], workers: int = 0) -> dict[str, int]:
    """A free port for each name, those of so many inference workers too, and a note of them for the next start.

    Raises:
        StackError: a configured port is in use.
    """
    for name, port in configured.items():
        if not is_free(port):
            raise StackError(
                f"Port {port}, which was asked for the {name}, is in use by another program.",
                "Choose another one, or stop that program.",
            )
    names = (*NAMES, *worker_names(workers))
    wished = {"gateway": GATEWAY_DEFAULT, **remembered(home, workers)}
    chosen = dict(configured)
    for name, port in wished.items():
        if name not in chosen and port not in chosen.values() and is_free(port):
            chosen[name] = port
    spare = (port for port in _free_ports(home) if port not in chosen.values())
    for name in names:
        if name not in chosen:
            chosen[name] = next(spare)
    write_private(home.ports_file, json.dumps(chosen, indent=1) + "\n")
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def remembered(home: Home, workers: int = 0) -> dict[str, int]:
    """The ports of the last start; empty before the first."""
    try:
        ports = json.loads(home.ports_file.read_text(encoding="utf-8"))
        return {name: int(ports[name]) for name in (*NAMES, *worker_names(workers)) if name in ports}
    except (OSError, ValueError, TypeError):
        return {}


def _free_ports(home: Home) -> Iterator[int]:
    """Free ports, beginning at a place that differs from home to home."""
    count = _LAST - _FIRST + 1
    start = zlib.crc32(str(home.root).encode()) % count
    for offset in range(count):
        port = _FIRST + (start + offset) % count
        if is_free(port):
            yield port
    raise StackError(f"No port between {_FIRST} and {_LAST} is free.", "Stop something that listens on loopback.")
