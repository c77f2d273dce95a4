"""The process that trains, as the trainer starts it."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from libs.testkit.platform import ROOT
from libs.testkit.processes import die_with_parent
from services.trainer.work.order import Order, Report

Heard = Callable[["Worker", Report], None]


class Worker:
    """One such process, its reports read one by one."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.reports: list[Report] = []
        self.log = log

    def listen(self, heard: Heard | None = None) -> int:
        """Read reports until it has ended; returns how."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.reports.append(msgspec.json.decode(line, type=Report))
            if heard is not None:
                heard(self, self.reports[-1])
        return self.process.wait()

    def said(self, kind: type[Any]) -> list[Any]:
        """Its reports of this kind."""
        return [report for report in self.reports if isinstance(report, kind)]

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it for a checkpoint and to end."""
        self.process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """Nobody waits for it any more."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def limit(self, what: int, most: int) -> None:
        """Give it no more of something from here on."""
        resource.prlimit(self.process.pid, what, (most, most))


@contextmanager
def worker(order: Order | bytes, log: Path) -> Iterator[Worker]:
    """A process with an order and an empty environment."""
    line = order if isinstance(order, bytes) else msgspec.json.encode(order)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.trainer.work"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={},
            preexec_fn=die_with_parent,
        )
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()
    try:
        yield Worker(process, log)
    finally:
        process.kill()
        process.wait()
