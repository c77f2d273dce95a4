"""A service's page: what it shows, what it says is missing, and that nobody who asks can hurt it."""

import asyncio
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.kit import page as page_module
from libs.kit.errors import ServiceError
from libs.kit.health import Health
from libs.kit.metrics import parts
from libs.kit.metrics.measure import Measure, counter, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.page import Page
from libs.kit.starting import StartError
from libs.testkit.ports import free_port
from libs.testkit.wait import eventually

WAITING = gauge("llmos_sample_waiting", "What waits.", "pool")
BROKEN = counter("llmos_sample_broken", "What cannot be read.")


@asynccontextmanager
async def opened(health: Health | None = None) -> AsyncIterator[tuple[Page, int]]:
    port = free_port()
    page = Page(("127.0.0.1", port), health or Health(fresh_s=0))
    page.start()
    try:
        yield page, port
    finally:
        await page.stop()


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def get(port: int, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(_get, port, path)


async def test_it_shows_the_process_its_plumbing_and_what_is_looked_up() -> None:
    asked: list[str] = []

    async def read() -> dict[Measure, Rows]:
        asked.append(asyncio.current_task().get_name())  # type: ignore[union-attr] # it runs in one
        return {WAITING: [(("default",), 3.0)]}

    async with opened() as (page, port):
        page.look_up("waiting", (WAITING,), read)
        assert not asked, "nothing is read before somebody asks"
        status, text = await get(port, "/metrics")
        assert status == 200
        assert 'llmos_sample_waiting{pool="default"} 3.0' in text
        assert "process_cpu_seconds_total" in text
        assert "llmos_ready 1.0" in text
        assert len(asked) == 1
        assert (await get(port, "/elsewhere"))[0] == 404
        assert json.loads((await get(port, "/healthz"))[1]) == {"alive": True}


async def test_what_cannot_be_read_is_left_out_and_counted_and_the_rest_is_there() -> None:
    failures: list[Exception] = [ServiceError("storage_unavailable", "It is away."), KeyError("a fault of ours")]

    async def read() -> dict[Measure, Rows]:
        raise failures.pop()

    async with opened() as (page, port):
        page.look_up("broken-reading", (BROKEN,), read)
        before = parts.UNREAD.labels("broken-reading")._value.get()
        for _ in range(2):
            _, text = await get(port, "/metrics")
            assert "llmos_sample_broken_total" not in text
            assert "llmos_ready 1.0" in text
        assert parts.UNREAD.labels("broken-reading")._value.get() == before + 2


async def test_it_says_what_is_missing_and_serves_no_traffic_meanwhile() -> None:
    there: dict[str, bool] = {"nats": True, "feedback": False}
    health = Health(fresh_s=0)
    health.see("nats", lambda: there["nats"])
    health.see("feedback", lambda: there["feedback"], needed=False)
    async with opened(health) as (_, port):
        status, text = await get(port, "/readyz")
        assert (status, json.loads(text)) == (200, {"ready": True, "missing": [], "degraded": ["feedback"]})
        there["nats"] = False
        status, text = await get(port, "/readyz")
        assert (status, json.loads(text)["missing"]) == (503, ["nats"])
        _, text = await get(port, "/metrics")
        assert re.search(r'llmos_dependency_missing\{dependency="nats"\} 1.0', text)
        assert "llmos_ready 0.0" in text
        assert (await get(port, "/healthz"))[0] == 200, "what waits for others is alive"


async def test_an_event_loop_that_hangs_is_neither_alive_nor_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_LOOP_S", 0.2)
    async with opened() as (_, port):
        answers: list[tuple[int, str]] = []
        asking = threading.Thread(target=lambda: answers.extend((_get(port, "/healthz"), _get(port, "/readyz"))))
        asking.start()
        while asking.is_alive():
            time.sleep(0.02)  # noqa: ASYNC251 - that is what hangs
        assert [status for status, _ in answers] == [503, 503]
        assert (await get(port, "/healthz"))[0] == 200


async def test_a_port_in_use_is_named() -> None:
    async with opened() as (_, port):
        other = Page(("127.0.0.1", port), Health())
        with pytest.raises(StartError, match=rf"127\.0\.0\.1:{port} cannot be opened: .* choose another port"):
            other.start()
    closed = Page(("127.0.0.1", 0), Health())
    closed.start()
    await closed.stop()


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"GET /metrics", b"\0" * 70_000, b"POST /metrics HTTP/1.1\r\n\r\n"]
)
async def test_nonsense_hurts_nobody_else(said: bytes) -> None:
    async with opened() as (_, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(said)
            assert (await get(port, "/healthz"))[0] == 200


async def test_whoever_sits_on_all_its_threads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module._Handler, "timeout", 0.5)
    async with opened() as (_, port):
        sitting = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(page_module._AT_ONCE + 4)]

        async def answers() -> bool | None:
            try:
                return (await get(port, "/healthz"))[0] == 200 or None
            except OSError:
                return None

        assert await eventually(answers, timeout_s=60)
        for one in sitting:
            one.close()


def test_every_measure_has_a_unit_a_sentence_and_few_labels() -> None:
    for measure in parts.MEASURES:
        check(measure)


def check(measure: Measure) -> Any:
    assert measure.sentence.endswith(".")
    assert not {"tenant", "key", "request", "model", "user"} & set(measure.labels)
