"""Every service with a database, on real servers: its page has each number of its table, and says that it is ready."""

import asyncio
import importlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from libs.kit.metrics import parts
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.audit import AuditGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from libs.testkit.stores import PostgresServer

NAMES: Final = ("feedback", "trainer", "rollout", "identity", "events")
STANDING: Final = (parts.READY, parts.MISSING, parts.CONNECTIONS, parts.MOST_CONNECTIONS)


def _more(name: str, directory: Path) -> dict[str, Any]:
    """What a service must be told beside where its servers are."""
    return {"trainer": {"directory": directory / "t"}, "feedback": {"build_directory": directory}}.get(name, {})


def _read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def _unread() -> float:
    """How many numbers this process could not look up so far."""
    return sum(sample.value for family in parts.UNREAD.collect() for sample in family.samples)


@pytest.mark.parametrize("name", NAMES)
async def test_a_service_shows_every_number_of_its_table(
    name: str, nats: NatsServer, database: PostgresSettings, tmp_path: Path
) -> None:
    await _check(name, nats, database, _more(name, tmp_path))


async def test_so_does_the_registry_that_has_an_object_store_too(
    nats: NatsServer, database: PostgresSettings, bucket: ObjectSettings
) -> None:
    await _check("registry", nats, database, {"objects": bucket})


async def test_so_does_the_audit_that_did_not_make_its_tables(
    nats: NatsServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    ground = AuditGround(nats, postgres_server, tmp_path)
    await ground.prepare()
    await _check("audit", nats, ground.writer, {"key_file": ground.key_file})


async def _check(name: str, nats: NatsServer, database: PostgresSettings, more: dict[str, Any]) -> None:
    measures = importlib.import_module(f"services.{name}.metrics").MEASURES
    settings: Callable[..., Any] = importlib.import_module(f"services.{name}.settings").Settings
    port, unread = free_port(), _unread()
    app = importlib.import_module(f"services.{name}.app").build_app(
        settings(nats=nats.settings(name), database=database, metrics_port=port, **more)
    )
    await app.start()
    try:
        text = await asyncio.to_thread(_read, port, "/metrics")
        ready = json.loads(await asyncio.to_thread(_read, port, "/readyz"))
    finally:
        await app.stop()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for measure in (*measures, *STANDING):
        assert measure.name in families, f"{measure.name} is missing"
        assert families[measure.name].type == measure.kind.value
        for sample in families[measure.name].samples:
            assert set(sample.labels) - {"le"} == set(measure.labels)
    assert ready["ready"] is True
    assert _unread() == unread, "every number could be read"
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(_read, port, "/healthz")
