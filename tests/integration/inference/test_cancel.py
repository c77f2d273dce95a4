"""Calling work off: the engine is free before anybody is told so."""

import time

import pytest

from libs.contracts.frames import Flag
from libs.contracts.inference import Running
from libs.kit import clock
from libs.testkit.wait import until
from libs.testkit.worker_double import chat, envelope
from tests.integration.inference.rig import Rig

CANCELLED = Flag.CANCELLED | Flag.LAST


async def test_a_cancelled_stream_ends_with_the_confirmation(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(stream=True, max_tokens=1_000, user="pace-10ms"))
    answer = await rig.double.frames(env.request_id, 4)
    rig.double.cancel(env.request_id)
    await until(lambda: answer.ended)
    assert answer.last.flags == CANCELLED
    assert [frame.seq for frame in answer.frames] == list(range(len(answer.frames)))
    assert rig.engine.slots == 0


async def test_what_an_operator_calls_off_ends_with_an_error_for_its_client(rig: Rig) -> None:
    env, other = envelope(), envelope()
    await rig.double.hand_over(rig.worker, env, chat(stream=True, max_tokens=1_000, user="pace-10ms"))
    await rig.double.hand_over(rig.worker, other, chat(user="hang"))
    answer = await rig.double.frames(env.request_id, 4)
    for each in (env, other):
        rig.double.cancel(each.request_id, by_operator=True)
    ends = (answer, await rig.double.frames(other.request_id, 2))
    await until(lambda: all(each.ended for each in ends), timeout_s=60)
    for end in ends:
        assert end.last.flags == Flag.ERROR | Flag.LAST
        assert end.last.meta.code == "cancelled_by_operator"
        assert [frame.seq for frame in end.frames] == list(range(len(end.frames)))
    assert rig.engine.slots == 0


async def test_the_confirmation_waits_until_the_engine_is_free(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="slow-abort-300ms"))
    await until(lambda: rig.engine.slots == 1)
    rig.double.cancel(env.request_id)
    start_s = time.monotonic()
    answer = await rig.double.frames(env.request_id, 2)
    assert time.monotonic() - start_s >= 0.28
    assert answer.last.flags == CANCELLED
    assert rig.engine.slots == 0
    await until(lambda: Running(env.request_id, 1) in rig.double.released)


async def test_what_never_answered_is_taken_out_of_the_engine_at_once(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"))
    await until(lambda: rig.engine.slots == 1)
    rig.double.cancel(env.request_id)
    start_s = time.monotonic()
    await rig.double.frames(env.request_id, 2)
    assert time.monotonic() - start_s < 0.9, "the engine was asked, nobody waited for the application to notice"


async def test_an_attempt_can_be_cancelled_alone(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"), 5)
    rig.double.cancel(env.request_id, attempt=4)
    other = await rig.double.run(rig.worker, envelope(), chat())
    assert other.ended
    assert rig.engine.slots == 1
    rig.double.cancel(env.request_id, attempt=5)
    answer = await rig.double.frames(env.request_id, 2)
    assert answer.last.flags == CANCELLED


async def test_cancelling_what_does_not_run_is_harmless(rig: Rig) -> None:
    rig.double.cancel("0" * 24)
    answer = await rig.double.run(rig.worker, envelope(), chat())
    assert answer.last.status == 200


async def test_a_cancel_with_garbage_in_it_costs_nothing(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"))
    rig.double.gateway.publish(f"ctl.inference.cancel.{env.request_id}", b"not json")
    assert (await rig.double.run(rig.worker, envelope(), chat())).last.status == 200
    assert rig.engine.slots == 1


async def test_a_silent_gateways_work_is_aborted_without_an_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"))
    await until(lambda: rig.engine.slots == 1)
    await rig.double.fall_silent()
    now_s = clock.monotonic_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s() + 6.0)
    await until(lambda: Running(env.request_id, 1) in rig.double.released)
    assert rig.engine.slots == 0
    assert [frame.flags for frame in rig.double.answers[env.request_id].frames] == [Flag.ACCEPTED]


async def test_a_gateway_that_beats_keeps_its_work(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"))
    now_s = clock.monotonic_s
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s() + 3.5)
    seen = len(rig.double.beats)
    await until(lambda: len(rig.double.beats) > seen + 2)
    assert rig.engine.slots == 1
