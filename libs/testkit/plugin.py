"""pytest plugin: fixtures that start real servers once per session and hand each test a clean one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats as nats_py
import pytest
import pytest_asyncio

from deploy.nats.provision import provision
from libs.contracts.topology import BUCKETS, STREAMS
from libs.kit import clock
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import ObjectServer, PostgresServer

POOL = "default"


@pytest.fixture(scope="session")
def _nats_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def nats(_nats_session: NatsServer) -> NatsServer:
    """The shared nats-server, provisioned for pool `default`, its streams empty."""
    await provision(_nats_session.settings("provisioner"), (POOL,))
    client = await nats_py.connect(
        f"nats://{_nats_session.host}:{_nats_session.port}",
        user="provisioner",
        password=_nats_session.passwords["provisioner"],
    )
    for stream in STREAMS:
        await client.jetstream().purge_stream(stream.name)
    for bucket in BUCKETS:
        await client.jetstream().purge_stream(f"KV_{bucket.name}")
    await client.close()
    return _nats_session


@pytest_asyncio.fixture(loop_scope="session")
async def private_nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A nats-server of this test's own, provisioned, to be killed and restarted at will."""
    server = NatsServer(tmp_path)
    server.start()
    await provision(server.settings("provisioner"), (POOL,))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The shared PostgreSQL server."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_server: PostgresServer) -> AsyncIterator[PostgresSettings]:
    """An empty database of this test's own."""
    settings = await postgres_server.create_database()
    yield settings
    await postgres_server.drop_database(settings)


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The shared SeaweedFS server; a test that kills it starts it again."""
    server = ObjectServer(tmp_path_factory.mktemp("objects"))
    server.start()
    yield server
    server.discard()


@pytest.fixture
def bucket(object_server: ObjectServer) -> ObjectSettings:
    """An empty prefix of this test's own in the shared bucket."""
    return object_server.settings(f"t-{clock.new_request_id()}")
