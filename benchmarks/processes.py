"""Starts the programs under test, waits until they answer, and leaves none behind."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.accounting import scan, tree
from benchmarks.isolation import die_with_parent

POLL_S: Final = 0.05
STOP_S: Final = 15.0
LOG_TAIL_CHARS: Final = 1_500


class StartError(RuntimeError):
    """A program ended or stayed silent instead of becoming ready."""


class Program:
    """One running program in a session of its own, its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | dict(env or {}),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 (this process has one thread)
            )
        self.pid = self._process.pid

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready` says yes.

        Raises:
            StartError: the program ended first, or the time did; the end of its log is in the message.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready after {timeout_s:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_S)

    def check(self) -> None:
        """Say so if the program has ended.

        Raises:
            StartError: it has; the end of its log is in the message.
        """
        code = self._process.poll()
        if code is not None:
            raise StartError(f"{self.name} ended with {code}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last part of what the program has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]

    def stop(self) -> None:
        """End the program and everything it has started: politely first, then for certain."""
        members = {stat.pid: stat.title for stat in tree(scan(), self.pid)}
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        left = scan()
        orphans = {pid for pid, title in members.items() if pid in left and left[pid].title == title}
        for pid in orphans | {stat.pid for stat in tree(left, self.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def accepts(port: int) -> bool:
    """Whether something takes connections on `port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def answers(port: int, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether an HTTP server on `port` answers `path` with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
