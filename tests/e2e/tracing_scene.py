"""Gateway, scheduler, worker, feedback and registry as processes that record traces, and the collector they send to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from libs.testkit.collector import Collector, SeenSpan, collecting
from libs.testkit.feedback import FeedbackGround, feedback_process
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform
from libs.testkit.registry import RegistryGround, registry_process
from libs.testkit.service_process import ServiceProcess
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import until

ADMIN: Final = "sk-llmos-admin-of-the-traced"
_SERVICES: Final = ("gateway", "scheduler", "inference", "feedback", "registry")
_PATIENCE_S: Final = 60.0


def tracing(endpoint: str, ratio: float = 0.0) -> dict[str, str]:
    """Settings of every process; none begins a trace by itself."""
    return {
        f"{service.upper()}_TRACING__{name}": value
        for service in _SERVICES
        for name, value in (("ENDPOINT", endpoint), ("SAMPLE_RATIO", str(ratio)))
    }


@dataclass
class TracedScene:
    """Everything that runs."""

    collector: Collector
    platform: Platform
    http: httpx2.AsyncClient
    registry: RegistryGround
    feedback: FeedbackGround
    others: list[ServiceProcess]
    directory: Path
    asked: int = 0

    def log(self, name: str) -> str:
        """What a process of the path has written."""
        return (self.platform.directory / f"{name}.log").read_text(encoding="utf-8")

    def new_trace(self) -> tuple[str, dict[str, str]]:
        """A trace id, and the header of a client that has this trace recorded."""
        self.asked += 1
        trace_id = f"{self.asked:032x}"
        return trace_id, {"traceparent": f"00-{trace_id}-{self.asked:016x}-01"}

    async def chat(self, content: str = "Hello?", **more: Any) -> tuple[str, httpx2.Response]:
        """One recorded request; its trace id and its answer."""
        trace_id, headers = self.new_trace()
        headers |= more.pop("headers", {})
        body = {"model": "helpdesk", "messages": [{"role": "user", "content": content}], "max_tokens": 8, **more}
        return trace_id, await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def admin(self, method: str, path: str, body: Any = None) -> tuple[str, httpx2.Response]:
        """One recorded request to the admin API; its trace id and its answer."""
        trace_id, headers = self.new_trace()
        headers["authorization"] = f"Bearer {ADMIN}"
        return trace_id, await self.http.request(method, f"/admin/v1{path}", headers=headers, json=body)

    async def seen(self, trace_id: str, *names: str) -> list[SeenSpan]:
        """The spans of these names in a trace, when all are there."""
        found: list[SeenSpan | None] = []

        def all_there() -> bool:
            found[:] = [self.collector.named(trace_id, name) for name in names]
            return None not in found

        try:
            await until(all_there, timeout_s=_PATIENCE_S)
        except AssertionError as error:
            there = [f"{span.service}: {span.name}" for span in self.collector.trace(trace_id)]
            raise AssertionError(f"of {names} there are only {there}") from error
        return [span for span in found if span is not None]

    async def caused(self, trace_id: str, name: str) -> SeenSpan:
        """The span of that name, in another trace, that this trace has caused."""
        found: list[SeenSpan] = []

        def there() -> bool:
            found[:] = [span for span in self.collector.linked(trace_id) if span.name == name]
            return bool(found)

        await until(there, timeout_s=_PATIENCE_S, what=f"{name} caused by {trace_id}")
        return found[0]


@asynccontextmanager
async def traced_scene(
    directory: Path, nats: NatsServer, postgres: PostgresServer, objects: ObjectServer
) -> AsyncIterator[TracedScene]:
    """Started, and ended with the block."""
    admins = directory / "admins"
    admins.write_text(f"ops:{ADMIN}\n", encoding="utf-8")
    databases = [await postgres.create_database() for _ in range(2)]
    feedback = FeedbackGround(nats, postgres, databases[0], directory)
    registry = RegistryGround(nats, postgres, objects, databases[1], objects.settings("traced"), directory)
    with collecting() as collector:
        # Every request goes by the scheduler, whose part is to be seen; `test_direct.py` has those that do not.
        scheduled = {"SCHEDULER_DIRECT": "false"}
        environment = {**tracing(collector.url), **scheduled, "GATEWAY_ADMIN_KEYS_FILE": str(admins)}
        with Platform(directory / "path", nats, environment=environment) as platform:
            told = {"tracing__endpoint": collector.url}
            headers = {"authorization": f"Bearer {platform.api_key}"}
            async with (
                feedback_process(feedback, **told) as first,
                registry_process(registry, **told) as second,
                httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=60) as http,
            ):
                yield TracedScene(collector, platform, http, registry, feedback, [first, second], directory)
    for database in databases:
        await postgres.drop_database(database)
