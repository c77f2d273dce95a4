"""The guardian: `python -m deploy.local OPTIONS_JSON [--attached]`; outlives the supervisor and leaves nothing running.

It holds the lock of the home, starts the supervisor and waits. Descendants whose parents die become its own children,
so that it finds all of them, whatever they are called. With `--attached` the stack ends when standard input does: when
whoever started it is gone.
"""

import asyncio
import logging
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from deploy.local import lock, processes, state
from deploy.local.home import CHECKOUT, Home
from deploy.local.logs import configure_logging
from deploy.local.options import StackOptions
from deploy.local.recovery import recover_now
from deploy.local.state import Phase, StackState
from libs.kit.clock import unix_ms

log = logging.getLogger(__name__)

_GRACE_S: Final = 15.0
"""Children of a killed supervisor have had their stop signal from the kernel; this is the time they get."""


def main() -> None:
    """Guard one supervisor from its start to the end of its last descendant."""
    configure_logging()
    options = msgspec.json.decode(sys.argv[1], type=StackOptions)
    home = Home(Path(options.home))
    held = lock.acquire(home)
    if held is None:
        sys.exit(lock.ALREADY_RUNNING)
    home.prepare()
    state.write(home, StackState(guardian_pid=os.getpid(), started_ms=unix_ms()))
    processes.adopt_orphans()
    recover_now(home)
    supervisor = subprocess.Popen(
        (sys.executable, "-m", "deploy.local.supervise", sys.argv[1]),
        stdin=subprocess.DEVNULL, cwd=CHECKOUT, pass_fds=(held,), start_new_session=True,
    )  # fmt: skip
    code = _wait(supervisor, attached="--attached" in sys.argv[2:])
    own = os.getpid()
    asyncio.run(processes.end(lambda: processes.descendants(own), grace_s=_GRACE_S, first=None))
    recover_now(home)
    _close_state(home, code)
    sys.exit(1 if code else 0)


def _wait(supervisor: subprocess.Popen[bytes], *, attached: bool) -> int:
    """Pass requests to stop on to the supervisor, and return how it ended."""
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    ended = os.pidfd_open(supervisor.pid)
    watched = {ended, wakeup} | ({sys.stdin.fileno()} if attached else set())
    while True:
        ready, _, _ = select.select(sorted(watched), [], [])
        if ended in ready:
            return supervisor.wait()
        for descriptor in ready:
            if not os.read(descriptor, 64):
                watched.discard(descriptor)
        supervisor.terminate()


def _close_state(home: Home, code: int) -> None:
    """Correct what a killed supervisor could not."""
    last = state.read(home)
    if last is None or last.phase in (Phase.STOPPED, Phase.FAILED):
        return
    log.warning("the supervisor ended with %s; everything else has been ended", code)
    last.phase = Phase.STOPPED
    last.message = "The supervisor was killed; all other processes were ended." if code else ""
    for part in last.parts:
        part.phase, part.pid = state.PartPhase.STOPPED, 0
    state.write(home, last)


if __name__ == "__main__":
    main()
