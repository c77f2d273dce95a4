"""The supervisor process: `python -m deploy.local.supervise OPTIONS_JSON`; only the guardian starts it."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec

from deploy.local import processes, state
from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.logs import configure_logging
from deploy.local.options import StackOptions
from deploy.local.parts.engines import is_published
from deploy.local.recovery import recover
from deploy.local.stack import build_parts, build_site
from deploy.local.state import Phase, StackState
from deploy.local.supervisor import Supervisor

log = logging.getLogger(__name__)


def main() -> None:
    """Run the stack until told to stop; status 1 when it could not be brought up."""
    guardian = os.getppid()
    processes.die_with_parent(guardian, signal.SIGTERM)
    processes.adopt_orphans()
    configure_logging()
    options = msgspec.json.decode(sys.argv[1], type=StackOptions)
    try:
        asyncio.run(_supervise(options, guardian))
    except StackError as error:
        log.error("%s", error)
        _record_failure(Home(Path(options.home)), error)
        sys.exit(1)


async def _supervise(options: StackOptions, guardian: int) -> None:
    site = build_site(options)
    base = StackState(
        guardian_pid=guardian,
        base_url=site.base_url,
        model=options.model_name,
        from_registry=is_published(options),
        ports=dict(site.ports),
    )
    supervisor = Supervisor(build_parts(site), site.home, os.environ, base)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, supervisor.request_stop)
    try:
        await supervisor.run()
    finally:
        own = os.getpid()
        await processes.end(lambda: processes.descendants(own), grace_s=5.0)
        await recover(site.home)


def _record_failure(home: Home, error: StackError) -> None:
    """Say why in the state, also when the failure came before there was any."""
    last = state.read(home) or StackState()
    last.phase, last.message = Phase.FAILED, str(error)
    state.write(home, last)


if __name__ == "__main__":
    main()
