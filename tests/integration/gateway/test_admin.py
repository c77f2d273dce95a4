"""Models, health, metrics and the beat: everything beside the hot path."""

import re
from typing import Any

import pytest

from libs.contracts import subjects
from libs.contracts.inference import ServedModel, WorkerState
from libs.testkit.front import CHAT, Front
from libs.testkit.path_double import ROUTES, USAGE, VERSION, Double, Work
from libs.testkit.wait import until


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {}


async def test_models_are_listed_for_both_sdks(front: Front, double: Double) -> None:
    double.beat("w2", models=(ServedModel(name="org/model.v1", adapter=True, max_model_len=512),))
    await until(lambda: len(front.gateway.fleet.targets) == 2)
    listing = (await front.http.get("/v1/models")).json()
    assert listing["object"] == "list"
    assert (listing["has_more"], listing["first_id"], listing["last_id"]) == (False, "helpdesk", "org/model.v1")
    model = listing["data"][0]
    assert (model["id"], model["object"], model["owned_by"], model["type"]) == ("helpdesk", "model", "llmos", "model")
    assert (model["version"], model["ready_workers"], model["routes"]) == (VERSION, 1, sorted(ROUTES))
    assert model["created"] > 1_700_000_000
    one = await front.http.get("/v1/models/org/model.v1")
    assert (one.status_code, one.json()["max_model_len"]) == (200, 512)
    missing = await front.http.get("/v1/models/nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    anthropic = await front.http.get("/v1/models/nobody", headers={"anthropic-version": "2023-06-01"})
    assert anthropic.json()["error"]["type"] == "not_found_error"


async def test_models_need_a_key_and_the_rest_does_not(front: Front) -> None:
    for path in ("/v1/models", "/v1/models/helpdesk"):
        response = await front.http.get(path, headers={"authorization": ""})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await front.http.get(path, headers={"authorization": ""})).status_code == 200


async def test_readiness_follows_the_workers(front: Front, double: Double) -> None:
    assert (await front.http.get("/readyz")).json()["ready"] is True
    for state in (WorkerState.DRAINING, WorkerState.STOPPED):
        double.beat(state=state)
        await until(lambda: not front.gateway.fleet.has_ready_worker)
        response = await front.http.get("/readyz")
        assert (response.status_code, response.json()["missing"]) == (503, ["worker"])
        double.beat()
        await until(lambda: front.gateway.fleet.has_ready_worker)


async def test_metrics_count_what_happened(front: Front, double: Double) -> None:
    double.on_work = lambda work: work.answer(b"x" * 100)
    for _ in range(3):
        await front.post()
    await front.post(body=b"{")
    text = (await front.http.get("/metrics")).text
    route = 'route="/v1/chat/completions"'
    assert f'llmos_gateway_requests_total{{outcome="ok",{route},status="200"}} 3.0' in text
    assert f'llmos_gateway_requests_total{{outcome="error",{route},status="400"}} 1.0' in text
    assert f"llmos_gateway_first_byte_seconds_count{{{route}}} 4.0" in text
    assert f"llmos_gateway_queue_seconds_count{{{route}}} 3.0" in text
    assert f'llmos_gateway_queue_seconds_bucket{{le="0.01",{route}}} 3.0' in text
    assert 'llmos_gateway_errors_total{code="invalid_json"} 1.0' in text
    assert "llmos_gateway_in_flight 0.0" in text
    assert "llmos_gateway_bus_connected 1.0" in text
    assert "process_cpu_seconds_total" in text
    sent = re.search(r"llmos_gateway_response_bytes_total{.*} (\d+)", text)
    assert sent is not None
    assert int(sent[1]) > 300


async def test_tokens_and_their_times_are_counted_of_streams(front: Front, double: Double) -> None:
    def stream(work: Work) -> None:
        work.accept()
        work.head(b"data: 1\n\n")
        work.last(b"data: [DONE]\n\n")

    double.on_work = stream
    await front.post(body={**CHAT, "stream": True})
    double.on_work = lambda work: work.answer()
    await front.post()
    await until(lambda: len(front.gateway.relay) == 0)
    text = (await front.http.get("/metrics")).text
    route = 'route="/v1/chat/completions"'
    assert f"llmos_gateway_first_byte_seconds_count{{{route}}} 2.0" in text
    assert f"llmos_gateway_first_token_seconds_count{{{route}}} 1.0" in text
    assert f"llmos_gateway_token_seconds_count{{{route}}} 1.0" in text
    for kind, tokens in (("prompt", USAGE.prompt_tokens), ("completion", USAGE.completion_tokens)):
        assert f'llmos_gateway_tokens_total{{kind="{kind}",{route}}} {2.0 * tokens}' in text


async def test_the_gateway_beats(front: Front, double: Double) -> None:
    subject = subjects.gateway_beat(front.gateway.instance)
    await until(lambda: double.gateway_beats.count(subject) >= 3, what="three beats")
