"""Takes away what a stack that was killed has left: processes, sockets, a stale note of PostgreSQL's."""

import asyncio
import logging
from typing import Final

from deploy.local import processes
from deploy.local.home import Home
from deploy.local.parts.objects import sockets
from deploy.local.ports import is_free, remembered

log = logging.getLogger(__name__)

_GRACE_S: Final = 10.0


async def recover(home: Home) -> None:
    """Leave nothing of an earlier stack of this home; only for the holder of the lock."""
    found = processes.strays(home)
    if found:
        log.warning("ending what an earlier stack has left: %s", found)
        await processes.end(lambda: processes.strays(home), grace_s=_GRACE_S)
    # With all its processes gone, the number in it can only be somebody else's, and PostgreSQL would refuse to start.
    (home.root / "postgres" / "data" / "postmaster.pid").unlink(missing_ok=True)
    _remove_sockets(home)


def _remove_sockets(home: Home) -> None:
    for port in remembered(home).values():
        if is_free(port):  # else another home has taken the port meanwhile, and the socket with it
            for socket in sockets(port):
                socket.unlink(missing_ok=True)


def recover_now(home: Home) -> None:
    """The same, from a program without an event loop."""
    asyncio.run(recover(home))
