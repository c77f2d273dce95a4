"""Conformance: the official Anthropic SDK against the whole platform."""

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam

from libs.testkit.platform import Platform

GREEDY = {"temperature": 0}
QUESTION: list[MessageParam] = [{"role": "user", "content": "Hello! When are you open?"}]


def _client(platform: Platform, api_key: str | None = None) -> Anthropic:
    return Anthropic(base_url=platform.url, api_key=api_key or platform.api_key, max_retries=0, timeout=60)


def test_a_message_has_the_documented_shape(platform: Platform) -> None:
    message = _client(platform).messages.create(model="helpdesk", max_tokens=12, messages=QUESTION, extra_body=GREEDY)
    assert message.type == "message"
    assert message.role == "assistant"
    assert message.content[0].type == "text"
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_a_streamed_message_says_the_same_as_the_whole_one(platform: Platform) -> None:
    client = _client(platform)
    whole = client.messages.create(model="helpdesk", max_tokens=12, messages=QUESTION, extra_body=GREEDY)
    with client.messages.stream(model="helpdesk", max_tokens=12, messages=QUESTION, extra_body=GREEDY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert whole.content[0].type == "text"
    assert text == whole.content[0].text
    assert final.stop_reason == whole.stop_reason


def test_errors_have_the_anthropic_shape(platform: Platform) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        _client(platform).messages.create(model="nobody", max_tokens=3, messages=QUESTION)
    assert isinstance(missing.value.body, dict)
    assert missing.value.body["type"] == "error"
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        _client(platform, api_key="wrong").messages.create(model="helpdesk", max_tokens=3, messages=QUESTION)
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.BadRequestError) as bad:
        _client(platform).messages.create(
            model="helpdesk", max_tokens=3, messages=QUESTION, extra_body={"chat_template": "x"}
        )
    assert isinstance(bad.value.body, dict)
    assert bad.value.body["error"]["type"] == "invalid_request_error"


def test_tokens_are_counted(platform: Platform) -> None:
    count = _client(platform).messages.count_tokens(model="helpdesk", messages=QUESTION)
    assert count.input_tokens > 0
