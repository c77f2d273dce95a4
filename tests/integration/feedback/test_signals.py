"""Judgements through the stream and through calls: each recorded once, each announced."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped] # it ships no types
import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.feedback import (
    InteractionPage,
    ListDeadLetters,
    ListInteractions,
    RecordSignal,
    ShowInteraction,
    Signal,
    SignalKind,
    SignalRecorded,
    SignalRefused,
)
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.telemetry.traceparent import HEADER, write
from libs.testkit.feedback import TENANT, FeedbackDesk, FeedbackGround, Rows, captured, completed, new_signal
from libs.testkit.traces import noting


async def test_an_interaction_and_its_signal_are_shown_together(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed(user="u1", episode_id="e1")
    await desk.say([done, captured(done)])
    await rows.until("contents", 1)
    said = new_signal(done.request_id, tags=("b", "a"))
    await desk.say([said])
    await rows.until("signals", 1)
    page = await desk.call("interaction_list", ListInteractions(tenant=TENANT))
    assert isinstance(page, InteractionPage)
    (shown,) = page.interactions
    assert shown.inference_id == f"chatcmpl-{done.request_id}"
    assert shown.model_version == done.model_version
    assert bytes(shown.messages) == b'[{"role":"user","content":"Hello?"}]'
    assert bytes(shown.answer) == b'{"role":"assistant","content":"Good day."}'
    (signal,) = shown.signals
    assert (signal.id, signal.value, signal.tags, signal.weight) == (said.id, True, ("a", "b"), 1.0)
    assert signal.model_version == done.model_version


async def test_a_repeat_by_call_is_answered_with_the_same_signal(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = new_signal(done.request_id)
    first = await desk.call("signal_record", said)
    assert isinstance(first, Signal)
    assert first.recorded_ms > 0
    assert await desk.call("signal_record", said) == first
    await desk.say([said])
    await rows.until("outbox", 0)
    assert await rows.count("signals") == 1


async def test_a_changed_mind_supersedes_and_is_announced(
    desk: FeedbackDesk, rows: Rows, events: Callable[[], Awaitable[list[Any]]]
) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    first = await desk.call("signal_record", new_signal(done.request_id, time_ms=1))
    second = await desk.call("signal_record", new_signal(done.request_id, time_ms=2, value=False))
    same = await desk.call("signal_record", new_signal(done.request_id, time_ms=3, value=False))
    text = new_signal(done.request_id, kind=SignalKind.COMMENT, value="Very kind.")
    await desk.call("signal_record", text)
    assert (second.supersedes, same) == (first.id, second)
    await rows.until("outbox", 0)
    said = [msgspec.json.decode(one.data, type=SignalRecorded) for one in await events()]
    assert [one.signal.id for one in said] == [first.id, second.id, text.id]
    assert said[2].signal.value == "", "texts are not announced"
    headers = (await events())[0].headers
    assert headers["ce-type"] == subjects.SIGNAL_RECORDED
    assert headers["Nats-Msg-Id"] == headers["ce-id"] == f"{first.id}-recorded"


async def test_what_is_announced_of_a_signal_bears_the_trace_that_brought_it(
    desk: FeedbackDesk, rows: Rows, events: Callable[[], Awaitable[list[Any]]]
) -> None:
    done, late = completed(), completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    at_once, waits = new_signal(done.request_id), new_signal(late.request_id)
    alone = new_signal(done.request_id, rater="ben")
    with noting():
        await desk.say_of({write(1, 1): at_once, write(2, 2): waits, "": alone})
        await rows.until("pending_signals", 1)
        await desk.say_of({write(3, 3): msgspec.structs.replace(at_once, value=False)})
        await rows.until("dead_letters", 1)
        await desk.say([late])
        await rows.until("signals", 3)
        await rows.until("outbox", 0)
    said = {one.headers["ce-id"].split("-")[0]: one.headers.get(HEADER, "") for one in await events()}
    refused = next(one for one in await events() if one.headers["ce-type"] == subjects.SIGNAL_REFUSED)
    assert (said[at_once.id], said[waits.id], said[alone.id]) == (write(1, 1), write(2, 2), "")
    assert refused.headers[HEADER] == write(3, 3)


async def test_the_same_id_with_another_judgement_is_a_conflict(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = new_signal(done.request_id)
    await desk.call("signal_record", said)
    other = msgspec.structs.replace(said, value=False)
    with pytest.raises(ServiceError) as caught:
        await desk.call("signal_record", other)
    assert caught.value.code == "idempotency_conflict"
    await desk.say_again([other])
    await rows.until("dead_letters", 1, "code = 'idempotency_conflict'")
    assert await rows.count("signals") == 1


async def test_many_callers_with_one_judgement_leave_one_row(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = new_signal(done.request_id)
    others = [new_signal(done.request_id) for _ in range(10)]
    answers = await asyncio.gather(*(desk.call("signal_record", one) for one in (*[said] * 10, *others)))
    assert len({one.id for one in answers}) == 1
    assert await rows.count("signals") == 1
    assert await rows.count("standing") == 1


async def test_many_changed_minds_at_once_leave_one_chain(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = [
        new_signal(done.request_id, kind=SignalKind.SCORE, value=i / 20, time_ms=100 + i, rater="ann")
        for i in range(20)
    ]
    await asyncio.gather(*(desk.call("signal_record", one) for one in said))
    found = await rows.fetch("select id, supersedes, superseded_by from feedback.signals")
    chain = [row["supersedes"] for row in found if row["supersedes"]]
    assert len(chain) == len(set(chain)), "two signals supersede the same one"
    (stands,) = await rows.fetch("select signal_id from feedback.standing")
    assert stands["signal_id"] == said[-1].id


async def test_a_signal_waits_for_its_interaction(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed(episode_id="e9")
    by_stream, by_episode = new_signal(done.request_id), new_signal(episode_id="e9", rater="bob")
    await desk.say([by_stream, by_episode])
    by_call = new_signal(done.request_id, rater="cid")
    waits = await desk.call("signal_record", by_call)
    assert (waits.id, waits.recorded_ms) == (by_call.id, 0)
    await rows.until("pending_signals", 3)
    await desk.say_again([by_stream])
    await desk.say([done])
    await rows.until("signals", 3)
    await rows.until("pending_signals", 0)
    assert await rows.count("signals", "model_version <> ''") == 3


@pytest.mark.parametrize("tenant", [TENANT, "other"])
async def test_a_signal_that_waits_in_vain_becomes_a_dead_letter(
    ground: FeedbackGround, rows: Rows, events: Callable[[], Awaitable[list[Any]]], tenant: str
) -> None:
    async with ground.feedback(wait_s=0.3), ground.desk() as desk:
        done = completed(tenant="third")
        await desk.say([done, said := new_signal(done.request_id, tenant=tenant)])
        await rows.until("dead_letters", 1)
        await rows.until("outbox", 0)
        assert await rows.count("pending_signals") == 0
        assert await rows.count("signals") == 0
        page = await desk.call("dead_letter_list", ListDeadLetters())
        with pytest.raises(ServiceError) as caught:
            await desk.call("signal_record", said)
    assert caught.value.code == "interaction_not_found"
    (letter,) = page.letters
    assert letter.code == "interaction_not_found"
    assert msgspec.json.decode(letter.payload, type=RecordSignal) == said
    (event,) = [one for one in await events() if one.subject == subjects.SIGNAL_REFUSED]
    refused = msgspec.json.decode(event.data, type=SignalRefused)
    assert (refused.signal_id, refused.tenant, refused.code) == (said.id, tenant, "interaction_not_found")


BAD = {
    "no JSON": (b"{", "invalid_json"),
    "broken UTF-8": (b'{"id":"\xff\xfe"}', "invalid_json"),
    "another shape": (b'{"id":1}', "invalid_value"),
    "a list": (b"[]", "invalid_value"),
    "nothing": (b"", "invalid_json"),
    "not a number": (
        b'{"id":"sig_000000000000000000000000","tenant":"t","kind":"score","value":NaN,"time_ms":1}',
        "invalid_json",
    ),
    "unknown kind": (
        b'{"id":"sig_000000000000000000000000","tenant":"t","kind":"star","value":1,"time_ms":1}',
        "invalid_value",
    ),
    "a character that is none": (
        (
            b'{"id":"sig_000000000000000000000000","tenant":"t","kind":"comment","value":"\\ud800","time_ms":1,'
            b'"inference_id":"000000000000000000000000"}'
        ),
        "",
    ),
}


async def test_bad_messages_become_dead_letters_and_hold_nothing_up(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    for payload, _ in BAD.values():
        await desk.say_raw(subjects.RECORD_SIGNAL, payload)
        await desk.say_raw(subjects.COMPLETED, payload)
        await desk.say_raw(subjects.CAPTURED, payload)
    bad = [
        new_signal("nonsense"),
        new_signal(done.request_id, kind=SignalKind.SCORE, value=1.5),
        new_signal(done.request_id, time_ms=clock.unix_ms() + 3_600_000),
        new_signal(done.request_id, rater="a\0b"),
        new_signal(done.request_id, tenant="a\0b"),
        new_signal(done.request_id, kind=SignalKind.COMMENT, value="\0"),
        new_signal(done.request_id, id="sig_\0"),
    ]
    await desk.say([done, captured(done), *bad, new_signal(done.request_id)])
    await rows.until("signals", 1)
    await rows.until("contents", 1)
    await rows.until("dead_letters", 3 * len(BAD) + len(bad))
    codes = {row["code"] for row in await rows.fetch("select distinct code from feedback.dead_letters")}
    assert codes <= {"invalid_json", "invalid_value", "missing_field"}
    for payload, code in BAD.values():
        found = await rows.fetch("select code from feedback.dead_letters where payload = $1", payload)
        assert len(found) == 3
        assert not code or {row["code"] for row in found} == {code}
    page = await desk.call("dead_letter_list", ListDeadLetters(limit=5))
    following = await desk.call("dead_letter_list", ListDeadLetters(limit=200, before=page.next))
    assert len(page.letters) + len(following.letters) == 3 * len(BAD) + len(bad)


async def test_hostile_text_is_kept_as_text(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed(user="Robert'); drop table students;--", model="a\0b")
    await desk.say([done, captured(done, question="\0{{7*7}}\u202e", answer="'; --")])
    await rows.until("contents", 1)
    text = "'; drop table feedback.signals; -- {{7*7}} %s"
    answer = await desk.call("signal_record", new_signal(done.request_id, kind=SignalKind.COMMENT, value=text))
    assert answer.value == text
    shown = await desk.call("interaction_show", ShowInteraction(f"chatcmpl-{done.request_id}", TENANT))
    assert shown.user == "Robert'); drop table students;--"
    assert shown.model == "ab"
    assert msgspec.json.decode(shown.messages)[0]["content"] == "\0{{7*7}}\u202e"


async def test_a_comment_of_a_million_bytes_is_recorded_and_answered(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = new_signal(done.request_id, kind=SignalKind.COMMENT, value="x" * 999_990)
    assert (await desk.call("signal_record", said)).value == said.value
    with pytest.raises(ServiceError) as caught:
        await desk.call("signal_record", new_signal(done.request_id, kind=SignalKind.COMMENT, value="x" * 1_000_001))
    assert caught.value.code == "request_too_large"
    assert (await desk.call("interaction_list", ListInteractions())).interactions[0].request_id == done.request_id


async def test_a_demonstration_that_is_the_answer_is_refused(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([captured(done, answer="Good day.")])
    await rows.until("contents", 1)
    with pytest.raises(ServiceError) as caught:
        await desk.call(
            "signal_record", new_signal(done.request_id, kind=SignalKind.DEMONSTRATION, value=" Good day.\n")
        )
    assert caught.value.code == "invalid_value"
    better = new_signal(done.request_id, kind=SignalKind.DEMONSTRATION, value="Good morning.")
    assert (await desk.call("signal_record", better)).value == "Good morning."


async def test_a_judgement_never_changes(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    await desk.call("signal_record", new_signal(done.request_id))
    for statement in ("update feedback.signals set value_bool = false", "delete from feedback.signals"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await rows.fetch(statement)
