"""A worker that follows its pool's deployment: what it serves, what it says of it, and what goes wrong."""

import asyncio
from pathlib import Path

import pytest

from libs.contracts import subjects
from libs.contracts.frames import Flag
from libs.contracts.inference import Handover, WorkerState
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from libs.testkit.worker_double import chat, envelope
from services.inference import app, deployment
from services.inference.app import REPLACE
from tests.integration.inference.following import Stage, said, staged, version_of


async def test_it_waits_for_a_deployment_then_serves_base_adapters_and_names(stage: Stage) -> None:
    stage.start()
    base = stage.base("one")
    polite = stage.adapter("polite", base)
    await asyncio.sleep(0)
    assert not stage.orders
    revision = stage.registry.deploy(
        base.stored,
        polite.stored,
        names={"helpdesk": base.stored, "helpdesk@champion": base.stored, "polite": polite.stored},
        engine_args=("--some-flag",),
    )
    beat = await stage.beat(revision)
    assert (beat.base, beat.deployment_error, beat.state) == (base.name, "", WorkerState.READY)
    assert [(model.name, model.version, model.adapter) for model in beat.models] == [
        (base.name, base.name, False),
        (polite.name, polite.name, True),
        ("helpdesk", base.name, False),
        ("helpdesk@champion", base.name, False),
        ("polite", polite.name, True),
    ]
    for name, made in (("helpdesk", base), (base.name, base), ("polite", polite), (polite.name, polite)):
        answer = await stage.ask(name)
        assert (said(answer), version_of(answer)) == (made.text(), made.name)
    order = stage.orders[0]
    assert (order.reference, order.engine_args) == (base.name, ("--some-flag",))
    assert order.adapters is not None
    refused = await stage.double.hand_over(stage.worker, envelope(model="polite@champion"), chat())
    assert refused == Handover(accepted=False, reason="unknown_model")


async def test_an_alias_that_moves_leaves_running_requests_on_their_version(stage: Stage) -> None:
    base = stage.base("one")
    old, new = stage.adapter("old", base), stage.adapter("new", base)
    stage.registry.deploy(base.stored, old.stored, names={"polite": old.stored})
    stage.start()
    await stage.offers(base.name, old.name, "polite")
    running = await stage.begin("polite", stream=True, max_tokens=40, user="pace-10ms")
    await stage.double.frames(running, 3)
    revision = stage.registry.deploy(base.stored, new.stored, names={"polite": new.stored})
    await stage.beat(revision)
    await stage.offers(base.name, new.name, "polite")
    assert stage.engine is not None
    assert old.name in stage.engine.weights, "it is still in use"
    after = await stage.ask("polite")
    assert (said(after), version_of(after)) == (new.text(), new.name)
    answer = stage.double.answers[running]
    await until(lambda: answer.ended)
    assert answer.last.flags == Flag.LAST
    assert (said(answer), version_of(answer)) == (old.text(40), old.name)
    await until(lambda: stage.engine is not None and old.name not in stage.engine.weights)


async def test_a_name_stays_where_it_is_until_its_new_version_is_loaded(stage: Stage) -> None:
    base = stage.base("one")
    old, slow = stage.adapter("old", base), stage.adapter("slow", base, load_ms=300)
    stage.registry.deploy(base.stored, old.stored, names={"polite": old.stored})
    stage.start()
    await stage.offers(base.name, old.name, "polite")
    stage.double.beats.clear()
    revision = stage.registry.deploy(base.stored, old.stored, slow.stored, names={"polite": slow.stored})
    during = await stage.ask("polite")
    await stage.beat(revision)
    after = await stage.ask("polite")
    assert (version_of(during), version_of(after)) == (old.name, slow.name)
    for beat in stage.double.beats:
        versions = {model.name: model.version for model in beat.models}
        assert versions["polite"] == (slow.name if slow.name in versions else old.name)
        assert beat.missing == (() if slow.name in versions else (slow.name,)) or beat.revision < revision


async def test_what_leaves_the_deployment_is_not_offered_though_another_still_loads(stage: Stage) -> None:
    base = stage.base("one")
    bad, slow = stage.adapter("bad", base), stage.adapter("slow", base, load_ms=500)
    stage.registry.deploy(base.stored, bad.stored, names={"polite": bad.stored})
    stage.start()
    await stage.offers(base.name, bad.name, "polite")
    stage.registry.deploy(base.stored, slow.stored, names={"polite": slow.stored})
    await stage.offers(base.name)
    await stage.offers(base.name, slow.name, "polite")


async def test_an_adapter_that_fails_is_said_and_everything_else_goes_on(stage: Stage) -> None:
    base, other = stage.base("one"), stage.base("two")
    good, late = stage.adapter("good", base), stage.adapter("late", base)
    broken = stage.adapter("broken", base, fail="shapes do not fit")
    foreign = stage.adapter("foreign", other)
    first = stage.registry.deploy(base.stored, good.stored)
    stage.start()
    await stage.beat(first)
    second = stage.registry.deploy(base.stored, broken.stored, foreign.stored, good.stored, late.stored)
    beat = await stage.double.beat_where(
        lambda beat: (
            all(f"{made.name}: " in beat.deployment_error for made in (broken, foreign))
            and late.name not in beat.missing
        )
    )
    await stage.offers(base.name, good.name, late.name)
    assert (beat.revision, set(beat.missing)) == (second, {broken.name, foreign.name})
    assert f"{broken.name}: shapes do not fit" in beat.deployment_error
    assert f"{foreign.name} is no adapter of {base.name}" in beat.deployment_error
    assert said(await stage.ask(late.name)) == late.text()
    mended = stage.registry.deploy(base.stored, good.stored, late.stored)
    beat = await stage.beat(mended)
    assert beat.deployment_error == ""


async def test_an_adapter_whose_bytes_stall_holds_up_no_other(stage: Stage) -> None:
    base = stage.base("one")
    stuck, good = stage.adapter("stuck", base), stage.adapter("good", base)
    stage.registry.deploy(base.stored)
    stage.start()
    await stage.offers(base.name)
    stage.store.faults = ["stall"] * 100
    stage.registry.deploy(base.stored, stuck.stored)
    await until(lambda: 100 - len(stage.store.faults) >= 1, what="the fetch of what stalls")
    stage.store.faults = []
    revision = stage.registry.deploy(base.stored, stuck.stored, good.stored, names={"polite": good.stored})
    beat = await stage.offers(base.name, good.name, "polite")
    assert (beat.revision, beat.missing, beat.deployment_error) == (revision, (stuck.name,), "")
    assert said(await stage.ask("polite")) == good.text()
    stage.store.closing.set()
    await stage.beat(revision)
    assert said(await stage.ask(stuck.name)) == stuck.text()


async def test_an_adapter_whose_bytes_cannot_be_had_comes_when_they_can(stage: Stage) -> None:
    base = stage.base("one")
    polite = stage.adapter("polite", base)
    stage.registry.deploy(base.stored)
    stage.start()
    await stage.offers(base.name)
    stage.registry.fault = "storage_unavailable"
    revision = stage.registry.deploy(base.stored, polite.stored)
    beat = await stage.double.beat_where(lambda beat: bool(beat.deployment_error))
    assert "storage_unavailable" in beat.deployment_error
    stage.registry.fault = ""
    beat = await stage.beat(revision)
    assert beat.deployment_error == ""
    assert said(await stage.ask(polite.name)) == polite.text()


async def test_a_store_that_stalls_delays_neither_the_start_nor_the_drain(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_SETTLE_S", 0.2)
    base = stage.base("one")
    polite = stage.adapter("polite", base)
    stage.store.faults = ["", "stall"]
    stage.registry.deploy(base.stored, polite.stored, names={"helpdesk": base.stored})
    stage.start()
    await stage.offers(base.name, "helpdesk")
    running = await stage.begin("helpdesk", stream=True, max_tokens=20, user="pace-10ms")
    assert stage.app is not None
    stage.app.terminate()
    await stage.double.beat_where(lambda beat: beat.state is WorkerState.STOPPED, timeout_s=3)
    assert said(stage.double.answers[running]) == base.text(20)
    stage.store.closing.set()
    assert await stage.end() == 0


async def test_older_revisions_are_ignored(stage: Stage) -> None:
    base = stage.base("one")
    polite = stage.adapter("polite", base)
    stage.registry.deploy(base.stored)
    old = stage.registry.deployment
    assert old is not None
    revision = stage.registry.deploy(base.stored, polite.stored)
    stage.start()
    await stage.beat(revision)
    stage.registry.put(old)
    await stage.registry.bus.flush()
    stage.double.beats.clear()
    stage.double.report()
    await until(lambda: len(stage.double.beats) >= 2, what="a beat after the old deployment has come")
    await stage.offers(base.name, polite.name)
    assert said(await stage.ask(polite.name)) == polite.text()


async def test_a_change_that_was_missed_while_the_bus_was_away_is_found(
    private_nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "_READ_S", 3_600.0)
    monkeypatch.setattr(deployment.Follower, "_on_change", lambda *_: None)
    async with staged(private_nats, tmp_path) as stage:
        base = stage.base("one")
        polite = stage.adapter("polite", base)
        stage.registry.deploy(base.stored)
        stage.start()
        await stage.offers(base.name)
        revision = stage.registry.deploy(base.stored, polite.stored)
        await stage.registry.bus.flush()
        private_nats.kill()
        await until(lambda: not stage.registry.bus.connected and not stage.double.scheduler.connected)
        private_nats.start()
        await stage.beat(revision)
        assert said(await stage.ask(polite.name)) == polite.text()


async def test_a_new_base_waits_for_the_order_and_is_fetched_before_the_drain(stage: Stage) -> None:
    old, new = stage.base("one"), stage.base("two")
    polite = stage.adapter("polite", new)
    first = stage.registry.deploy(old.stored, names={"helpdesk": old.stored})
    stage.start()
    await stage.beat(first)
    stage.registry.deploy(new.stored, polite.stored, names={"helpdesk": new.stored})
    stage.registry.reload("w-other")
    answer = await stage.ask("helpdesk")
    assert version_of(answer) == old.name
    assert len(stage.store.served) == 1, "nothing is fetched before the order"
    stage.store.gate.clear()
    stage.registry.reload(stage.worker)
    await until(lambda: len(stage.store.served) == 2)
    during = await stage.ask("helpdesk")
    assert version_of(during) == old.name, "it serves while it fetches"
    running = await stage.begin("helpdesk", stream=True, max_tokens=20, user="pace-10ms")
    stage.store.gate.set()
    assert stage.life is not None
    assert await asyncio.wait_for(stage.life, 10) == REPLACE
    await until(lambda: stage.double.answers[running].ended)
    assert said(stage.double.answers[running]) == old.text(20)
    states = [beat.state for beat in stage.double.beats if beat.worker == stage.worker]
    assert states[-2:] == [WorkerState.DRAINING, WorkerState.STOPPED]
    before = len(stage.store.served)
    stage.start()
    beat = await stage.beat(2)
    assert (beat.base, len(stage.store.served)) == (new.name, before), "base and adapter were in the cache"
    assert said(await stage.ask("helpdesk")) == new.text()


async def test_a_reload_without_a_new_base_is_ignored(stage: Stage) -> None:
    base = stage.base("one")
    revision = stage.registry.deploy(base.stored)
    stage.start()
    await stage.beat(revision)
    stage.registry.reload(stage.worker)
    revision = stage.registry.deploy(base.stored, names={"helpdesk": base.stored})
    await stage.beat(revision)
    assert said(await stage.ask("helpdesk")) == base.text()


async def test_a_base_that_cannot_be_fetched_does_not_stop_the_old_one(stage: Stage) -> None:
    old, new = stage.base("one"), stage.base("two")
    stage.registry.deploy(old.stored, names={"helpdesk": old.stored})
    stage.start()
    await stage.beat(1)
    stage.registry.fault = "storage_unavailable"
    stage.registry.deploy(new.stored, names={"helpdesk": new.stored})
    stage.registry.reload(stage.worker)
    beat = await stage.double.beat_where(lambda beat: bool(beat.deployment_error))
    assert new.name in beat.deployment_error
    assert version_of(await stage.ask("helpdesk")) == old.name
    stage.registry.fault = ""
    assert stage.life is not None
    assert await asyncio.wait_for(stage.life, 15) == REPLACE


async def test_told_to_end_while_it_reloads_a_worker_ends(stage: Stage) -> None:
    old, new = stage.base("one"), stage.base("two")
    stage.registry.deploy(old.stored, names={"helpdesk": old.stored})
    stage.start()
    await stage.beat(1)
    running = await stage.begin("helpdesk", stream=True, max_tokens=30, user="pace-10ms")
    stage.registry.deploy(new.stored)
    stage.registry.reload(stage.worker)
    await stage.double.beat_where(lambda beat: beat.state is WorkerState.DRAINING)
    assert await stage.end() == 0
    await until(lambda: stage.double.answers[running].ended)
    assert said(stage.double.answers[running]) == old.text(30)


async def test_an_unreadable_deployment_is_ignored(stage: Stage) -> None:
    base = stage.base("one")
    stage.registry.deploy(base.stored)
    stage.start()
    await stage.beat(1)
    stage.registry.bus.publish(subjects.deployment(stage.registry.pool), b"{")
    revision = stage.registry.deploy(base.stored, names={"helpdesk": base.stored})
    await stage.beat(revision)
