"""`POST /v1/feedback`: what is taken in lies in the stream once, under the key's tenant; all else is a typed error."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import nats as nats_py
import pytest
from nats.js.api import StreamInfo

from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.contracts.errors import ERRORS
from libs.contracts.feedback import RecordSignal, SignalKind, Source
from libs.contracts.topology import CMD_FEEDBACK
from libs.kit import clock, signals
from libs.testkit.front import KEY, Front, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until

PATH = "/v1/feedback"
ANSWER = "chatcmpl-" + "ab" * 12
THUMB = {"inference_id": ANSWER, "kind": "thumb", "value": True}


async def _stream(server: NatsServer) -> tuple[StreamInfo, list[RecordSignal]]:
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    jetstream = client.jetstream()
    info = await jetstream.stream_info(CMD_FEEDBACK.name)
    first, last = info.state.first_seq, info.state.last_seq
    found = [await jetstream.get_msg(CMD_FEEDBACK.name, number) for number in range(first, last + 1)]
    await client.close()
    return info, [msgspec.json.decode(message.data or b"", type=RecordSignal) for message in found]


async def _stored(server: NatsServer) -> list[RecordSignal]:
    return (await _stream(server))[1]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"body_timeout_s": 0.3}


async def test_a_judgement_lies_in_the_stream_when_it_is_answered(front: Front, nats: NatsServer) -> None:
    before_ms = clock.unix_ms()
    answer = await front.post(PATH, THUMB | {"rater": "ann", "tags": ["b", "a"], "source": "regenerated"})
    (kept,) = await _stored(nats)

    assert (answer.status_code, answer.json()) == (201, {"id": kept.id, "object": "feedback.signal"})
    assert answer.headers["x-request-id"]
    assert before_ms <= kept.time_ms <= clock.unix_ms()
    assert kept == RecordSignal(
        id=kept.id,
        tenant="acme",
        kind=SignalKind.THUMB,
        value=True,
        time_ms=kept.time_ms,
        inference_id=ANSWER,
        rater="ann",
        source=Source.REGENERATED,
        tags=("a", "b"),
        key_id="alice",
    )


async def test_each_kind_is_taken_with_its_value_and_the_key_rates_where_nobody_is_named(
    front: Front, nats: NatsServer
) -> None:
    given: list[dict[str, Any]] = [
        {"episode_id": "talk-1", "kind": "score", "value": 1, "time_ms": 1_000},
        {"inference_id": ANSWER, "kind": "comment", "value": "Ünten'); drop table signals; -- {{ 7*7 }} \U0001f4a9"},
        {"inference_id": ANSWER, "kind": "demonstration", "value": "Better."},
        {"inference_id": ANSWER, "kind": "thumb", "value": False},
    ]
    answers = [await front.post(PATH, body) for body in given]
    kept = await _stored(nats)
    assert [answer.status_code for answer in answers] == [201] * 4
    assert [one.value for one in kept] == [1.0, given[1]["value"], "Better.", False]
    assert (kept[0].time_ms, kept[0].episode_id, kept[0].inference_id) == (1_000, "talk-1", "")
    assert {(one.rater, one.key_id, one.source) for one in kept} == {("alice", "alice", Source.EXPLICIT)}
    assert len({one.id for one in kept}) == 4


async def test_a_repeat_is_stored_once_and_has_the_same_id(front: Front, nats: NatsServer) -> None:
    keyed = [await front.post(PATH, THUMB, idempotency_key="order-7") for _ in range(3)]
    timed = [await front.post(PATH, THUMB | {"time_ms": 5}) for _ in range(2)]
    other = await front.post(PATH, THUMB, idempotency_key="order-7", authorization="Bearer sk-other")
    fresh = [await front.post(PATH, THUMB) for _ in range(2)]

    ids = [{answer.json()["id"] for answer in answers} for answers in (keyed, timed, [other], fresh)]
    assert [len(each) for each in ids] == [1, 1, 1, 2]
    assert ids[0] == {signals.signal_id("acme", "order-7")}
    kept = await _stored(nats)
    assert len(kept) == 5
    assert {one.id for one in kept} == set().union(*ids)
    assert [one.tenant for one in kept] == ["acme", "acme", "default", "acme", "acme"]


BAD: tuple[tuple[Any, str, str | None], ...] = (
    (b"", "missing_field", "kind"),
    (b"{", "invalid_json", None),
    (b"[]", "invalid_value", None),
    (b"[" * 1_999, "invalid_value", None),
    (b'{"inference_id":"' + ANSWER.encode() + b'","kind":"comment","value":"\xff"}', "invalid_json", None),
    (b'{"inference_id":"' + ANSWER.encode() + b'","kind":"comment","value":"\\ud800"}', "invalid_json", None),
    (THUMB | {"tenant": "other"}, "unknown_parameter", "tenant"),
    (THUMB | {"id": "sig_" + "0" * 24}, "unknown_parameter", "id"),
    (THUMB | {"inference_id": ""}, "missing_field", "inference_id"),
    (THUMB | {"inference_id": "chatcmpl-1"}, "invalid_value", "inference_id"),
    (THUMB | {"inference_id": "chatcmpl-" + "../" * 8}, "invalid_value", "inference_id"),
    (THUMB | {"episode_id": "talk-1"}, "invalid_value", "inference_id"),
    (THUMB | {"kind": "stars"}, "invalid_value", "kind"),
    (THUMB | {"value": 1}, "invalid_value", "value"),
    (THUMB | {"value": None}, "invalid_value", "value"),
    (THUMB | {"kind": "score", "value": 1.01}, "invalid_value", "value"),
    (THUMB | {"kind": "score", "value": True}, "invalid_value", "value"),
    (THUMB | {"kind": "comment", "value": "\x00 \x07"}, "invalid_value", "value"),
    (THUMB | {"kind": "comment"}, "invalid_value", "value"),
    (THUMB | {"rater": "a\nb"}, "invalid_value", "rater"),
    (THUMB | {"rater": "x" * 129}, "invalid_value", "rater"),
    (THUMB | {"tags": ["x"] * 17}, "invalid_value", "tags"),
    (THUMB | {"tags": "x"}, "invalid_value", "tags"),
    (THUMB | {"source": "dream"}, "invalid_value", "source"),
    (THUMB | {"time_ms": 2**62}, "invalid_value", "time_ms"),
    (THUMB | {"time_ms": "soon"}, "invalid_value", "time_ms"),
    (THUMB | {"kind": "comment", "value": "x" * 1_000_001}, "request_too_large", None),
)


@pytest.mark.parametrize("line", BAD, ids=lambda line: str(line[0])[:60])
async def test_bad_input_is_a_typed_error_in_the_shape_of_openai_and_goes_no_further(
    front: Front, nats: NatsServer, line: tuple[Any, str, str | None]
) -> None:
    body, code, param = line
    answer = await front.post(PATH, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (ERRORS[code].status, code), answer.text
    assert answer.json()["error"]["param"] == param
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not await _stored(nats)


@pytest.mark.parametrize("key", ["a b", "x" * 256, ""])
async def test_a_strange_idempotency_key_is_refused(front: Front, nats: NatsServer, key: str) -> None:
    answer = await front.post(PATH, THUMB, idempotency_key=key)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert not await _stored(nats)


async def test_only_known_keys_may_and_only_by_post(front: Front, nats: NatsServer) -> None:
    for key in ("Bearer sk-unknown", ""):
        answer = await front.post(PATH, THUMB, authorization=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    wrong = await front.http.get(PATH)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert not await _stored(nats)


async def test_a_body_that_comes_too_slowly_is_refused(front: Front, nats: NatsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 100\r\n\r\n{{"
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert b" 400 " in line
    assert not await _stored(nats)


async def test_the_longest_text_that_a_body_can_hold_passes_the_bus(front: Front, nats: NatsServer) -> None:
    text = "é" * 450_000
    assert (await front.post(PATH, THUMB | {"kind": "comment", "value": text})).status_code == 201
    assert [one.value for one in await _stored(nats)] == [text]


async def test_while_the_bus_is_away_it_is_503_and_afterwards_the_repeat_is_recorded_once(
    private_nats: NatsServer, tmp_path: Path
) -> None:
    async with running(settings_for(private_nats, tmp_path)) as front:
        await until(lambda: front.gateway.bus.connected)
        assert (await front.post(PATH, THUMB, idempotency_key="one")).status_code == 201
        private_nats.kill()
        await until(lambda: not front.gateway.bus.connected)
        refused = await front.post(PATH, THUMB, idempotency_key="two")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "bus_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        private_nats.start()
        await until(lambda: front.gateway.bus.connected)
        for key in ("one", "two", "two"):
            assert (await front.post(PATH, THUMB, idempotency_key=key)).status_code == 201
        assert [one.id for one in await _stored(private_nats)] == [
            signals.signal_id("acme", key) for key in ("one", "two")
        ]


async def test_a_connection_that_breaks_before_the_acknowledgement_costs_nothing(
    private_nats: NatsServer, tmp_path: Path
) -> None:
    async with running(settings_for(private_nats, tmp_path)) as front:
        await until(lambda: front.gateway.bus.connected)
        accepted: set[str] = set()
        over = asyncio.Event()

        async def give(who: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                key = f"{who}-{number}"
                while (answer := await front.post(PATH, THUMB, idempotency_key=key)).status_code != 201:
                    assert answer.json()["error"]["code"] == "bus_unavailable"
                    await until(lambda: front.gateway.bus.connected)
                accepted.add(answer.json()["id"])

        givers = [asyncio.create_task(give(who)) for who in range(4)]
        for _ in range(2):
            enough = len(accepted) + 50
            await until(lambda enough=enough: len(accepted) > enough)  # type: ignore[misc] # it is a number
            private_nats.kill()
            await until(lambda: not front.gateway.bus.connected)
            private_nats.start()
            await until(lambda: front.gateway.bus.connected)
        over.set()
        await asyncio.gather(*givers)
        kept = [one.id for one in await _stored(private_nats)]
        assert len(kept) == len(set(kept)), "each is stored once"
        assert set(kept) == accepted


async def test_a_full_stream_is_503_queue_full(private_nats: NatsServer, tmp_path: Path) -> None:
    await provision(private_nats.settings("provisioner"), ("default",), max_queue=2)
    async with running(settings_for(private_nats, tmp_path)) as front:
        await until(lambda: front.gateway.bus.connected)
        answers = [await front.post(PATH, THUMB) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 503]
        assert answers[2].json()["error"]["code"] == "queue_full"
        assert int(answers[2].headers["retry-after"]) >= 1


async def test_without_a_stream_nothing_is_promised(private_nats: NatsServer, tmp_path: Path) -> None:
    client = await nats_py.connect(
        f"nats://{private_nats.host}:{private_nats.port}",
        user="provisioner",
        password=private_nats.passwords["provisioner"],
    )
    await client.jetstream().delete_stream(CMD_FEEDBACK.name)
    await client.close()
    async with running(settings_for(private_nats, tmp_path)) as front:
        await until(lambda: front.gateway.bus.connected)
        answer = await front.post(PATH, THUMB)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "bus_unavailable")


def test_the_subject_is_one_that_the_stream_takes() -> None:
    assert subjects.RECORD_SIGNAL.startswith(CMD_FEEDBACK.subjects[0].removesuffix(">"))
