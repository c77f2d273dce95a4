"""Who outside may hear a tenant's public events over the local stack's NATS: kept as secrets of the home."""

import os
import signal
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.client import Stack
from deploy.local.errors import StackError
from deploy.local.home import Home, write_private
from deploy.local.ports import HOST
from deploy.nats import listeners as files
from libs.contracts import subjects

_SECRET: Final = "nats_listener_"  # noqa: S105 - how names of files begin


class Credentials(NamedTuple):
    """What a NATS client needs."""

    url: str
    user: str
    password: str
    subject: str
    """What it may subscribe to."""


def granted(home: Home) -> dict[str, str]:
    """Passwords of all listeners, by tenant as it stands in subjects."""
    names = sorted(path.name for path in home.secrets.glob(f"{_SECRET}*"))
    return {name.removeprefix(_SECRET): home.secret(name) for name in names}


def write(home: Home) -> Path:
    """Write what the server's configuration includes; the folder that holds it."""
    directory = home.directory("nats") / files.FOLDER
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, text in files.render(granted(home)).items():
        write_private(directory / name, text)
    return directory


def grant(stack: Stack, tenant: str) -> Credentials:
    """Let somebody hear a tenant's events, and say how; asked again, the same.

    Raises:
        StackError: no server is up here.
    """
    pid, port = _server(stack)
    token = subjects.public_token(tenant) if tenant != subjects.PLATFORM_TOKEN else tenant
    password = stack.home.secret(f"{_SECRET}{token}")
    write(stack.home)
    os.kill(pid, signal.SIGHUP)
    return Credentials(f"nats://{HOST}:{port}", files.user_of(token), password, subjects.all_public(token))


def revoke(stack: Stack, tenant: str) -> None:
    """Let nobody hear a tenant's events over NATS any more, and cut those off who do.

    Raises:
        StackError: no server is up here.
    """
    pid, _ = _server(stack)
    token = subjects.public_token(tenant) if tenant != subjects.PLATFORM_TOKEN else tenant
    (stack.home.secrets / f"{_SECRET}{token}").unlink(missing_ok=True)
    write(stack.home)
    os.kill(pid, signal.SIGHUP)


def _server(stack: Stack) -> tuple[int, int]:
    """Process and port of the server."""
    state = stack.state()
    part = next((each for each in state.parts if each.name == "nats"), None) if state is not None else None
    if part is None or not part.pid:
        raise StackError("No NATS server is up here.", "Start the stack: ./llmos up --detach")
    return part.pid, part.ports["nats"]
