"""What keeps a process from starting: it ends at once, with one line that names the setting and says what to do."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from libs.kit.postgres import Database
from libs.kit.process import BAD_SETTINGS
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.kit.starting import CANNOT_START
from libs.testkit.nats_server import NatsServer
from libs.testkit.service_process import ROOT
from libs.testkit.stores import ObjectServer, PostgresServer

KEEPERS = ("identity", "audit", "events", "feedback", "registry", "rollout", "trainer")
"""Services with a database."""
OTHERS = ("gateway", "inference", "scheduler")
EACH_KEEPER = [KEEPERS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in KEEPERS[1:])]
"""They begin by the same code; all of them are tried in the long form."""

Told = Callable[[str], dict[str, str]]


@pytest.fixture
def told(
    nats: NatsServer,
    postgres_server: PostgresServer,
    object_server: ObjectServer,
    database: PostgresSettings,
    bucket: ObjectSettings,
    tmp_path: Path,
) -> Told:
    """The environment in which a service would start."""

    def tell(service: str) -> dict[str, str]:
        prefix = service.upper()
        environment = nats.environment(f"{prefix}_NATS__", service)
        if service in KEEPERS:
            environment |= postgres_server.environment(f"{prefix}_DATABASE__", database)
        if service == "registry":
            environment |= object_server.environment("REGISTRY_OBJECTS__", bucket)
        if service == "audit":
            environment["AUDIT_KEY_FILE"] = _file(tmp_path, secrets.token_hex(32))
        if service == "gateway":
            environment["GATEWAY_API_KEYS_FILE"] = _file(tmp_path, f"sk-llmos-{secrets.token_hex(16)}")
            environment["GATEWAY_PORT"] = "0"
        return environment

    return tell


def _file(directory: Path, content: str) -> str:
    path = directory / f"file-{secrets.token_hex(4)}"
    path.write_text(content)
    return str(path)


async def _refused(service: str, environment: dict[str, str]) -> tuple[int, str]:
    """Exit status, and the one line that is no log."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", f"services.{service}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]


@pytest.mark.parametrize("service", [*EACH_KEEPER, *OTHERS])
async def test_a_wrong_password_of_the_bus(service: str, told: Told, tmp_path: Path) -> None:
    wrong = {f"{service.upper()}_NATS__PASSWORD_FILE": _file(tmp_path, "wrong")}
    status, line = await _refused(service, told(service) | wrong)
    assert status == CANNOT_START
    assert line.startswith(f"{service}: {service.upper()}_NATS__PASSWORD_FILE: NATS at 127.0.0.1:")
    assert f"refuses '{service}': give the password" in line


@pytest.mark.parametrize("service", EACH_KEEPER)
async def test_a_wrong_password_of_the_database(service: str, told: Told, tmp_path: Path) -> None:
    wrong = {f"{service.upper()}_DATABASE__PASSWORD_FILE": _file(tmp_path, "wrong")}
    status, line = await _refused(service, told(service) | wrong)
    assert status == CANNOT_START
    assert line.startswith(f"{service}: {service.upper()}_DATABASE__PASSWORD_FILE: PostgreSQL at ")
    assert "give the password" in line


async def test_a_database_that_is_not_there(told: Told) -> None:
    status, line = await _refused("rollout", told("rollout") | {"ROLLOUT_DATABASE__DATABASE": "nowhere"})
    assert status == CANNOT_START
    assert line.startswith("rollout: ROLLOUT_DATABASE__DATABASE: ")
    assert "has no database 'nowhere'" in line


@pytest.mark.parametrize("service", EACH_KEEPER)
async def test_a_schema_of_a_newer_version(service: str, told: Told, database: PostgresSettings) -> None:
    opened = Database(database)
    async with opened.begin() as connection:
        await connection.execute(text(f"create schema {service}"))
        await connection.execute(text(f"create table {service}.alembic_version as select 'r9999_later' as version_num"))
    await opened.close()
    status, line = await _refused(service, told(service))
    assert status == CANNOT_START
    assert line.startswith(f"{service}: {service.upper()}_DATABASE__DATABASE: The schema '{service}' is at step 'r9999")
    assert "start the version that made it, or a newer one" in line


async def test_a_database_that_stays_away(told: Told) -> None:
    away = {"IDENTITY_DATABASE__PORT": "1", "IDENTITY_START_TIMEOUT_S": "0.5"}
    status, line = await _refused("identity", told("identity") | away)
    assert status == CANNOT_START
    assert line.startswith("identity: IDENTITY_DATABASE__HOST: The database does not answer")


async def test_a_bus_that_stays_away(told: Told) -> None:
    away = {"IDENTITY_NATS__PORT": "1", "IDENTITY_START_TIMEOUT_S": "0.5"}
    status, line = await _refused("identity", told("identity") | away)
    assert status == CANNOT_START
    assert line.startswith("identity: IDENTITY_NATS__HOST: NATS at 127.0.0.1:1: ")


async def test_a_bucket_that_is_not_there(told: Told) -> None:
    status, line = await _refused("registry", told("registry") | {"REGISTRY_OBJECTS__BUCKET": "nowhere"})
    assert status == CANNOT_START
    assert line.startswith("registry: REGISTRY_OBJECTS__BUCKET: ")
    assert "has no bucket 'nowhere'" in line


async def test_keys_that_the_store_does_not_know(told: Told, tmp_path: Path) -> None:
    wrong = {"REGISTRY_OBJECTS__SECRET_KEY_FILE": _file(tmp_path, "wrong")}
    status, line = await _refused("registry", told("registry") | wrong)
    assert status == CANNOT_START
    assert line.startswith("registry: REGISTRY_OBJECTS__SECRET_KEY_FILE: ")
    assert "give keys that may use it" in line


async def test_a_port_that_somebody_has(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = {"GATEWAY_PORT": str(taken.getsockname()[1])}
        status, line = await _refused("gateway", told("gateway") | busy)
    assert status == CANNOT_START
    assert line.startswith("gateway: GATEWAY_PORT: ")
    assert "choose another" in line


@pytest.mark.parametrize("service", EACH_KEEPER)
async def test_a_page_whose_port_somebody_has(service: str, told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = {f"{service.upper()}_METRICS_PORT": str(taken.getsockname()[1])}
        status, line = await _refused(service, told(service) | busy)
    assert status == CANNOT_START
    assert line.startswith(f"{service}: {service.upper()}_METRICS_PORT: ")


@pytest.mark.parametrize("service", [*EACH_KEEPER, *OTHERS])
async def test_a_setting_that_makes_no_sense(service: str, told: Told) -> None:
    status, line = await _refused(service, told(service) | {f"{service.upper()}_NATS__PORT": "many"})
    assert status == BAD_SETTINGS
    assert line.startswith(f"{service}: {service.upper()}_NATS__PORT: ")
