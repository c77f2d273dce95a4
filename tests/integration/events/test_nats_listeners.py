"""Credentials for plain NATS: the live events of one tenant, and nothing else whatever is tried."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats as nats_py
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from deploy.nats import listeners
from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.bus.stored import Event, StoredPublisher
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import eventually, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
PASSWORDS = {"acme": "secret-a", "beta": "secret-b"}
WAIT_S = 40.0


class Listening(NatsServer):
    """A server that includes the files of listeners, and reads them again when asked."""

    def grant(self, passwords: dict[str, str]) -> None:
        """Write the files."""
        folder = self.directory / listeners.FOLDER
        folder.mkdir(exist_ok=True)
        for name, text in listeners.render(passwords).items():
            (folder / name).write_text(text, encoding="utf-8")

    def reload(self) -> None:
        """Have the configuration read again."""
        os.kill(self.pid, signal.SIGHUP)


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Listening]:
    server = Listening(tmp_path, listeners=tmp_path / listeners.FOLDER)
    server.grant({})
    server.start()
    await provision(server.settings("provisioner"), ("default",))
    yield server
    server.stop()


async def connected(server: NatsServer, token: str, errors: list[str], *, password: str = "") -> Client:
    """A client as the tenant's listener."""

    async def note(error: Exception) -> None:
        errors.append(str(error))

    return await nats_py.connect(
        f"nats://{server.host}:{server.port}",
        user=listeners.user_of(token),
        password=password or PASSWORDS[token],
        error_cb=note,
        allow_reconnect=False,
        connect_timeout=20,
    )


async def test_a_listener_hears_its_tenant_and_reaches_nothing_else(server: Listening) -> None:
    ours = BusClient(server.options("events"))
    await ours.connect()
    server.grant(PASSWORDS)
    server.reload()
    errors: list[str] = []

    async def let_in() -> Client | None:
        try:
            return await connected(server, "acme", errors)
        except NatsError:
            return None

    client = await eventually(let_in, timeout_s=WAIT_S, what="the listener's connection")
    # Who knocks before the server has read its new configuration is refused.
    errors.clear()
    publisher = StoredPublisher(ours, source="test", inbox="_INBOX.t", timeout_s=WAIT_S)
    publisher.start()
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    await client.subscribe(subjects.all_public("acme"), cb=hear)
    await client.flush()
    assert not errors
    for pattern in (subjects.all_public("beta"), subjects.ALL_PUBLIC, "evt.>", "ctl.>", ">", "_INBOX.>", "$SYS.>"):
        await client.subscribe(pattern, cb=hear)
        await until(lambda: len(errors) == 1, timeout_s=WAIT_S, what=f"the refusal of {pattern}")
        assert "permissions violation" in errors.pop().lower()
    for subject in (subjects.public("acme", "t"), subjects.RECORD_SIGNAL, subjects.PUBLIC_GET, "$JS.API.INFO", "x"):
        await client.publish(subject, b"{}", reply="ctl.events.all.news")
        await until(lambda: len(errors) == 1, timeout_s=WAIT_S, what=f"the refusal of {subject}")
        assert "permissions violation" in errors.pop().lower()

    said = [Event(clock.new_event_id(), subjects.public(one, "t"), 1, b"{}") for one in ("beta", "acme", "", "acme")]
    await publisher.store(said)
    await until(lambda: len(heard) >= 2, timeout_s=WAIT_S, what="two events")
    await client.flush()
    assert heard == [subjects.public("acme", "t")] * 2
    assert ours.reconnects == 0

    with pytest.raises(NatsError):
        await connected(server, "acme", [], password="secret-b")
    server.grant({"beta": PASSWORDS["beta"]})
    server.reload()
    await until(lambda: client.is_closed, timeout_s=WAIT_S, what="the end of the listener")
    await asyncio.wait_for(publisher.store([Event(clock.new_event_id(), subjects.public("acme", "t"), 1, b"")]), WAIT_S)
    assert ours.reconnects == 0
    await ours.close()
