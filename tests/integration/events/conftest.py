"""Servers for events processes of the test's own."""

from pathlib import Path

import pytest

from libs.kit.settings import PostgresSettings
from libs.testkit.events import EventsGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer


@pytest.fixture
def ground(
    nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> EventsGround:
    return EventsGround(nats, postgres_server, database, tmp_path)
