"""Spans reach a collector, and one that is dead, slow or broken harms nobody."""

import logging
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from libs.kit.telemetry.export import LAST_THREAD, Exporting
from libs.kit.telemetry.traceparent import Parent
from libs.kit.telemetry.tracing import Kind
from libs.testkit.collector import collecting
from libs.testkit.ports import free_port
from libs.testkit.wait import until

MANY = 20_000


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _alone() -> AsyncIterator[None]:
    """No thread outlives its test, and the log of the library is then as it was."""
    logger = logging.getLogger("opentelemetry")
    handlers, propagate = logger.handlers[:], logger.propagate
    yield
    await until(_has_ended, timeout_s=60, what="the end")
    logger.handlers[:], logger.propagate = handlers, propagate


def _has_ended() -> bool:
    return LAST_THREAD not in {thread.name for thread in threading.enumerate()}


def _record(exporting: Exporting, count: int) -> None:
    for number in range(count):
        span = exporting.start(f"span-{number}", Kind.CLIENT, Parent(7, 8), None, ())
        span.set({"n": number, "text": "x" * 1_000})
        span.end("storage_unavailable" if number else "")


async def test_what_is_recorded_arrives_as_it_was_told() -> None:
    with collecting() as collector:
        exporting = Exporting("gateway", collector.url)
        root = exporting.start("root", Kind.CONSUMER, None, 1_000, [Parent(7, 8)])
        root.end()
        _record(exporting, 2)
        exporting.stop()
        assert len(collector.spans) == 3
        assert collector.named(root.trace_id, "root") is not None
        (top,) = collector.trace(root.trace_id)
        good, bad = collector.trace(f"{7:032x}")
    assert (top.service, top.kind, top.parent_id, top.started_ns) == ("llmos-gateway", "consumer", "", 1_000)
    assert top.links == (f"{7:032x}",)
    assert (good.parent_id, good.is_error, bad.is_error) == (f"{8:016x}", False, True)
    assert bad.attributes["error.type"] == "storage_unavailable"
    assert len(good.attributes["text"]) == 256


async def test_batches_share_a_connection() -> None:
    with collecting() as collector:
        exporting = Exporting("gateway", collector.url)
        _record(exporting, 1)
        await until(lambda: len(collector.raw) == 1, timeout_s=60, what="a batch")
        _record(exporting, 1)
        exporting.stop()
    assert (len(collector.spans), len(collector.raw), collector.connections) == (2, 2, 1)


async def test_a_collector_that_was_away_is_connected_to_again() -> None:
    with collecting() as away:
        exporting = Exporting("gateway", away.url)
        _record(exporting, 1)
        await until(lambda: len(away.raw) == 1, timeout_s=60, what="a batch")
    with collecting(port=away.port) as back:
        _record(exporting, 1)
        exporting.stop()
    assert (len(away.spans), len(back.spans)) == (1, 1)


async def test_what_the_environment_says_of_an_address_is_heeded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passwords = tmp_path / "netrc"
    passwords.write_text("machine traces.example login llmos password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(passwords))
    with collecting() as proxy, collecting() as direct:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for endpoint in (direct.url, "http://traces.example:4318"):
            exporting = Exporting("gateway", endpoint)
            _record(exporting, 1)
            exporting.stop()
    assert (len(direct.spans), len(proxy.spans)) == (1, 1)
    assert "authorization" not in direct.headers[0]
    assert proxy.headers[0]["authorization"].startswith("Basic ")


async def test_a_dead_collector_costs_one_line_and_no_more() -> None:
    with capture_logs() as lines:
        exporting = Exporting("gateway", f"http://127.0.0.1:{free_port()}")
        _record(exporting, MANY)
        await until(lambda: bool(lines), timeout_s=60, what="the line")
        exporting.stop()
    assert [(line["event"], line["log_level"]) for line in lines] == [("traces are lost", "warning")]


async def test_a_collector_that_answers_500_costs_one_line() -> None:
    with capture_logs() as lines, collecting(lambda: 500) as collector:
        exporting = Exporting("gateway", collector.url)
        _record(exporting, 3)
        await until(lambda: len(collector.raw) == 1, timeout_s=60, what="a batch")
        _record(exporting, 3)
        await until(lambda: len(collector.raw) >= 2, timeout_s=60, what="a second batch")
        exporting.stop()
    assert len(lines) == 1
    assert "500" in lines[0]["reason"]


async def test_a_collector_that_never_answers_neither_stops_the_process_nor_fills_its_memory() -> None:
    release = threading.Event()

    def hang() -> int:
        release.wait(60)
        return 200

    with capture_logs() as lines, collecting(hang) as collector:
        exporting = Exporting("gateway", collector.url)
        _record(exporting, MANY)
        await until(lambda: len(lines) == 1, timeout_s=60, what="the line")
        began_s = time.monotonic()
        exporting.stop()
        # Without an end of its own, this would last until the collector answers.
        assert time.monotonic() - began_s < 30
        release.set()
        await until(_has_ended, timeout_s=60, what="the end")
    assert len(lines) == 1
    assert len(collector.spans) < MANY / 2, "more was kept than may wait"
