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


async def test_a_key_that_comes_with_another_judgement_is_refused(front: Front, nats: NatsServer) -> None:
    first = await front.post(PATH, THUMB, idempotency_key="order-8")
    other = await front.post(PATH, THUMB | {"value": False}, idempotency_key="order-8")
    again = await front.post(PATH, THUMB | {"time_ms": 5}, idempotency_key="order-8")

    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert other.json()["error"]["param"] == "Idempotency-Key"
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"]), "the time is not part of what is said"
    (kept,) = await _stored(nats)
    assert kept.value is True


async def test_a_gateway_that_does_not_know_the_first_lets_feedback_decide(
    front: Front, nats: NatsServer, tmp_path: Path
) -> None:
    async with running(settings_for(nats, tmp_path)) as second:
        for gate, value in ((front, True), (second, True), (second, False)):
            answer = await gate.post(PATH, THUMB | {"value": value}, idempotency_key="order-9")
            assert answer.status_code == (409 if not value else 201)
    async with running(settings_for(nats, tmp_path)) as third:
        answer = await third.post(PATH, THUMB | {"value": False}, idempotency_key="order-9")
    assert answer.status_code == 201
    kept = await _stored(nats)
    assert [(one.id, one.value) for one in kept] == [(kept[0].id, True), (kept[0].id, False)]


async def test_a_batch_takes_the_good_rows_and_says_what_is_wrong_with_the_others(
    front: Front, nats: NatsServer
) -> None:
    bad = [THUMB | {"value": 7}, "text", THUMB | {"tenant": "other"}, THUMB | {"idempotency_key": "a b"}]
    signals_ = [THUMB | {"idempotency_key": "k1"}, *bad, {"episode_id": "e1", "kind": "score", "value": 1}]
    answer = await front.post(f"{PATH}/batch", {"signals": signals_})
    told = answer.json()
    kept = await _stored(nats)

    assert (answer.status_code, told["object"], told["accepted"], told["refused"]) == (200, "feedback.batch", 2, 4)
    assert {told["results"][0]["id"], told["results"][5]["id"]} == {one.id for one in kept}
    assert told["results"][0]["id"] == signals.signal_id("acme", "k1"), "the same key, alone or among many"
    assert [(one["error"]["code"], one["error"].get("param")) for one in told["results"][1:5]] == [
        ("invalid_value", "value"),
        ("invalid_value", None),
        ("unknown_parameter", "tenant"),
        ("invalid_value", "Idempotency-Key"),
    ]


async def test_a_repeated_batch_is_stored_once(front: Front, nats: NatsServer) -> None:
    rows = [THUMB | {"rater": f"r{number}"} for number in range(600)]
    first = await front.post(f"{PATH}/batch", {"signals": rows}, idempotency_key="file-1")
    again = await front.post(f"{PATH}/batch", {"signals": rows}, idempotency_key="file-1")
    changed = await front.post(f"{PATH}/batch", {"signals": rows[1:]}, idempotency_key="file-1")

    assert first.json() == again.json()
    assert first.json()["accepted"] == len({one["id"] for one in first.json()["results"]}) == 600
    assert {one["error"]["code"] for one in changed.json()["results"]} == {"idempotency_conflict"}
    assert len(await _stored(nats)) == 600


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_field"),
        ({"signals": []}, "missing_field"),
        ({"signals": {}}, "invalid_value"),
        ({"signals": [THUMB] * 1_001}, "request_too_large"),
        ({"signals": [THUMB], "tenant": "other"}, "unknown_parameter"),
        (b"{", "invalid_json"),
    ],
)
async def test_a_batch_that_is_none_is_a_typed_error(front: Front, nats: NatsServer, body: Any, code: str) -> None:
    answer = await front.post(f"{PATH}/batch", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (ERRORS[code].status, code)
    assert not await _stored(nats)


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


async def test_a_batch_of_which_nothing_can_be_stored_is_503(private_nats: NatsServer, tmp_path: Path) -> None:
    async with running(settings_for(private_nats, tmp_path)) as front:
        private_nats.kill()
        answer = await front.post(f"{PATH}/batch", {"signals": [THUMB, THUMB]})
        private_nats.start()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "bus_unavailable")
    assert answer.headers["retry-after"]


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
