"""Parts of the platform die in the middle; no answer is lost, doubled or falsified."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from libs.testkit.observer import Observer
from libs.testkit.platform import Platform
from libs.testkit.wait import until

SLOW = "pace-10ms"


@pytest_asyncio.fixture(loop_scope="session")
async def http(own_platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    """A plain HTTP client with the platform's key."""
    headers = {"authorization": f"Bearer {own_platform.api_key}"}
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(base_url=own_platform.url, headers=headers, timeout=40, limits=limits) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def observer(own_platform: Platform) -> AsyncIterator[Observer]:
    """What the bus says while the test runs."""
    async with Observer(own_platform.nats) as watching:
        yield watching


def _body(text: str = "hello", *, user: str = "", tokens: int = 8, stream: bool = False) -> dict[str, object]:
    body = {"model": "helpdesk", "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    return body | {"user": user, "stream": stream}


async def _ask(http: httpx2.AsyncClient, body: dict[str, object]) -> httpx2.Response:
    return await http.post("/v1/chat/completions", json=body)


def _text(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def _busy_worker(observer: Observer) -> str:
    return next(name for name, beat in observer.beats.items() if beat.running)


async def test_a_worker_killed_before_the_first_byte_costs_no_answer(
    own_platform: Platform, http: httpx2.AsyncClient, observer: Observer
) -> None:
    expected = _text(await _ask(http, _body("what is lost?", tokens=150)))
    asked = asyncio.create_task(_ask(http, _body("what is lost?", tokens=150, user=SLOW)))
    await until(lambda: observer.running == 1, what="the request runs")
    own_platform.kill(_busy_worker(observer))
    assert _text(await asked) == expected
    await until(lambda: len(observer.completed) == 2)
    assert [(done.outcome, done.retries) for done in observer.completed] == [("ok", 0), ("ok", 1)]


async def test_a_worker_killed_in_mid_stream_ends_it_with_a_typed_error(
    own_platform: Platform, http: httpx2.AsyncClient, observer: Observer
) -> None:
    lines: list[str] = []
    async with http.stream("POST", "/v1/chat/completions", json=_body(tokens=500, user=SLOW, stream=True)) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            if len(lines) == 20:
                await until(lambda: observer.running == 1)
                own_platform.kill(_busy_worker(observer))
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert "[DONE]" not in data
    error = json.loads(data[-1])["error"]
    assert error["code"] == "worker_lost"
    assert set(error) >= {"message", "type", "param", "code"}
    assert _text(await _ask(http, _body()))


async def test_a_request_that_kills_two_workers_is_not_given_a_third(
    own_platform: Platform, http: httpx2.AsyncClient
) -> None:
    poisoned = await _ask(http, _body(user="die-now"))
    assert poisoned.status_code == 500
    assert poisoned.json()["error"]["code"] == "request_quarantined"
    assert poisoned.headers["x-should-retry"] == "false"
    for name in ("worker-0", "worker-1"):
        own_platform.kill(name)
        own_platform.start(name)
    assert _text(await _ask(http, _body()))


@pytest.mark.parametrize("own_capacity", [2])
async def test_a_scheduler_killed_with_requests_waiting_loses_and_doubles_none(
    own_platform: Platform, http: httpx2.AsyncClient, observer: Observer
) -> None:
    expected = [_text(await _ask(http, _body(f"question {n}", tokens=20))) for n in range(15)]
    asked = [asyncio.create_task(_ask(http, _body(f"question {n}", tokens=20, user="pace-50ms"))) for n in range(15)]
    await until(lambda: observer.running == 4, what="every place is taken, and the rest waits")
    own_platform.kill("scheduler")
    own_platform.start("scheduler")
    assert [_text(response) for response in await asyncio.gather(*asked)] == expected
    await until(lambda: len(observer.completed) == 30)
    assert len({done.request_id for done in observer.completed}) == 30


async def test_the_bus_gone_is_503_and_back_is_service_again(own_platform: Platform, http: httpx2.AsyncClient) -> None:
    own_platform.nats.kill()
    await until(lambda: not own_platform.is_ready(), what="the gateway notices")
    ready = await http.get("/readyz")
    assert ready.status_code == 503
    assert "nats" in ready.text
    refused = await _ask(http, _body())
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "bus_unavailable"
    assert float(refused.headers["retry-after"]) > 0
    assert (await http.get("/healthz")).status_code == 200
    own_platform.nats.start()
    await until(own_platform.is_ready, what="service returns by itself")
    assert _text(await _ask(http, _body()))


async def test_a_client_that_goes_frees_its_place_in_the_engine(http: httpx2.AsyncClient, observer: Observer) -> None:
    for stream in (True, False):
        asked = asyncio.create_task(_ask(http, _body(tokens=5_000, user=SLOW, stream=stream)))
        await until(lambda: observer.running == 1, what="it runs")
        asked.cancel()
        await until(lambda: observer.running == 0, timeout_s=3, what="the worker is free")
    await until(lambda: len(observer.completed) == 2)
    assert {done.outcome for done in observer.completed} == {"cancelled"}


async def test_a_killed_gateway_leaves_no_execution_behind(
    own_platform: Platform, http: httpx2.AsyncClient, observer: Observer
) -> None:
    asked = [asyncio.create_task(_ask(http, _body(tokens=5_000, user=SLOW))) for _ in range(5)]
    await until(lambda: observer.running == 5, what="they run")
    own_platform.kill("gateway")
    assert all(isinstance(result, httpx2.HTTPError) for result in await asyncio.gather(*asked, return_exceptions=True))
    await until(lambda: observer.running == 0, timeout_s=12, what="the workers gave up on a dead gateway")


@pytest.mark.parametrize("own_capacity", [2])
async def test_a_full_queue_is_503_with_a_time_to_come_back(
    own_platform: Platform, http: httpx2.AsyncClient, own_capacity: int
) -> None:
    assert own_platform.environment["INFERENCE_CAPACITY"] == str(own_capacity)
    asked = [asyncio.create_task(_ask(http, _body(tokens=20, user="pace-50ms"))) for _ in range(60)]
    responses = await asyncio.gather(*asked)
    full = [response for response in responses if response.status_code == 503]
    assert 20 <= len(full) <= 40
    assert {response.json()["error"]["code"] for response in full} == {"queue_full"}
    assert all(float(response.headers["retry-after"]) > 0 for response in full)
    assert [r.status_code for r in responses].count(200) == 60 - len(full)
