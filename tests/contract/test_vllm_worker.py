"""What the worker promises, with the real engine in it."""

import asyncio
import json
import time

import pytest

from deploy.prometheus.__main__ import ENGINE
from libs.contracts.frames import Flag
from libs.contracts.inference import ServiceClass
from libs.testkit.wait import until
from libs.testkit.worker_double import chat, envelope
from services.inference.metrics import MEASURES
from tests.contract.conftest import STARTER, VllmWorker

pytestmark = pytest.mark.vllm

CANCELLED = Flag.CANCELLED | Flag.LAST
QUESTION = [{"role": "user", "content": "What does the lamp cost?"}]


async def still_answers(worker: VllmWorker) -> None:
    """The next request is served."""
    answer = await worker.run(envelope(), chat(max_tokens=2))
    assert answer.last.status == 200, answer.last.meta


async def idle(worker: VllmWorker) -> None:
    """Wait until the engine itself says that it runs nothing."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(worker.metric, "vllm:num_requests_running"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_it_serves_three_names_with_the_version_of_the_files(vllm_worker: VllmWorker) -> None:
    digest = json.loads((STARTER / "manifest.json").read_text())["sha256"][:12]
    models = vllm_worker.double.beats[-1].models
    assert [model.name for model in models] == ["helpdesk", "helpdesk@champion", f"helpdesk@sha256:{digest}"]
    assert {model.max_model_len for model in models} == {1024}
    assert "/v1/embeddings" not in models[0].routes
    for model in models:
        answer = await vllm_worker.run(envelope(model=model.name), chat(max_tokens=1))
        assert answer.last.status == 200
        assert answer.frames[0].meta.model_version == f"helpdesk@sha256:{digest}"


async def test_the_answers_id_is_the_requests_id(vllm_worker: VllmWorker) -> None:
    env = envelope()
    assert json.loads((await vllm_worker.run(env, chat(max_tokens=1))).body)["id"] == f"chatcmpl-{env.request_id}"
    env = envelope(route="/v1/responses")
    body = b'{"model":"helpdesk","input":"hello","max_output_tokens":1}'
    assert json.loads((await vllm_worker.run(env, body)).body)["id"] == f"resp_{env.request_id}"


async def test_seeded_requests_whose_prompts_are_read_in_parts_answer_as_they_do_alone(vllm_worker: VllmWorker) -> None:
    bodies = [
        chat(messages=[{"role": "user", "content": f"{number} and the lamp " * 60}], max_tokens=6, seed=number)
        for number in range(8)
    ]
    together = await asyncio.gather(*(vllm_worker.run(envelope(), body) for body in bodies))
    alone = [await vllm_worker.run(envelope(), body) for body in bodies]
    assert {answer.last.status for answer in (*together, *alone)} == {200}
    assert [_text(answer.body) for answer in together] == [_text(answer.body) for answer in alone]


def _text(body: bytes) -> str:
    text = json.loads(body)["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


async def test_greedy_answers_repeat(vllm_worker: VllmWorker) -> None:
    body = chat(messages=QUESTION, max_tokens=24, temperature=0)
    answers = await asyncio.gather(*(vllm_worker.run(envelope(), body) for _ in range(4)))
    texts = {json.loads(answer.body)["choices"][0]["message"]["content"] for answer in answers}
    assert len(texts) == 1
    assert texts != {""}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/chat/completions", chat(max_tokens=7, ignore_eos=True, n=2)),
        (
            "/v1/completions",
            b'{"model":"helpdesk","prompt":["a lamp","a chair"],"n":2,"max_tokens":3,"ignore_eos":true}',
        ),
    ],
)
async def test_usage_is_the_one_that_the_client_reads(vllm_worker: VllmWorker, route: str, body: bytes) -> None:
    answer = await vllm_worker.run(envelope(route=route), body)
    told, ours = json.loads(answer.body)["usage"], answer.last.meta.usage
    assert ours is not None
    assert (ours.prompt_tokens, ours.completion_tokens) == (told["prompt_tokens"], told["completion_tokens"])


async def test_usage_of_a_stream_counts_the_cache_too(vllm_worker: VllmWorker) -> None:
    long = "Please tell me about the lamp. " * 12
    body = chat(
        messages=[{"role": "user", "content": long}],
        max_tokens=5,
        ignore_eos=True,
        stream=True,
        stream_options={"include_usage": True},
    )
    await vllm_worker.run(envelope(cache_salt="tenant-a"), body)
    again = await vllm_worker.run(envelope(cache_salt="tenant-a"), body)
    usage = again.last.meta.usage
    told = [json.loads(line[6:])["usage"] for line in again.body.split(b"\n\n") if b'"usage":{' in line]
    assert usage is not None
    assert usage.cached_tokens == told[-1]["prompt_tokens_details"]["cached_tokens"] > 0
    assert (usage.prompt_tokens, usage.completion_tokens, usage.finish_reason) == (
        told[-1]["prompt_tokens"],
        5,
        "length",
    )
    other = await vllm_worker.run(envelope(cache_salt="tenant-b"), body)
    assert other.last.meta.usage is not None
    assert other.last.meta.usage.cached_tokens == 0, "one tenant's cache is not another's"


async def test_twenty_cancels_free_the_engine_within_a_second_each(vllm_worker: VllmWorker) -> None:
    waits_s: list[float] = []
    for turn in range(20):
        env = envelope()
        streamed = bool(turn % 2)
        body = chat(max_tokens=900, ignore_eos=True, stream=streamed)
        assert (await vllm_worker.double.hand_over(vllm_worker.id, env, body)).accepted
        await vllm_worker.double.frames(env.request_id, 3 if streamed else 1)
        vllm_worker.double.cancel(env.request_id)
        start_s = time.monotonic()
        answer = vllm_worker.double.answers[env.request_id]
        await until(lambda answer=answer: answer.ended, what="the confirmation")  # type: ignore[misc]
        waits_s.append(time.monotonic() - start_s)
        assert answer.last.flags == CANCELLED
    assert max(waits_s) < 1.0, waits_s
    await idle(vllm_worker)
    await still_answers(vllm_worker)


async def test_cancelling_a_full_batch_leaves_nothing_running(vllm_worker: VllmWorker) -> None:
    requests = [envelope() for _ in range(16)]
    body = chat(max_tokens=900, ignore_eos=True, stream=True)
    for env in requests:
        assert (await vllm_worker.double.hand_over(vllm_worker.id, env, body)).accepted
    for env in requests:
        await vllm_worker.double.frames(env.request_id, 2)
        vllm_worker.double.cancel(env.request_id)
    for env in requests:
        await until(lambda env=env: vllm_worker.double.answers[env.request_id].ended)  # type: ignore[misc]
    await idle(vllm_worker)
    await still_answers(vllm_worker)


@pytest.mark.parametrize(
    ("route", "fields", "code"),
    [
        ("/v1/chat/completions", {"prompt_logprobs": 1}, "unsupported_parameter"),
        ("/v1/chat/completions", {"echo": True, "logprobs": True, "top_logprobs": 2}, "unsupported_parameter"),
        ("/v1/completions", {"prompt": "x", "echo": True, "logprobs": 1}, "unsupported_parameter"),
        ("/v1/chat/completions", {"cache_salt": "mine"}, "unsupported_parameter"),
        ("/v1/chat/completions", {"chat_template": "{{ 1 }}"}, "unsupported_parameter"),
        ("/v1/chat/completions", {"vllm_xargs": {"a": 1}}, "unsupported_parameter"),
        ("/v1/chat/completions", {"temperature": "hot"}, "invalid_value"),
        ("/v1/chat/completions", {"messages": "no list"}, "invalid_value"),
        ("/v1/chat/completions", {"logit_bias": {"999999": 1}, "stream": True}, "invalid_value"),
        ("/v1/completions", {"prompt": "x", "structured_outputs": {"regex": "((("}, "stream": True}, "invalid_value"),
        (
            "/v1/responses",
            {
                "input": "x",
                "stream": True,
                "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "no"}}},
            },
            "invalid_value",
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 5,
                "stream": True,
                "output_config": {"format": {"type": "json_schema", "schema": {"type": "no"}}},
            },
            "invalid_value",
        ),
        (
            "/v1/chat/completions",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
                ]
            },
            "invalid_value",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else None,
)
async def test_dangerous_and_wrong_fields_leave_the_engine_alive(
    vllm_worker: VllmWorker, route: str, fields: dict[str, object], code: str
) -> None:
    busy = envelope()
    await vllm_worker.double.hand_over(vllm_worker.id, busy, chat(max_tokens=900, ignore_eos=True, stream=True))
    await vllm_worker.double.frames(busy.request_id, 2)
    messages = {} if "input" in fields or "prompt" in fields else {"messages": QUESTION}
    body = json.dumps({"model": "helpdesk", **messages, **fields}).encode()
    answer = await vllm_worker.run(envelope(route=route), body)
    assert (answer.last.meta.code, answer.last.status) == (code, 400), answer.last.meta
    vllm_worker.double.cancel(busy.request_id)
    await still_answers(vllm_worker)


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_context_that_is_too_long_is_a_typed_400(vllm_worker: VllmWorker, route: str, *, stream: bool) -> None:
    text = "lamp " * 3_000
    content: dict[str, dict[str, object]] = {
        "/v1/completions": {"prompt": text},
        "/v1/responses": {"input": text},
        "/v1/messages": {"messages": [{"role": "user", "content": text}], "max_tokens": 4},
    }
    fields = content.get(route, {"messages": [{"role": "user", "content": text}]})
    body = json.dumps({"model": "helpdesk", "stream": stream, **fields}).encode()
    answer = await vllm_worker.run(envelope(route=route), body)
    assert (answer.last.meta.code, answer.last.status) == ("context_length_exceeded", 400)
    assert "1024" in answer.last.meta.message
    assert [frame.flags for frame in answer.frames] == [Flag.ACCEPTED, Flag.ERROR | Flag.LAST]


async def test_every_service_class_is_served(vllm_worker: VllmWorker) -> None:
    for service_class in ServiceClass:
        answer = await vllm_worker.run(envelope(service_class=service_class), chat(max_tokens=1))
        assert answer.last.status == 200


async def test_an_endpoint_that_the_model_cannot_answer_is_the_clients_error(vllm_worker: VllmWorker) -> None:
    answer = await vllm_worker.run(envelope(route="/v1/embeddings"), b'{"model":"helpdesk","input":"x"}')
    assert (answer.last.meta.code, answer.last.status) == ("unsupported_route", 400)


async def test_tokens_there_and_back(vllm_worker: VllmWorker) -> None:
    there = await vllm_worker.run(envelope(route="/tokenize"), b'{"model":"helpdesk","prompt":"a lamp"}')
    tokens = json.loads(there.body)["tokens"]
    body = json.dumps({"model": "helpdesk", "tokens": tokens}).encode()
    back = await vllm_worker.run(envelope(route="/detokenize"), body)
    assert json.loads(back.body)["prompt"] == "a lamp"


async def test_its_page_has_the_numbers_that_dashboards_read(vllm_worker: VllmWorker) -> None:
    await still_answers(vllm_worker)
    names = {sample.name for family in vllm_worker.families() for sample in family.samples}
    lacking = {name for name in ENGINE if not {name, f"{name}_count"} & names}
    assert not lacking
    assert {measure.shown for measure in MEASURES} - names <= {"llmos_inference_execution_seconds"}
    assert vllm_worker.metric("llmos_inference_executions_total") >= 1
    assert sum(family.name == "process_cpu_seconds" for family in vllm_worker.families()) == 1, "shown once"


async def test_no_middleware_for_sockets_handles_its_answers(vllm_worker: VllmWorker) -> None:
    await still_answers(vllm_worker)
    assert vllm_worker.metric("vllm:request_success_total") >= 1
    # Counted by the middleware that measures HTTP sockets; it costs time on every chunk.
    assert vllm_worker.metric("http_requests_total") == 0
