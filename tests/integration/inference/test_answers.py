"""What a request becomes on the bus: frames, their order, their meaning."""

import json

import pytest

from libs.contracts.frames import Flag
from libs.contracts.inference import Running, Usage
from libs.testkit.wait import until
from libs.testkit.worker_double import Answer, chat, envelope
from tests.integration.inference.rig import Rig

STREAM_TYPE = "text/event-stream; charset=utf-8"


def flags(answer: Answer) -> list[int]:
    return [frame.flags for frame in answer.frames]


def error_of(answer: Answer) -> tuple[str, int]:
    assert answer.last.flags == Flag.ERROR | Flag.LAST
    return answer.last.meta.code, answer.last.status


async def test_accepted_comes_first_and_names_who_answers(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat())
    first = answer.frames[0]
    assert (first.flags, first.seq, first.meta.worker, first.meta.worker_name) == (
        Flag.ACCEPTED,
        0,
        rig.worker,
        "worker-0",
    )
    assert first.meta.model_version == "helpdesk@sha256:fa4efa4efa4e"


async def test_an_answer_in_one_piece_is_one_frame_with_usage(rig: Rig) -> None:
    env = envelope()
    answer = await rig.double.run(rig.worker, env, chat(max_tokens=5))
    assert flags(answer) == [Flag.ACCEPTED, Flag.HEAD | Flag.LAST]
    body = json.loads(answer.body)
    assert body["id"] == f"chatcmpl-{env.request_id}"
    assert (answer.last.status, answer.last.meta.content_type) == (200, "application/json")
    usage = answer.last.meta.usage
    assert usage is not None
    assert (usage.completion_tokens, usage.prompt_tokens, usage.finish_reason) == (
        body["usage"]["completion_tokens"],
        body["usage"]["prompt_tokens"],
        "length",
    )
    assert usage.completion_tokens == 5


async def test_what_one_step_made_is_one_frame_and_frames_are_numbered_without_a_gap(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(stream=True, max_tokens=4, user="pace-10ms"))
    assert [frame.seq for frame in answer.frames] == list(range(len(answer.frames)))
    tokens = [frame.body.count(b'"delta":{"content"') for frame in answer.frames[1:]]
    assert tokens == [1, 1, 1, 1]
    assert answer.frames[1].flags == Flag.HEAD
    assert answer.frames[1].meta.content_type == STREAM_TYPE
    assert answer.last.flags == Flag.LAST
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_burst_is_one_frame(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(stream=True, max_tokens=64))
    assert flags(answer) == [Flag.ACCEPTED, Flag.HEAD | Flag.LAST]
    assert answer.body.count(b"data: ") == 66


async def test_bytes_are_those_of_the_application(rig: Rig) -> None:
    burst = await rig.double.run(rig.worker, envelope(), chat(stream=True, max_tokens=7))
    paced = await rig.double.run(rig.worker, envelope(), chat(stream=True, max_tokens=7, user="pace-5ms"))
    assert texts(burst.body) == texts(paced.body)
    assert len(texts(burst.body)) == 7


def texts(body: bytes) -> list[str]:
    events = [json.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def test_an_answer_above_the_message_limit_is_cut_into_frames(rig: Rig) -> None:
    limit = rig.double.gateway.max_payload_bytes
    answer = await rig.double.run(rig.worker, envelope(), chat(max_tokens=limit // 2))
    assert len(answer.body) > limit
    assert [frame.seq for frame in answer.frames] == list(range(len(answer.frames)))
    assert [bool(frame.flags & Flag.HEAD) for frame in answer.frames[1:]] == [True, *[False] * (len(answer.frames) - 2)]
    assert [bool(frame.flags & Flag.LAST) for frame in answer.frames] == [*[False] * (len(answer.frames) - 1), True]
    assert json.loads(answer.body)["usage"]["completion_tokens"] == limit // 2


async def test_the_end_releases_the_credit_after_the_last_frame(rig: Rig) -> None:
    env = envelope()
    await rig.double.run(rig.worker, env, chat(), attempt=65_537)
    await until(lambda: Running(env.request_id, 65_537) in rig.double.released)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", ""),
        (b"[1]", "invalid_json", ""),
        (chat(nonsense=1), "unknown_parameter", "nonsense"),
        (chat(cache_salt="x"), "unsupported_parameter", "cache_salt"),
        (chat(chat_template="x"), "unsupported_parameter", "chat_template"),
    ],
)
async def test_a_body_that_is_not_allowed_never_reaches_the_engine(
    rig: Rig, body: bytes, code: str, param: str
) -> None:
    answer = await rig.double.run(rig.worker, envelope(), body)
    assert error_of(answer) == (code, 400)
    assert answer.last.meta.param == param
    assert answer.last.meta.usage is None


async def test_the_engines_own_error_is_typed_and_gives_nothing_away(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(user="error-500"))
    assert error_of(answer) == ("engine_error", 500)
    assert "/opt" not in answer.last.meta.message
    assert "0x" not in answer.last.meta.message


async def test_an_error_of_an_engine_that_is_dead_says_that_the_worker_is_lost_so_that_it_is_tried_again(
    rig: Rig,
) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(user="dead-500"))
    assert answer.last.meta.code == "worker_lost"


async def test_a_context_that_is_too_long_is_the_clients_error(rig: Rig) -> None:
    long = chat(messages=[{"role": "user", "content": "x" * 40_000}])
    answer = await rig.double.run(rig.worker, envelope(), long)
    assert error_of(answer) == ("context_length_exceeded", 400)
    assert "8192" in answer.last.meta.message


async def test_an_application_that_raises_costs_only_its_own_request(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(user="raise"))
    assert error_of(answer) == ("engine_error", 500)
    after = await rig.double.run(rig.worker, envelope(), chat())
    assert after.last.status == 200


async def test_an_error_in_the_middle_of_a_stream_is_not_a_clean_end(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(stream=True, user="error-after-3"))
    assert error_of(answer) == ("engine_error", 500)
    assert b"[DONE]" not in answer.body
    assert len(texts(answer.body)) == 3


async def test_a_route_that_the_worker_does_not_know_is_refused(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(route="/scale_elastic_ep"), chat())
    assert error_of(answer) == ("unsupported_route", 400)


async def test_the_deadline_ends_a_request_with_an_error(rig: Rig) -> None:
    env = envelope()
    short = envelope(env.request_id, deadline_ms=env.submitted_ms + 100)
    answer = await rig.double.run(rig.worker, short, chat(user="hang"))
    assert error_of(answer) == ("deadline_exceeded", 504)
    assert rig.engine.slots == 0


async def test_usage_of_a_broken_off_answer_is_reported(rig: Rig) -> None:
    answer = await rig.double.run(rig.worker, envelope(), chat(stream=True, user="error-after-3", max_tokens=9))
    assert isinstance(answer.last.meta.usage, Usage)
