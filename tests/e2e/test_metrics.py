"""A request and a judgement go their way through real processes, and each of them shows it on its page."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest
import pytest_asyncio
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from deploy.nats.provision import provision
from deploy.prometheus.__main__ import PLUMBING, chapters
from libs.testkit.feedback import FeedbackGround, feedback_process
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform
from libs.testkit.ports import free_port
from libs.testkit.stores import PostgresServer
from libs.testkit.wait import eventually

PATIENCE_S: Final = 60.0
PAGES: Final = ("scheduler", "inference", "feedback")
MARK: Final = "marked-by-a-client"


@dataclass
class Watched:
    """The processes' pages, and a client."""

    ports: dict[str, int]
    http: httpx2.AsyncClient

    async def page(self, name: str) -> str:
        """What Prometheus would read."""
        return await asyncio.to_thread(_read, self.ports[name])

    async def families(self, name: str) -> dict[str, Metric]:
        """The same, by name."""
        return {family.name: family for family in text_string_to_metric_families(await self.page(name))}

    async def value(self, page: str, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that bear these labels."""
        found = text_string_to_metric_families(await self.page(page))
        samples = [sample for family in found for sample in family.samples if sample.name == name]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())

    async def reaches(self, page: str, name: str, least: float, **labels: str) -> None:
        """Return when it has grown so far."""

        async def there() -> bool | None:
            return await self.value(page, name, **labels) >= least or None

        await eventually(there, timeout_s=PATIENCE_S, what=f"{name} {labels} on the page of the {page}")


def _read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> AsyncIterator[Watched]:
    directory: Path = tmp_path_factory.mktemp("watched")
    nats = NatsServer(directory)
    nats.start()
    await provision(nats.settings("provisioner"), ("default",))
    database = await postgres_server.create_database()
    ports = {name: free_port() for name in PAGES}
    environment = {f"{name.upper()}_METRICS_PORT": str(port) for name, port in ports.items()}
    # The scheduler counts what goes by it.
    environment["SCHEDULER_DIRECT"] = "false"
    ground = FeedbackGround(nats, postgres_server, database, directory)
    with Platform(directory / "path", nats, environment=environment) as platform:
        headers = {"authorization": f"Bearer {platform.api_key}"}
        async with (
            feedback_process(ground, metrics_port=ports["feedback"]),
            httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=60) as http,
        ):
            yield Watched({**ports, "gateway": platform.port}, http)
    await postgres_server.drop_database(database)
    nats.stop()


async def test_a_request_and_a_judgement_are_counted_by_whoever_had_to_do_with_them(watched: Watched) -> None:
    body = {"model": "helpdesk", "messages": [{"role": "user", "content": MARK}], "max_tokens": 8, "user": MARK}
    asked = await watched.http.post("/v1/chat/completions", json={**body, "stream": True})
    assert asked.status_code == 200
    whole = await watched.http.post("/v1/chat/completions", json=body)
    usage = whole.json()["usage"]
    await watched.http.post("/v1/chat/completions", json={**body, "model": MARK})
    signal = {"inference_id": whole.json()["id"], "kind": "thumb", "value": True, "tags": [MARK]}
    judged = await watched.http.post("/v1/feedback", json=signal)
    assert judged.status_code < 300, judged.text

    await watched.reaches("gateway", "llmos_gateway_requests_total", 2, outcome="ok")
    await watched.reaches("gateway", "llmos_gateway_errors_total", 1, code="model_not_found")
    await watched.reaches("gateway", "llmos_gateway_tokens_total", usage["completion_tokens"], kind="completion")
    await watched.reaches("gateway", "llmos_gateway_first_token_seconds_count", 1)
    await watched.reaches("gateway", "llmos_gateway_token_seconds_count", 1)
    for page in (*PAGES, "gateway"):
        await watched.reaches(page, "llmos_ready", 1)
        assert await watched.value(page, "llmos_dependency_missing", dependency="nats") == 0
    await watched.reaches("scheduler", "llmos_scheduler_accepted_total", 2, pool="default")
    await watched.reaches("scheduler", "llmos_scheduler_workers", 1, pool="default", state="ready")
    await watched.reaches("inference", "llmos_inference_executions_total", 2, outcome="ok")
    await watched.reaches("feedback", "llmos_feedback_interactions_total", 2, part="metadata")
    await watched.reaches("feedback", "llmos_feedback_signals_total", 1, kind="thumb")
    await watched.reaches("feedback", "llmos_intake_messages_total", 3)
    await watched.reaches("feedback", "llmos_database_transactions_total", 2, outcome="committed")


async def test_each_page_has_the_numbers_of_its_table_and_none_that_no_table_names(watched: Watched) -> None:
    tables = chapters()
    everybody = {measure.name for measure in tables[PLUMBING]}
    for page in (*PAGES, "gateway"):
        there = {name for name in await watched.families(page) if name.startswith("llmos_")}
        own = {measure.name for measure in tables[page]}
        assert own <= there, f"{page} lacks {sorted(own - there)}"
        assert there <= own | everybody, f"{page} shows {sorted(there - own - everybody)} beside its table"
        assert await watched.value(page, "llmos_readings_failed_total") == 0


async def test_no_page_shows_the_words_of_a_client(watched: Watched) -> None:
    await watched.http.post("/v1/chat/completions", json={"model": MARK, "messages": [], "user": MARK})
    await watched.http.get(f"/v1/{MARK}")
    for page in (*PAGES, "gateway"):
        assert MARK not in await watched.page(page)
