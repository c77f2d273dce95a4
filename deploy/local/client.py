"""Starting, asking and stopping a stack from another process; used by the command line and by tests."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from deploy.local import lock, processes, state
from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home, private_directory
from deploy.local.logs import tail
from deploy.local.options import StackOptions
from deploy.local.recovery import recover
from deploy.local.state import Phase, StackState
from libs.kit.clock import monotonic_s

_POLL_S: Final = 0.05
_STOP_TIMEOUT_S: Final = 90.0
_UP: Final = (Phase.READY, Phase.DEGRADED)


class Stack:
    """A handle on the stack of one home; holds nothing open but, if attached, the pipe that keeps the stack alive."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lifeline: int | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a supervisor holds the home, ready or not."""
        return lock.is_held(self.home)

    def state(self) -> StackState | None:
        """What the supervisor last wrote; corrected when it is not there any more."""
        last = state.read(self.home)
        if last is not None and last.phase not in (Phase.STOPPED, Phase.FAILED) and not self.is_running:
            last.phase, last.message = Phase.STOPPED, "The supervisor is gone; the next start cleans up after it."
            for part in last.parts:
                part.phase, part.pid = state.PartPhase.STOPPED, 0
        return last

    def api_key(self) -> str:
        """The key that was generated for this home."""
        return self.home.api_key_file().read_text(encoding="utf-8").strip()

    def admin_key(self) -> str:
        """The admin key that was generated for this home."""
        return self.home.admin_key_file().read_text(encoding="utf-8").strip().rpartition(":")[2]

    def start(self, options: StackOptions, environment: Mapping[str, str], *, attached: bool) -> None:
        """Start the stack and return at once.

        Args:
            options: what to start.
            environment: what the services see.
            attached: end the stack when this process ends, however it ends.
        """
        private_directory(self.home.root)
        private_directory(self.home.logs)
        source, lifeline = os.pipe()
        flags = ("--attached",) if attached else ()
        with self.home.log("supervisor").open("ab") as output:
            self._guardian = subprocess.Popen(
                (sys.executable, "-m", "deploy.local", msgspec.json.encode(options).decode(), *flags),
                stdin=source if attached else subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(environment), cwd=CHECKOUT, start_new_session=True,
            )  # fmt: skip
        os.close(source)
        if attached:
            self._lifeline = lifeline
        else:
            os.close(lifeline)

    def wait_ready(self, *, timeout_s: float, watch: Callable[[StackState], None] = lambda _: None) -> StackState:
        """Return when everything is ready; `watch` sees every state on the way.

        Raises:
            StackError: it failed, it stopped, or it took too long.
        """
        deadline_s = monotonic_s() + timeout_s
        while monotonic_s() < deadline_s:
            last = self._current()
            if last is not None:
                watch(last)
                if last.phase in _UP:
                    return last
            self._raise_if_over(last)
            time.sleep(_POLL_S)
        raise StackError(f"The stack was not ready within {timeout_s:g} s.", "See: ./llmos status, ./llmos logs")

    def stop(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> bool:
        """Stop the stack and wait until its last process is gone; returns whether there was anything to stop.

        Raises:
            StackError: it was still there after `timeout_s`.
        """
        was_running = self.is_running
        deadline_s = monotonic_s() + timeout_s
        while self.is_running:
            last = state.read(self.home)
            if last is not None and last.phase is not Phase.STOPPING:
                processes.send([pid for pid in (last.guardian_pid,) if pid], signal.SIGTERM)
            if monotonic_s() > deadline_s:
                raise StackError(f"The stack did not stop within {timeout_s:g} s.", "See: ./llmos logs supervisor")
            time.sleep(_POLL_S)
        self._release()
        return was_running or self._clean_up()

    def _clean_up(self) -> bool:
        """Take away what an earlier stack has left; returns whether any of its processes still ran."""
        if not self.home.root.exists() or (held := lock.acquire(self.home)) is None:
            return False
        try:
            found = processes.strays(self.home)
            asyncio.run(recover(self.home))
        finally:
            os.close(held)
        return bool(found)

    def _current(self) -> StackState | None:
        """The state, unless it is still that of an earlier stack."""
        last = state.read(self.home)
        if last is not None and self._guardian is not None and last.guardian_pid != self._guardian.pid:
            return None
        return last

    def _raise_if_over(self, last: StackState | None) -> None:
        """A guardian that has ended before the stack was ready will not make it ready."""
        code = None if self._guardian is None else self._guardian.poll()
        if code == lock.ALREADY_RUNNING:  # somebody else was faster; theirs will do
            self._guardian = None
            return
        ended = code is not None
        if ended or (self._guardian is None and not self.is_running):
            reason = last.message if last is not None else tail(self.home.log("supervisor"), lines=8)
            raise StackError(f"The stack did not come up. {reason}", "See: ./llmos logs, ./llmos doctor")

    def _release(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._guardian is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guardian.wait(timeout=5)
