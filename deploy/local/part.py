"""What one supervised process is: a declaration; the runner does the rest."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path


class Tier(IntEnum):
    """Who is stopped first: the highest tier, so that nothing loses what it stands on."""

    STORE = 0
    TASK = 1
    REGISTRY = 2
    WORKER = 3
    KERNEL = 4
    DOOR = 5


Probe = Callable[[float], Awaitable[bool]]
"""Asks a process whether it can serve; every failure to answer is False.

Its argument is when the process was started, on the clock of `libs.kit.clock.monotonic_s`: what was heard before
then was said by another.
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the stack.

    Attributes:
        name: unique; also the name of the log file.
        title: what people read.
        command: program and arguments; never a secret, for everyone on the machine can read them.
        env: what it must be told; wins over the environment of whoever started the stack.
        defaults: what it is told unless that environment says otherwise.
        inherits: whether it sees that environment at all. Other people's programs do not, for they read many variables.
        ready: asked until it says yes; None means ready as soon as it runs.
        task: runs to its end at each start; ready when it has ended with 0.
        after: parts that must be ready before this one is started.
        tier: when it is stopped.
        ports: what it listens on, by purpose.
        private_data: directory it owns, for a program that refuses to be root; see `child.py`.
        leftovers: files outside the home that it may leave when it is killed.
    """

    name: str
    title: str
    command: tuple[str, ...]
    tier: Tier
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    inherits: bool = False
    ready: Probe | None = None
    task: bool = False
    after: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    start_timeout_s: float = 60.0
    private_data: Path | None = None
    leftovers: tuple[Path, ...] = ()
