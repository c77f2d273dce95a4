"""Deployments that are changed in part: what is not named stays, and nobody's change undoes another's."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from libs.contracts.registry import AdjustDeployment, Deploy, Deployment, DeploymentStatus, Kind, PoolName, SetAlias
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.testkit.models import write_adapter, write_model
from libs.testkit.registry import RegistryDesk
from libs.testkit.wait import eventually
from services.registry.app import Registry
from services.registry.service.adjusting import Adjusting


@dataclass
class Pool:
    """A pool that serves `helpdesk@1` with the adapter `tone@1`; `tone@2` to `tone@4` are there, too."""

    desk: RegistryDesk
    tones: list[str]
    """References, oldest first."""

    async def adjust(self, **what: object) -> Deployment:
        """Change it."""
        wanted = AdjustDeployment(pool="default", author="bob", **what)  # type: ignore[arg-type]
        status = await self.desk.call("deployment_adjust", wanted)
        assert isinstance(status, DeploymentStatus)
        return status.deployment

    async def now(self) -> Deployment:
        """What is declared."""
        status = await self.desk.call("deployment_show", PoolName("default"))
        assert isinstance(status, DeploymentStatus)
        return status.deployment

    async def serves(self, *numbers: int) -> None:
        """Return when these adapters alone are loaded: what is not asked for stays for a grace."""

        async def there() -> bool | None:
            return _adapters(await self.now()) == self.references(*numbers) or None

        await eventually(there, what=f"the adapters {numbers}")

    def references(self, *numbers: int) -> set[str]:
        """Of adapters, by their numbers."""
        return {self.tones[number - 1] for number in numbers}


def _adapters(deployment: Deployment) -> set[str]:
    return {version.reference for version in deployment.adapters}


@pytest_asyncio.fixture(loop_scope="session")
async def pool(registry: Registry, desk: RegistryDesk, model: Path, tmp_path: Path) -> Pool:
    assert registry.instance
    base = await desk.publish(model, "helpdesk")
    whole, tones = full_reference(base.name, base.digest), []
    for number in range(1, 5):
        written = write_adapter(tmp_path / f"tone{number}", number)
        tones.append((await desk.publish(written, "tone", Kind.ADAPTER, base=whole)).reference)
    wanted = Deploy(
        pool="default", base="helpdesk@1", author="ann", adapters=("tone@1",), engine_args=("--x",), replicas=2
    )
    await desk.call("deployment_declare", wanted)
    return Pool(desk, tones)


async def test_what_is_not_named_stays_as_it_was(pool: Pool) -> None:
    before = await pool.now()
    added = await pool.adjust(add_adapters=("tone@2",))
    assert _adapters(added) == pool.references(1, 2)
    assert (added.base, added.engine_args, added.replicas) == (before.base, ("--x",), 2)
    assert added.generation == before.generation + 1
    scaled = await pool.adjust(replicas=5)
    assert (scaled.replicas, _adapters(scaled)) == (5, pool.references(1, 2))
    bare = await pool.adjust(engine_args=())
    assert (bare.engine_args, bare.replicas) == ((), 5)


async def test_a_change_that_names_nothing_is_refused(pool: Pool) -> None:
    before = await pool.now()
    for expected in (None, before.generation):
        with pytest.raises(ServiceError) as caught:
            await pool.adjust(expected_generation=expected)
        assert caught.value.code == "missing_field"


async def test_one_is_dropped_and_another_added_at_once_and_a_repeat_changes_nothing(pool: Pool) -> None:
    change = {"add_adapters": ("tone@2", "tone@2"), "drop_adapters": ("tone@1",)}
    changed = await pool.adjust(**change)
    assert pool.references(2) <= _adapters(changed)
    assert (await pool.adjust(**change)).generation == changed.generation
    await pool.serves(2)


async def test_what_an_alias_points_to_stays_loaded_while_its_name_is_asked_for(pool: Pool) -> None:
    await pool.desk.call("alias_set", SetAlias(name="tone", alias="champion", target="tone@1", author="ann"))
    await pool.adjust(add_adapters=("tone@2", "tone@3"))
    await pool.adjust(drop_adapters=("tone@champion", "tone@2"))
    await pool.serves(1, 3)
    await pool.adjust(drop_adapters=("tone@3",))
    await pool.serves()


async def test_changes_at_the_same_time_all_count(pool: Pool) -> None:
    dropped = [pool.adjust(drop_adapters=("tone@1",), replicas=3) for _ in range(8)]
    added = [pool.adjust(add_adapters=(f"tone@{number}",)) for number in (2, 3, 4) for _ in range(4)]
    await asyncio.gather(*dropped, *added)
    assert (await pool.now()).replicas == 3
    await pool.serves(2, 3, 4)


async def test_processes_do_not_undo_each_others_changes(pool: Pool, registry: Registry) -> None:
    async def in_a_process_of_its_own(number: int) -> None:
        adjusting = Adjusting(deployments=registry.deployments)
        await adjusting.adjust(AdjustDeployment(pool="default", author="bob", drop_adapters=("tone@1",)))
        await adjusting.adjust(AdjustDeployment(pool="default", author="bob", add_adapters=(f"tone@{number}",)))

    await asyncio.gather(*(in_a_process_of_its_own(number) for number in (2, 3, 4)))
    await pool.serves(2, 3, 4)


async def test_who_names_a_generation_changes_only_that(pool: Pool) -> None:
    before = await pool.now()
    await pool.adjust(replicas=3, expected_generation=before.generation)
    with pytest.raises(ServiceError) as caught:
        await pool.adjust(replicas=4, expected_generation=before.generation)
    assert caught.value.code == "conflict"
    assert (await pool.now()).replicas == 3


@pytest.mark.parametrize(
    ("what", "code", "param"),
    [
        ({"base": "helpdesk@9"}, "version_not_found", "base"),
        ({"base": "other@1"}, "incompatible_base", "base"),
        ({"add_adapters": ("helpdesk@1",)}, "incompatible_base", "add_adapters"),
        ({"add_adapters": ("tone@9",)}, "version_not_found", "add_adapters"),
        ({"drop_adapters": ("tone@9",)}, "version_not_found", "drop_adapters"),
        ({"replicas": 0}, "invalid_value", "replicas"),
        ({"engine_args": ("\0",)}, "invalid_value", "engine_args"),
    ],
)
async def test_what_cannot_be_served_changes_nothing(
    what: dict[str, object], code: str, param: str, pool: Pool, tmp_path: Path
) -> None:
    await pool.desk.publish(write_model(tmp_path / "other", 7), "other")
    before = await pool.now()
    with pytest.raises(ServiceError) as caught:
        await pool.adjust(**what)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert await pool.now() == before


async def test_another_base_takes_the_adapters_only_if_they_are_its_own(pool: Pool, tmp_path: Path) -> None:
    await pool.desk.publish(write_model(tmp_path / "other", 7), "other")
    changed = await pool.adjust(base="other@1", drop_adapters=("tone@1",))
    assert changed.base.reference.startswith("other@")
    assert (changed.engine_args, changed.replicas) == (("--x",), 2)


async def test_a_pool_of_which_nothing_was_declared_cannot_be_changed(registry: Registry, desk: RegistryDesk) -> None:
    assert registry.instance
    for name in ("elsewhere", "a.b"):
        with pytest.raises(ServiceError) as caught:
            await desk.call("deployment_adjust", AdjustDeployment(pool=name, author="bob", replicas=2))
        assert (caught.value.code, caught.value.param) == ("not_found", "pool")
