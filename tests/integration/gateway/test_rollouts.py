"""Requests of a running rollout: who answers, who is asked unseen, and what is said of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.contracts.inference import ServiceClass
from libs.kit.sticky import is_candidates
from libs.testkit.front import CHAT, Front, running, settings_for
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import VERSION, Double, Work
from libs.testkit.wait import until
from tests.integration.gateway.rollout_scene import BAD, GOOD, SPLIT, Scene, said, version_of

SHADOW = msgspec.structs.replace(SPLIT, share=1.0, shadow=True)
EVERYBODY = msgspec.structs.replace(SPLIT, share=1.0)


@pytest.fixture
def overrides(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {}))


@pytest_asyncio.fixture(loop_scope="session")
async def scene(nats: NatsServer, front: Front, double: Double) -> AsyncIterator[Scene]:
    scene = Scene(nats, front, double)
    await scene.start()
    yield scene
    await scene.stop()


def _answer(work: Work) -> None:
    """As a worker would that serves both versions."""
    version = version_of(work)
    words = "open from nine to five" if version == GOOD else "open from nine to six"
    work.answer(said(version, words), version=version)


async def test_each_user_gets_the_version_that_the_hash_says_and_it_is_said_of_whom(scene: Scene) -> None:
    scene.double.on_work = _answer
    await scene.say(SPLIT)
    users = [f"u{number}" for number in range(60)]
    answers = await asyncio.gather(*(scene.front.post(body=CHAT | {"user": user}) for user in users))
    expected = [BAD if is_candidates("roll_1", f"user:{user}", 0.5) else GOOD for user in users]
    assert set(expected) == {GOOD, BAD}
    assert [answer.json()["model"] for answer in answers] == expected
    assert [answer.headers["x-llmos-model-version"] for answer in answers] == expected
    await scene.settled()
    assert [one.model for one in scene.completed] == ["helpdesk"] * 60
    completed = {one.request_id: (one.user, one.model_version) for one in scene.completed}
    assert sorted(completed.values()) == sorted(zip(users, expected, strict=True))
    assert {one.request_id: one.model_version for one in scene.observed} == {
        request: version for request, (_, version) in completed.items()
    }
    for one in scene.observed:
        assert one.arm == ("candidate" if one.model_version == BAD else "baseline")
        assert (one.rollout, one.step, one.outcome, one.fault, one.mirror) == ("roll_1", 2, "ok", False, False)
        assert (one.completion_tokens, one.agreement) == (2, None)


async def test_an_episode_keeps_its_version_and_exact_references_are_not_divided(scene: Scene) -> None:
    scene.double.on_work = _answer
    await scene.say(SPLIT)
    for number in range(6):
        turns = [scene.front.post(x_llmos_episode=f"talk-{number}") for _ in range(4)]
        versions = {answer.json()["model"] for answer in await asyncio.gather(*turns)}
        assert versions == {BAD if is_candidates("roll_1", f"episode:talk-{number}", 0.5) else GOOD}
    await scene.settled()
    assert len(scene.observed) == 24
    for version in (GOOD, BAD):
        answer = await scene.front.post(body=CHAT | {"model": version})
        assert answer.json()["model"] == version
    await scene.settled()
    assert len(scene.observed) == 24


async def test_what_is_wrong_on_our_side_is_a_fault_and_what_the_client_did_is_not(scene: Scene) -> None:
    await scene.say(EVERYBODY)
    task = scene.front.ask()
    work = await scene.double.next()
    work.accept(version=BAD)
    work.fail("engine_error")
    assert (await task).status_code == 500
    task = scene.front.ask()
    (await scene.double.next()).answer(b'{"error":{"message":"too long"}}', version=BAD, status=400)
    assert (await task).status_code == 400
    assert (await scene.front.post(body=b"{nonsense")).status_code == 400
    await scene.settled()
    seen = [(one.outcome, one.fault, one.error_code, one.first_token_ms) for one in scene.observed]
    assert seen == [("error", True, "engine_error", 0), ("error", False, "", 0)]


async def test_what_another_version_answered_is_no_evidence(scene: Scene) -> None:
    scene.double.on_work = lambda work: work.answer(version=VERSION)
    await scene.say(SPLIT)
    assert (await scene.front.post()).headers["x-llmos-model-version"] == VERSION
    await scene.settled()
    assert [one.model_version for one in scene.completed] == [VERSION]
    assert not scene.observed


@pytest.mark.parametrize("overrides", [{}, {"capture_content": True}], indirect=True)
async def test_a_mirrored_answer_is_shown_to_nobody_and_is_no_interaction(
    scene: Scene, overrides: dict[str, Any]
) -> None:
    await scene.say(SHADOW)
    task = scene.front.ask(x_llmos_episode="talk")
    shown = await scene.double.next()
    assert (shown.envelope.model, shown.envelope.service_class) == (GOOD, ServiceClass.STANDARD)
    assert scene.double.work.empty()
    _answer(shown)
    answer = await task
    assert (answer.json()["model"], answer.headers["x-llmos-model-version"]) == (GOOD, GOOD)
    mirrored = await scene.double.next()
    assert (mirrored.envelope.model, mirrored.envelope.service_class) == (BAD, ServiceClass.BATCH)
    assert (mirrored.body, mirrored.envelope.tenant) == (shown.body, shown.envelope.tenant)
    assert mirrored.envelope.request_id != shown.envelope.request_id
    _answer(mirrored)
    await scene.settled()
    first, second = scene.observed
    assert (first.arm, first.mirror, first.model_version, first.agreement) == ("baseline", False, GOOD, None)
    assert (second.arm, second.mirror, second.model_version, second.agreement) == ("candidate", True, BAD, 0.8)
    assert (second.outcome, second.request_id) == ("ok", mirrored.envelope.request_id)
    assert [one.request_id for one in scene.completed] == [shown.envelope.request_id]
    wanted = [shown.envelope.request_id] if overrides else []
    assert [one.completed.request_id for one in scene.captured] == wanted


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"choices":7}', b"\xff\xfe", b'{"model":"x"}'])
async def test_an_answer_that_cannot_be_read_agrees_with_nothing(scene: Scene, body: bytes) -> None:
    await scene.say(SHADOW)
    task = scene.front.ask()
    _answer(await scene.double.next())
    assert (await task).status_code == 200
    (await scene.double.next()).answer(body, version=BAD)
    await scene.settled()
    assert [(one.outcome, one.agreement) for one in scene.observed if one.mirror] == [("ok", None)]


async def test_streams_are_compared_and_a_worker_that_dies_under_a_mirrored_one_is_its_fault(scene: Scene) -> None:
    await scene.say(SHADOW)
    for ends_well in (True, False):
        task = scene.front.ask(body=CHAT | {"stream": True})
        for version in (GOOD, BAD):
            work = await scene.double.next()
            work.accept(version=version)
            work.head(b'data: {"choices":[{"index":0,"delta":{"content":"Good day"}}]}\n\n')
            if version == BAD and not ends_well:
                await until(lambda work=work: _started(scene, work), what="the first bytes")  # type: ignore[misc]
                scene.double.announce_loss()
                continue
            work.more(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
            work.last(b"data: [DONE]\n\n")
        assert (await task).content.endswith(b"[DONE]\n\n")
        await scene.settled()
    found = [(one.outcome, one.fault, one.error_code, one.agreement) for one in scene.observed if one.mirror]
    assert found == [("ok", False, "", 1.0), ("error", True, "worker_lost", None)]
    assert len(scene.completed) == 2


def _started(scene: Scene, work: Work) -> bool:
    found = [one for one in scene.front.gateway.relay.requests() if one.envelope == work.envelope]
    return bool(found and found[0].exchange.started)


async def test_a_worker_that_dies_before_the_first_byte_is_made_good_in_the_mirror_too(scene: Scene) -> None:
    await scene.say(SHADOW)
    task = scene.front.ask()
    _answer(await scene.double.next())
    assert (await task).status_code == 200
    lost = await scene.double.next()
    lost.accept(version=BAD)
    await until(lambda: bool(scene.front.gateway.relay.of_worker("w1")), what="the acceptance")
    scene.double.announce_loss()
    again = await scene.double.next()
    assert (again.envelope.request_id, again.envelope.retry) == (lost.envelope.request_id, 1)
    assert again.envelope.model == BAD
    _answer(again)
    await scene.settled()
    assert [one.outcome for one in scene.observed if one.mirror] == ["ok"]


async def test_a_mirrored_request_that_nobody_takes_says_nothing_of_the_candidate(scene: Scene) -> None:
    await scene.say(SHADOW)
    task = scene.front.ask()
    _answer(await scene.double.next())
    assert (await task).status_code == 200
    (await scene.double.next()).fail("queue_timeout")
    await scene.settled()
    assert [one.mirror for one in scene.observed] == [False]


@pytest.mark.parametrize("overrides", [{"mirror_at_once": 1}], indirect=True)
async def test_no_more_are_mirrored_at_once_than_may(scene: Scene) -> None:
    await scene.say(SHADOW)
    mirrored: list[Work] = []
    scene.double.on_work = lambda work: mirrored.append(work) if work.envelope.model == BAD else _answer(work)
    for _ in range(3):
        assert (await scene.front.post()).status_code == 200
    await until(lambda: bool(mirrored), what="the mirrored request")
    metrics = (await scene.front.http.get("/metrics")).text
    assert "llmos_gateway_mirrors_dropped_total 2.0" in metrics
    assert "llmos_gateway_mirrors_in_flight 1.0" in metrics
    _answer(mirrored[0])
    await scene.settled()
    assert (await scene.front.post()).status_code == 200
    await until(lambda: len(mirrored) == 2, what="the next one")
    _answer(mirrored[1])
    await scene.settled()


async def test_the_gateway_leaves_without_waiting_for_what_is_mirrored(
    nats: NatsServer, double: Double, tmp_path: Path
) -> None:
    settings = settings_for(nats, tmp_path, missed_beats=1_000, drain_timeout_s=600)
    async with asyncio.timeout(60):
        async with running(settings) as front:
            await until(lambda: front.gateway.bus.connected, what="the gateway's bus")
            scene = Scene(nats, front, double)
            await front.gateway.bus.flush()
            await scene.start()
            await scene.say(SHADOW)
            task = front.ask()
            _answer(await double.next())
            assert (await task).status_code == 200
            mirrored = await double.next()
            mirrored.accept(version=BAD)
            await until(lambda: bool(front.gateway.relay.of_worker("w1")), what="the acceptance")
        await until(lambda: mirrored.envelope.request_id in {one for one, _ in double.cancels}, what="the cancel")
        await scene.ears.flush()
        assert [one.mirror for one in scene.observed] == [False]
        await scene.stop()


async def test_a_version_that_goes_away_under_a_request_is_replaced_by_the_name(scene: Scene) -> None:
    await scene.say(EVERYBODY)
    refused = scene.front.ask()
    work = await scene.double.next()
    assert work.envelope.model == BAD
    work.fail("model_not_found")
    again = await scene.double.next()
    assert (again.envelope.model, again.envelope.request_id) == ("helpdesk", work.envelope.request_id)
    _answer(again)
    assert (await refused).json()["model"] == GOOD
    waiting = scene.front.ask()
    work = await scene.double.next()
    await scene.serve("helpdesk", GOOD)
    again = await scene.double.next()
    assert (again.envelope.model, again.envelope.request_id) == ("helpdesk", work.envelope.request_id)
    work.answer(said(BAD, "too late"), version=BAD)
    _answer(again)
    assert (await waiting).json()["model"] == GOOD
    await scene.settled()
    assert not scene.observed


async def test_splits_that_change_under_load_never_mix_two_versions(scene: Scene) -> None:
    def stream(work: Work) -> None:
        version = version_of(work)
        work.accept(version=version)
        for part in range(3):
            chunk = b'data: {"model":"%b"}\n\n' % version.encode()
            work.more(chunk) if part else work.head(chunk)
        work.last(b"data: [DONE]\n\n")

    scene.double.on_work = stream
    await scene.say(SPLIT)
    seen: set[str] = set()

    async def ask(user: int) -> None:
        for turn in range(10):
            scene.tell(*(() if turn == 5 else (msgspec.structs.replace(SPLIT, share=turn / 10, shadow=turn == 7),)))
            answer = await scene.front.post(body=CHAT | {"stream": True, "user": f"u{user}"})
            versions = {line for line in answer.text.split("\n") if line.startswith("data: {")}
            assert versions == {f'data: {{"model":"{answer.headers["x-llmos-model-version"]}"}}'}
            assert answer.text.count("data: {") == 3
            seen.add(answer.headers["x-llmos-model-version"])

    await asyncio.gather(*(ask(user) for user in range(16)))
    assert seen == {GOOD, BAD}
    await scene.settled()
    shown = {one.request_id: one.model_version for one in scene.completed}
    assert len(shown) == 160
    for one in scene.observed:
        assert one.model_version == (BAD if one.arm == "candidate" else GOOD)
        assert one.mirror == (one.request_id not in shown)


async def test_nobody_divides_when_the_speaker_falls_silent(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.double.on_work = _answer
    await scene.say(EVERYBODY)
    assert (await scene.front.post()).json()["model"] == BAD
    monkeypatch.setattr("services.gateway.splits.TTL_S", 0.0)
    scene.double.on_work = None
    task = scene.front.ask()
    work = await scene.double.next()
    assert work.envelope.model == "helpdesk"
    _answer(work)
    assert (await task).json()["model"] == GOOD
