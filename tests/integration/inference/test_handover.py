"""Which work a worker takes, and what it says when it does not."""

import time

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag, direct_attempt, make_attempt
from libs.contracts.inference import ATTEMPT_HEADER, ENVELOPE_HEADER, Handover, Running
from libs.kit.bus import Message, encode_headers
from libs.testkit.wait import until
from libs.testkit.worker_double import GATEWAY, Answer, chat, envelope
from tests.integration.inference.rig import Rig


async def test_a_full_worker_refuses_and_takes_again_when_one_ends(rig: Rig) -> None:
    held = [envelope() for _ in range(8)]
    for env in held:
        assert (await rig.double.hand_over(rig.worker, env, chat(user="hang"))).accepted
    extra = envelope()
    assert await rig.double.hand_over(rig.worker, extra, chat()) == Handover(accepted=False, reason="full")
    assert rig.engine.slots == 8
    rig.double.cancel(held[0].request_id)
    await until(lambda: Running(held[0].request_id, 1) in rig.double.released)
    assert (await rig.double.hand_over(rig.worker, extra, chat())).accepted


async def test_an_unknown_model_is_refused_and_every_name_of_the_model_is_known(rig: Rig) -> None:
    refused = await rig.double.hand_over(rig.worker, envelope(model="nope"), chat())
    assert refused == Handover(accepted=False, reason="unknown_model")
    for model in ("helpdesk", "helpdesk@champion", "helpdesk@sha256:fa4efa4efa4e"):
        answer = await rig.double.run(rig.worker, envelope(model=model), chat())
        assert f'"model":"{model}"'.encode() in answer.body


async def test_unreadable_work_is_refused(rig: Rig) -> None:
    reply = await rig.double.scheduler.request(subjects.run(rig.worker), b"{}", timeout_s=5)
    assert b'"reason":"invalid"' in reply.payload


async def test_a_reply_subject_that_is_no_gateways_is_refused(rig: Rig) -> None:
    aside = envelope(reply="ctl.inference.cancel.x")
    assert await rig.double.hand_over(rig.worker, aside, chat()) == Handover(accepted=False, reason="invalid")


async def test_the_same_request_handed_over_twice_runs_once(rig: Rig) -> None:
    env = envelope()
    first, second = make_attempt(0, 1, 0), make_attempt(0, 1, 1)
    assert (await rig.double.hand_over(rig.worker, env, chat(user="hang"), first)).accepted
    assert (await rig.double.hand_over(rig.worker, env, chat(user="hang"), second)).accepted
    await until(lambda: Running(env.request_id, second) in rig.double.released)
    assert rig.engine.slots == 1
    answer = await rig.double.frames(env.request_id, 1)
    assert [frame.flags for frame in answer.frames] == [Flag.ACCEPTED]
    assert Running(env.request_id, first) not in rig.double.released


async def test_a_later_retry_replaces_the_one_that_the_gateway_gave_up(rig: Rig) -> None:
    env = envelope()
    old, new = make_attempt(0, 1, 0), make_attempt(1, 1, 0)
    assert (await rig.double.hand_over(rig.worker, env, chat(user="hang"), old)).accepted
    again = envelope(env.request_id, retry=1)
    answer = await rig.double.run(rig.worker, again, chat(), new)
    await until(lambda: Running(env.request_id, old) in rig.double.released)
    assert {frame.attempt for frame in answer.frames if frame.flags & Flag.LAST} == {new}
    assert rig.engine.slots == 0


async def test_a_beat_names_what_runs(rig: Rig) -> None:
    env = envelope()
    await rig.double.hand_over(rig.worker, env, chat(user="hang"), 7)
    beat = await rig.double.beat_where(lambda beat: beat.worker == rig.worker and bool(beat.running))
    assert beat.running == (Running(env.request_id, 7),)
    assert (beat.capacity, beat.pool, beat.engine) == (8, "default", "fake engine")
    assert [model.name for model in beat.models] == ["helpdesk", "helpdesk@champion", "helpdesk@sha256:fa4efa4efa4e"]


async def test_a_beat_comes_at_once_when_somebody_asks(rig: Rig) -> None:
    def sequence() -> list[int]:
        return [beat.sequence for beat in rig.double.beats if beat.worker == rig.worker]

    seen, asked = len(sequence()), 20
    start_s = time.monotonic()
    for _ in range(asked):
        rig.double.report()
    await until(lambda: len(sequence()) >= seen + asked)
    assert time.monotonic() - start_s < asked / 2, "by itself it beats once a second"
    assert sequence() == list(range(sequence()[0], sequence()[0] + len(sequence())))


async def test_a_beat_never_overtakes_the_last_frame_of_what_it_does_not_name_any_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = rig.app._worker
    assert worker is not None
    heard: list[bool] = []
    env = envelope()
    rig.double.gateway.subscribe(subjects.ALL_BEATS, lambda _: heard.append(rig.double.answers[env.request_id].ended))
    await rig.double.gateway.flush()
    rig.double.answers[env.request_id] = Answer()
    ended = worker._metrics.ended

    def beat_at_once(outcome: str, seconds: float) -> None:
        ended(outcome, seconds)
        heard.clear()
        worker._beat()

    monkeypatch.setattr(worker._metrics, "ended", beat_at_once)
    await rig.double.run(rig.worker, env, chat(stream=True, max_tokens=3, user="pace-10ms"))
    await until(lambda: bool(heard))
    assert heard[0]


async def test_offers_that_come_together_are_answered_together(rig: Rig) -> None:
    answers: list[Message] = []
    bundles: list[Message] = []
    rig.double.scheduler.subscribe(subjects.scheduler_reply("s2", "*"), answers.append)
    rig.double.gateway.subscribe(subjects.gateway_frames(GATEWAY), bundles.append)
    await rig.double.scheduler.flush()
    await rig.double.gateway.flush()
    wanted = [envelope() for _ in range(3)]
    for number, env in enumerate(wanted):
        fields = ((ENVELOPE_HEADER, msgspec.json.encode(env)), (ATTEMPT_HEADER, b"1"))
        headers = encode_headers((name.encode(), value) for name, value in fields)
        reply = subjects.scheduler_reply("s2", f"0-{number}")
        rig.double.scheduler.publish(subjects.run(rig.worker), chat(user="hang"), reply=reply, headers=headers)
    for env in wanted:
        await rig.double.frames(env.request_id, 1)
    await until(lambda: len(answers) == 1)
    assert answers[0].subject == subjects.scheduler_reply("s2", "0-0")
    assert msgspec.json.decode(answers[0].payload, type=Handover) == Handover(accepted=True, also=("0-1", "0-2"))
    assert len(bundles) == 1


async def test_what_a_gateway_hands_over_is_accepted_by_a_frame_alone(rig: Rig) -> None:
    env = envelope()
    rig.double.hand_over_directly(rig.worker, env, chat())
    answer = rig.double.answers.setdefault(env.request_id, Answer())
    await until(lambda: answer.ended, what="the end")
    assert {frame.attempt for frame in answer.frames} == {direct_attempt(0)}
    assert answer.frames[0].flags == Flag.ACCEPTED
    assert env.request_id not in rig.double.refusals


async def test_its_end_is_told_to_schedulers_only_if_they_know_of_it(rig: Rig) -> None:
    quick, slow = envelope(), envelope()
    await rig.double.run(rig.worker, envelope(), chat())
    rig.double.hand_over_directly(rig.worker, quick, chat())
    answer = rig.double.answers.setdefault(quick.request_id, Answer())
    await until(lambda: answer.ended, what="the end of the quick one")
    rig.double.hand_over_directly(rig.worker, slow, chat(user="hang"))
    rig.double.report()
    named = Running(slow.request_id, direct_attempt(0))
    await rig.double.beat_where(lambda beat: named in beat.running)
    rig.double.cancel(slow.request_id)
    await until(lambda: named in rig.double.released, what="the release of what a beat named")
    beats = [beat for beat in rig.double.beats if any(run.request_id == quick.request_id for run in beat.running)]
    assert bool(beats) == (Running(quick.request_id, direct_attempt(0)) in rig.double.released)


async def test_a_full_worker_refuses_a_gateway_too_and_then_tells_of_every_end(rig: Rig) -> None:
    running = [envelope() for _ in range(8)]
    for env in running:
        rig.double.hand_over_directly(rig.worker, env, chat(user="hang"))
    too_many = envelope()
    rig.double.hand_over_directly(rig.worker, too_many, chat())
    await until(lambda: too_many.request_id in rig.double.refusals, what="the refusal")
    assert rig.double.refusals[too_many.request_id] == Handover(accepted=False, reason="full")
    for env in running:
        rig.double.cancel(env.request_id)
    ended = {Running(env.request_id, direct_attempt(0)) for env in running}
    await until(lambda: ended <= set(rig.double.released), what="their releases")
