"""Conformance: the official OpenAI SDK against the whole platform."""

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from libs.testkit.platform import Platform

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello! When are you open?"}]


def _client(platform: Platform, api_key: str | None = None) -> OpenAI:
    return OpenAI(base_url=platform.base_url, api_key=api_key or platform.api_key, max_retries=0, timeout=60)


def test_a_chat_answer_has_the_documented_shape(platform: Platform) -> None:
    answer = _client(platform).chat.completions.create(
        model="helpdesk", messages=QUESTION, max_tokens=12, temperature=0
    )
    choice = answer.choices[0]
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_streamed_answer_says_the_same_as_the_whole_one(platform: Platform) -> None:
    client = _client(platform)
    whole = client.chat.completions.create(model="helpdesk", messages=QUESTION, max_tokens=12, temperature=0)
    stream = client.chat.completions.create(
        model="helpdesk",
        messages=QUESTION,
        max_tokens=12,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert len({chunk.id for chunk in chunks}) == 1


async def test_many_streams_at_once_do_not_mix(platform: Platform) -> None:
    async with AsyncOpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0, timeout=60) as client:
        import asyncio  # noqa: PLC0415 - only this test is concurrent

        async def ask(number: int) -> tuple[str, str]:
            messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"Question {number}?"}]
            whole = await client.chat.completions.create(
                model="helpdesk", messages=messages, max_tokens=8, temperature=0
            )
            stream = await client.chat.completions.create(
                model="helpdesk", messages=messages, max_tokens=8, temperature=0, stream=True
            )
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            return whole.choices[0].message.content or "", "".join(parts)

        pairs = await asyncio.gather(*(ask(number) for number in range(40)))
    assert all(whole == streamed for whole, streamed in pairs)
    assert len(pairs) == 40


def test_completions_and_responses_answer(platform: Platform) -> None:
    client = _client(platform)
    completion = client.completions.create(model="helpdesk", prompt="Hello", max_tokens=5, temperature=0)
    assert completion.object == "text_completion"
    assert completion.usage is not None
    assert completion.usage.completion_tokens <= 5
    response = client.responses.create(model="helpdesk", input="Hello", max_output_tokens=16, temperature=0)
    assert response.object == "response"
    assert response.output
    events = [event.type for event in client.responses.create(model="helpdesk", input="Hello", stream=True)]
    assert events[0] == "response.created"
    assert events[-1] in ("response.completed", "response.incomplete")


def test_models_are_listed_and_found_one_by_one(platform: Platform) -> None:
    client = _client(platform)
    names = [model.id for model in client.models.list()]
    assert "helpdesk" in names
    assert client.models.retrieve("helpdesk").id == "helpdesk"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_an_answer_can_be_traced_by_its_headers(platform: Platform) -> None:
    raw = _client(platform).chat.completions.with_raw_response.create(
        model="helpdesk", messages=QUESTION, max_tokens=3, extra_headers={"x-request-id": "mine-42"}
    )
    assert raw.headers["x-request-id"] == "mine-42"
    assert raw.headers["x-llmos-worker"].startswith("worker-")
    assert raw.headers["x-llmos-model-version"].startswith("helpdesk@sha256:")


@pytest.mark.parametrize(
    ("change", "expected", "code", "param"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model_not_found", "model"),
        ({"max_tokens": "many"}, openai.BadRequestError, "invalid_value", "max_tokens"),
        ({"extra_body": {"chat_template": "{{ 1 }}"}}, openai.BadRequestError, "unknown_parameter", "chat_template"),
        ({"extra_body": {"made_up": 1}}, openai.BadRequestError, "unknown_parameter", "made_up"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_request_is_a_typed_error_and_the_next_is_served(
    platform: Platform, change: dict[str, object], expected: type[openai.APIStatusError], code: str, param: str | None
) -> None:
    client = _client(platform)
    arguments: dict[str, object] = {"model": "helpdesk", "messages": QUESTION, "max_tokens": 3} | change
    with pytest.raises(expected) as caught:
        client.chat.completions.create(**arguments)  # type: ignore[call-overload] # bad on purpose
    assert caught.value.code == code
    assert caught.value.type == "invalid_request_error"
    assert param is None or caught.value.param == param
    assert caught.value.body
    assert client.chat.completions.create(model="helpdesk", messages=QUESTION, max_tokens=3).choices


@pytest.mark.vllm
@pytest.mark.parametrize("change", [{"temperature": "hot"}, {"messages": 7}, {"stop": {}}, {"top_p": 3}])
def test_a_wrong_value_that_only_the_engine_can_judge_is_a_typed_error(
    vllm_platform: Platform, change: dict[str, object]
) -> None:
    client = _client(vllm_platform)
    arguments: dict[str, object] = {"model": "helpdesk", "messages": QUESTION, "max_tokens": 3} | change
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**arguments)  # type: ignore[call-overload] # bad on purpose
    assert caught.value.code == "invalid_value"
    assert "/" not in caught.value.message, "no path of ours in a message to the client"
    assert client.chat.completions.create(model="helpdesk", messages=QUESTION, max_tokens=3).choices


@pytest.mark.vllm
def test_a_context_that_is_too_long_is_named(vllm_platform: Platform) -> None:
    client = _client(vllm_platform)
    endless: list[ChatCompletionMessageParam] = [{"role": "user", "content": "price " * 4_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="helpdesk", messages=endless)
    assert caught.value.code == "context_length_exceeded"
    assert client.chat.completions.create(model="helpdesk", messages=QUESTION, max_tokens=3).choices


@pytest.mark.parametrize("key", ["", "sk-llmos-wrong", "x" * 5_000])
def test_a_wrong_key_is_401(platform: Platform, key: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        _client(platform, api_key=key or "none").chat.completions.create(model="helpdesk", messages=QUESTION)
    assert caught.value.code == "invalid_api_key"
