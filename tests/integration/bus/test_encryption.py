"""The bus over TLS: both clients and the provisioner reach it, and nobody whom the certificate does not convince."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import nats.errors
import pytest

from deploy.docker.prepare import make_certificate
from deploy.local.home import Home
from deploy.nats.provision import provision
from libs.kit.broker import make_broker, stop_broker
from libs.kit.bus import BusClient, BusUnavailableError, Message
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[NatsServer]:
    home = Home(tmp_path / "home")
    home.prepare()
    make_certificate(home)
    server = NatsServer(tmp_path, (home.secrets / "bus.pem", home.secrets / "bus.key"))
    server.start()
    yield server
    server.stop()


async def test_everyone_who_knows_the_certificate_gets_through(encrypted: NatsServer) -> None:
    assert await provision(encrypted.settings("provisioner"), ("default",))
    heard: list[Message] = []
    client = BusClient(encrypted.settings("provisioner").options("test", inbox_prefix="_INBOX"))
    client.subscribe("evt.>", heard.append)
    await client.connect()
    broker = make_broker(encrypted.settings("feedback"), service="feedback", instance="one")
    await broker.start()
    await broker.publish(b"{}", "evt.feedback.statistics.updated.v1")
    await until(lambda: len(heard) == 1)
    encrypted.kill()
    await until(lambda: not client.connected)
    encrypted.start()
    await until(lambda: client.connected, timeout_s=60)
    await client.close()
    await stop_broker(broker)


async def test_a_server_that_cannot_show_who_it_is_is_refused(encrypted: NatsServer) -> None:
    stranger = encrypted.settings("provisioner").model_copy(update={"tls_ca_file": None})
    with pytest.raises(BusUnavailableError, match="certificate"):
        await BusClient(stranger.options("test", inbox_prefix="_INBOX")).connect()
    plain = stranger.model_copy(update={"tls": False})
    hasty = dataclasses.replace(plain.options("test", inbox_prefix="_INBOX"), connect_timeout_s=2.0)
    with pytest.raises(BusUnavailableError):
        await BusClient(hasty).connect()
    with pytest.raises((nats.errors.Error, OSError, TimeoutError)):
        await provision(stranger, ("default",))
