"""`./llmos events tail` against a real gateway: it goes on where it was when its gateway dies."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from cli.events import tail
from libs.contracts import subjects
from libs.contracts.public_events import CloudEvent
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from tests.integration.gateway.test_events import JOB, WAIT_S, speaking


@pytest.mark.asyncio(loop_scope="session")
async def test_tail_prints_each_event_once_though_its_gateway_dies(
    nats: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_PAUSE_S", 0.05)
    settings = settings_for(nats, tmp_path)
    url = f"http://127.0.0.1:{settings.port}/v1"
    async with speaking(nats) as voice:
        async with running(settings) as front:
            await until(lambda: front.gateway.bus.connected, timeout_s=WAIT_S)
            start = await front.gateway.feed.reader.last(subjects.ALL_PUBLIC)
            following = asyncio.create_task(tail.follow(url, KEY, {"type": "*", "after": start}, limit=4, as_json=True))
            await until(lambda: len(front.gateway.feed) == 1, timeout_s=WAIT_S, what="the listener")
            await voice.say("a1", "a2")
            printed: list[str] = []
            await until(lambda: _lines(capsys, printed) >= 2, timeout_s=WAIT_S, what="two lines")
        await voice.say("a3", kind=JOB)
        async with running(settings):
            await voice.say("a4")
            async with asyncio.timeout(WAIT_S):
                await following
    _lines(capsys, printed)
    assert [json.loads(line)["id"] for line in printed] == ["a1", "a2", "a3", "a4"]


@pytest.mark.asyncio(loop_scope="session")
async def test_tail_says_why_it_may_not(nats: NatsServer, tmp_path: Path) -> None:
    settings = settings_for(nats, tmp_path)
    async with running(settings):
        for key, query, code in (("sk-no", {}, "invalid_api_key"), (KEY, {"type": "x"}, "invalid_value")):
            with pytest.raises(ServiceError) as refused:
                await tail.follow(f"http://127.0.0.1:{settings.port}", key, query, limit=1, as_json=True)
            assert refused.value.code == code


def _lines(capsys: pytest.CaptureFixture[str], printed: list[str]) -> int:
    out = capsys.readouterr().out
    printed.extend(line for line in out.splitlines() if line.startswith('{"specversion"'))
    return len(printed)


def test_an_event_is_shown_with_the_time_at_which_it_happened(capsys: pytest.CaptureFixture[str]) -> None:
    event = CloudEvent(
        id="a1", source="llmos", type="dev.llmos.job.changed.v1", time="2026-01-02T03:04:05Z", tenant="shop",
        subject="job_1", data=msgspec.Raw(b'{"state":"running"}'),
    )  # fmt: skip
    tail._print(msgspec.json.encode(event).decode(), as_json=False)
    local = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).astimezone()
    assert local.strftime("%Y-%m-%d %H:%M:%S") in capsys.readouterr().out
