"""Deployments through real servers: what lands in the bucket, how aliases, adapters and bases move under workers."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.contracts.registry import (
    Deploy,
    Deployment,
    DeploymentStatus,
    FindDeployments,
    Kind,
    PoolName,
    SetAlias,
    Version,
)
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.testkit.models import write_adapter, write_model
from libs.testkit.registry import RegistryDesk, RegistryGround, registry_process
from libs.testkit.wait import until
from tests.integration.registry.followers import followers


async def _alias(desk: RegistryDesk, version: Version, alias: str = "champion") -> None:
    target = full_reference(version.name, version.digest)
    await desk.call("alias_set", SetAlias(name=version.name, alias=alias, target=target, author="ann"))


async def _deploy(desk: RegistryDesk, base: Version, **more: object) -> DeploymentStatus:
    request = Deploy(pool="default", base=full_reference(base.name, base.digest), author="ann", **more)  # type: ignore[arg-type]
    status = await desk.call("deployment_declare", request)
    assert isinstance(status, DeploymentStatus)
    return status


async def _adapter(desk: RegistryDesk, base: Version, directory: Path, seed: int) -> Version:
    written = write_adapter(directory / f"a{seed}", seed)
    return await desk.publish(written, base.name, Kind.ADAPTER, base=full_reference(base.name, base.digest))


async def _show(desk: RegistryDesk) -> DeploymentStatus:
    status = await desk.call("deployment_show", PoolName("default"))
    assert isinstance(status, DeploymentStatus)
    return status


async def test_what_is_declared_lands_in_the_bucket(ground: RegistryGround, desk: RegistryDesk, model: Path) -> None:
    with pytest.raises(ServiceError, match="Nothing is deployed"):
        await _show(desk)
    base = await desk.publish(model, "helpdesk")
    await _alias(desk, base)
    async with followers(ground.nats, "w0") as workers:
        status = await _deploy(desk, base, expected_generation=0, engine_args=("--x",))
        assert status.deployment.generation == 1
        await until(lambda: workers.now is not None)
        assert workers.now == status.deployment
        assert workers.now.names == {"helpdesk": base.reference, "helpdesk@champion": base.reference}
        with pytest.raises(ServiceError) as caught:
            await _deploy(desk, base, expected_generation=7)
        assert caught.value.code == "conflict"
        shown = await _shown(desk, lambda status: [one.revision for one in status.workers] == [1])
        assert [(one.name, one.state, one.models) for one in shown.workers] == [("w0", "ready", (base.reference,))]
        assert (await desk.call("deployment_list", FindDeployments())).deployments == (shown,)


async def test_an_alias_follows_when_every_worker_has_the_adapter(
    ground: RegistryGround, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    await _alias(desk, base)
    first = await _adapter(desk, base, tmp_path, 1)
    async with followers(ground.nats, "w0", "w1") as workers:
        await _deploy(desk, base)
        await until(lambda: all(one.revision == 1 for one in workers.workers))
        slow = workers.workers[1]
        slow.obeys = False
        await _alias(desk, first)
        await until(lambda: workers.workers[0].revision == 2)
        await until(lambda: workers.workers[0].loaded == {first.reference})
        told = workers.now
        assert told is not None
        assert told.names["helpdesk"] == base.reference
        assert told.desired_aliases == {"helpdesk@champion": first.reference}

        slow.obeys = True
        await until(lambda: _name(workers.now) == first.reference)
        second = await _adapter(desk, base, tmp_path, 2)
        await _alias(desk, second)
        await until(lambda: _name(workers.now) == second.reference)
        await until(lambda: workers.now is not None and len(workers.now.adapters) == 1)
        for earlier, later in zip(workers.told, workers.told[1:], strict=False):
            known = {version.reference for version in (earlier.base, *earlier.adapters)}
            assert set(later.names.values()) <= known, "a name moved to what nobody was told to load before"


async def _shown(desk: RegistryDesk, condition: Callable[[DeploymentStatus], bool]) -> DeploymentStatus:
    """The status, as soon as it fulfils the condition."""
    async with asyncio.timeout(15):
        while not condition(status := await _show(desk)):  # noqa: ASYNC110 - it is asked over the bus
            await asyncio.sleep(0.02)
    return status


def _name(deployment: Deployment | None, name: str = "helpdesk") -> str:
    return deployment.names.get(name, "") if deployment else ""


async def test_a_worker_that_cannot_load_keeps_the_name_where_it_is(
    ground: RegistryGround, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    await _alias(desk, base)
    broken = await _adapter(desk, base, tmp_path, 1)
    async with followers(ground.nats, "w0") as workers:
        await _deploy(desk, base)
        await until(lambda: workers.workers[0].revision == 1)
        workers.workers[0].cannot_load = {broken.reference}
        await _alias(desk, broken)
        await until(lambda: workers.workers[0].revision == 2)
        status = await _shown(desk, lambda status: [one.missing for one in status.workers] == [(broken.reference,)])
        assert status.workers[0].error == f"{broken.reference}: no room"
        assert status.deployment.names["helpdesk"] == base.reference


async def test_an_adapter_that_no_worker_can_load_holds_up_no_other_name(
    ground: RegistryGround, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    broken, good = [await _adapter(desk, base, tmp_path, seed) for seed in (1, 2)]
    async with followers(ground.nats, "w0", "w1") as workers:
        workers.workers[1].cannot_load = {broken.reference}
        await _deploy(desk, base)
        await _alias(desk, base, "stable")
        await _alias(desk, broken)
        await _shown(desk, lambda status: (broken.reference,) in [one.missing for one in status.workers])
        await _alias(desk, good, "stable")
        status = await _shown(desk, lambda status: _name(status.deployment, "helpdesk@stable") == good.reference)
        assert status.deployment.desired_aliases == {"helpdesk@champion": broken.reference}
        assert status.deployment.names["helpdesk"] == base.reference
        workers.workers[1].cannot_load = set()
        await _shown(desk, lambda status: _name(status.deployment) == broken.reference)


async def test_a_name_that_follows_its_alias_fails_nobodys_compare_and_swap(
    ground: RegistryGround, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    adapter = await _adapter(desk, base, tmp_path, 1)
    async with followers(ground.nats, "w0"):
        seen = (await _deploy(desk, base)).deployment
        await _alias(desk, adapter)
        moved = await _shown(desk, lambda status: _name(status.deployment) == adapter.reference)
        assert moved.deployment.generation == seen.generation == 1
        assert moved.deployment.revision > seen.revision
        same = await _deploy(desk, base, expected_generation=seen.generation)
        assert same.deployment.generation == seen.generation, "it is the same declaration"
        other = await _deploy(desk, base, expected_generation=seen.generation, replicas=2)
        assert other.deployment.generation == seen.generation + 1
        with pytest.raises(ServiceError) as caught:
            await _deploy(desk, base, expected_generation=seen.generation, replicas=3)
        assert caught.value.code == "conflict"


async def test_without_living_workers_an_alias_moves_at_once_when_the_silence_can_be_believed(
    desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    adapter = await _adapter(desk, base, tmp_path, 1)
    await _alias(desk, adapter)
    await _deploy(desk, base)
    shown = await _shown(desk, lambda status: _name(status.deployment) == adapter.reference)
    assert [one.reference for one in shown.deployment.adapters] == [adapter.reference]


async def test_a_new_base_rolls_one_worker_at_a_time_even_across_a_kill(ground: RegistryGround, tmp_path: Path) -> None:
    async with (
        registry_process(ground, roll_timeout_s=30) as process,
        ground.desk() as desk,
        followers(ground.nats, "w0", "w1", "w2") as workers,
    ):
        old, new = [await desk.publish(write_model(tmp_path / str(n), n), "helpdesk") for n in range(2)]
        await _alias(desk, old)
        await _deploy(desk, old)
        await until(lambda: all(one.revision == 1 for one in workers.workers))
        await _alias(desk, new)
        await _deploy(desk, new)
        await until(lambda: len(workers.reloads) == 1)
        await process.end(signal.SIGKILL)
        await process.start()
        for count in (1, 2, 3):
            await until(lambda count=count: len(workers.reloads) == count, timeout_s=20)  # type: ignore[misc]
            assert len({*workers.reloads}) == count, "a worker was asked twice"
            workers.restart(workers.reloads[-1])
        await until(lambda: all(one.base == new.reference and one.revision for one in workers.workers))
        assert workers.fewest_ready == 2
        status = await _shown(desk, lambda status: not status.error and len(status.workers) == 3)
        assert status.deployment.names["helpdesk"] == new.reference


async def test_a_worker_that_does_not_come_back_stops_the_roll_and_is_reported(
    ground: RegistryGround, tmp_path: Path
) -> None:
    async with (
        ground.registry(roll_timeout_s=0.5),
        ground.registry(roll_timeout_s=0.5),
        ground.desk() as desk,
        followers(ground.nats, "w0", "w1") as workers,
    ):
        old, new = [await desk.publish(write_model(tmp_path / str(n), n), "helpdesk") for n in range(2)]
        await _deploy(desk, old)
        await until(lambda: all(one.revision == 1 for one in workers.workers))
        await _deploy(desk, new)
        status = await _shown(desk, lambda status: bool(status.error))
        assert workers.reloads[0] in status.error
        assert len(set(workers.reloads)) == 1
        workers.restart(workers.reloads[0])
        await until(lambda: len(set(workers.reloads)) == 2)
        workers.restart(workers.reloads[-1])
        await _shown(desk, lambda status: not status.error)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"base": "helpdesk@9"}, "version_not_found"),
        ({"base": "helpdesk@2"}, "incompatible_base"),
        ({"adapters": ("helpdesk@1",)}, "incompatible_base"),
        ({"pool": "a.b"}, "invalid_value"),
        ({"replicas": 0}, "invalid_value"),
        ({"engine_args": ("\0",)}, "invalid_value"),
    ],
)
async def test_what_cannot_be_served_is_refused(
    what: dict[str, object], code: str, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    base = await desk.publish(model, "helpdesk")
    await _adapter(desk, base, tmp_path, 1)
    request = {"pool": "default", "base": "helpdesk@1", "author": "ann", **what}
    with pytest.raises(ServiceError) as caught:
        await desk.call("deployment_declare", Deploy(**request))  # type: ignore[arg-type]
    assert caught.value.code == code
    assert (await desk.call("deployment_list", FindDeployments())).deployments == ()
