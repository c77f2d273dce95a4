"""Keeps the benchmark's listeners off the network: a network namespace of its own with nothing but loopback."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Final

CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
PR_SET_PDEATHSIG: Final = 1
_IFREQ: Final = struct.Struct("16sh14x")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter_private_network() -> str:
    """Move this process to a network namespace with only loopback; returns why not, or an empty string.

    Some peers open listeners on every address; in here nobody else can reach them. Without root a user namespace is
    made as well, where the system allows it.
    """
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if _libc.unshare(flags) != 0:
        return os.strerror(ctypes.get_errno())
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _bring_loopback_up()
    return ""


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        flags = _IFREQ.unpack(answer)[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | IFF_UP))


def die_with_parent() -> None:
    """Run in a child before it starts its program: it is killed if the benchmark is."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
