"""The stores of a running stack: they answer to the right credentials and to no others."""

import io
import urllib.error
import urllib.request

import asyncpg  # type: ignore[import-untyped] # it ships no types
import minio
import nats
import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from nats.errors import Error as NatsError

from deploy.local.parts import objects, postgres
from deploy.nats.config import USERS
from libs.kit.clock import new_secret
from tests.integration.local.conftest import Commanded

HOST = "127.0.0.1"


async def _postgres(stack: Commanded, password: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=HOST, port=stack.state.ports["postgres"], user=postgres.USER, database=postgres.DATABASE, password=password
    )


async def test_postgres_is_18_with_vectors_and_checksums(shared_stack: Commanded) -> None:
    connection = await _postgres(shared_stack, shared_stack.home.secret(postgres.SECRET_NAME))
    try:
        assert (await connection.fetchval("show server_version")).startswith("18.")
        assert await connection.fetchval("show data_checksums") == "on"
        assert await connection.fetchval("select '[3,4]'::vector <-> '[0,0]'::vector") == 5
    finally:
        await connection.close()


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_postgres_refuses_a_wrong_password(password: str, shared_stack: Commanded) -> None:
    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        await _postgres(shared_stack, password)


@pytest.mark.parametrize("service", postgres.SERVICES)
async def test_a_service_has_a_database_of_its_own_and_reaches_no_other(service: str, shared_stack: Commanded) -> None:
    password = shared_stack.home.secret(postgres.secret_name(service))
    place = {"host": HOST, "port": shared_stack.state.ports["postgres"], "user": service}
    own = await asyncpg.connect(**place, database=service, password=password)
    try:
        if service not in postgres.OWNERS:
            await own.execute("create schema probe; drop schema probe")
        rights = await own.fetchrow(
            "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls from pg_roles"
            " where rolname = $1",
            service,
        )
        assert not any(rights)
    finally:
        await own.close()
    for database in (postgres.DATABASE, "postgres", *(other for other in postgres.SERVICES if other != service)):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)):
            await asyncpg.connect(**place, database=database, password=password)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**place, database=service, password="wrong")


def test_the_registry_reaches_its_bucket_and_no_other(shared_stack: Commanded) -> None:
    keys = (objects.REGISTRY_ACCESS_KEY_NAME, objects.REGISTRY_SECRET_KEY_NAME)
    access, secret = (shared_stack.home.secret(name) for name in keys)
    client = minio.Minio(f"{HOST}:{shared_stack.state.ports['s3']}", access, secret, secure=False)
    client.put_object(objects.BUCKET, "tests/two", io.BytesIO(b"x"), 1)
    client.set_bucket_versioning(objects.BUCKET, VersioningConfig(ENABLED))

    assert client.get_bucket_versioning(objects.BUCKET).status == ENABLED
    owner = _s3(shared_stack, shared_stack.home.secret(objects.SECRET_KEY_NAME))
    if not owner.bucket_exists("foreign"):
        owner.make_bucket("foreign")
    for forbidden in (
        lambda: client.put_object("foreign", "x", io.BytesIO(b"x"), 1),
        lambda: list(client.list_objects("foreign")),
        lambda: client.make_bucket("another"),
    ):
        with pytest.raises(minio.S3Error, match="AccessDenied"):
            forbidden()


def _s3(stack: Commanded, secret: str) -> minio.Minio:
    access = stack.home.secret(objects.ACCESS_KEY_NAME)
    return minio.Minio(f"{HOST}:{stack.state.ports['s3']}", access, secret, secure=False)


def test_an_object_comes_back_as_it_was_put(shared_stack: Commanded) -> None:
    client = _s3(shared_stack, shared_stack.home.secret(objects.SECRET_KEY_NAME))
    body = new_secret().encode()
    client.put_object(objects.BUCKET, "tests/one", io.BytesIO(body), len(body))

    answer = client.get_object(objects.BUCKET, "tests/one")
    assert answer.read() == body
    answer.close()


def test_s3_refuses_a_wrong_key_and_no_key(shared_stack: Commanded) -> None:
    with pytest.raises(minio.S3Error, match="SignatureDoesNotMatch"):
        list(_s3(shared_stack, "wrong").list_objects(objects.BUCKET))
    with pytest.raises(minio.S3Error, match="AccessDenied"):
        list(minio.Minio(f"{HOST}:{shared_stack.state.ports['s3']}", secure=False).list_objects(objects.BUCKET))


def test_what_s3_stands_on_refuses_those_who_go_round_it(shared_stack: Commanded) -> None:
    request = urllib.request.Request(
        f"http://{HOST}:{shared_stack.state.ports['objects_filer']}/buckets/{objects.BUCKET}/stolen", b"x", method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310 - as above
    assert refused.value.code == 401


def test_objects_are_synced_before_they_are_answered(shared_stack: Commanded) -> None:
    log = shared_stack.home.log("objects-setup").read_text()

    assert '"fsync":  true' in log.replace('"fsync": true', '"fsync":  true')


@pytest.mark.parametrize("user", USERS)
async def test_the_bus_knows_each_user_by_a_password_of_its_own(user: str, shared_stack: Commanded) -> None:
    address = f"nats://{HOST}:{shared_stack.state.ports['nats']}"
    right = await nats.connect(address, user=user, password=shared_stack.home.secret(f"nats_{user}"))
    await right.close()

    with pytest.raises(NatsError, match=r"(?i)authorization"):
        await nats.connect(address, user=user, password="wrong", allow_reconnect=False, max_reconnect_attempts=0)


def test_no_secret_is_in_a_log(shared_stack: Commanded) -> None:
    logs = {path.name: path.read_text(errors="replace") for path in shared_stack.home.logs.iterdir()}
    secrets = {path.name: path.read_text().strip() for path in shared_stack.home.secrets.iterdir()}
    told = [(log, name) for name, secret in secrets.items() for log, text in logs.items() if secret in text]

    assert not told


def test_nothing_listens_beyond_loopback(shared_stack: Commanded) -> None:
    ours = set(shared_stack.state.ports.values())
    seen = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:  # noqa: PTH123 - the kernel's table
            for line in list(lines)[1:]:
                address, port = line.split()[1].split(":")
                if line.split()[3] == "0A" and int(port, 16) in ours:
                    seen += 1
                    assert address == "0100007F", f"port {int(port, 16)} listens on {address}"
    assert seen == len(ours)
