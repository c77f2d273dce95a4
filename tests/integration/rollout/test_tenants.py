"""Nothing of one tenant is there for another, whatever route it asks by; on all services that own something."""

from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from libs.contracts.permissions import Role
from libs.testkit.door import FOREIGN, OWN, add_keys
from libs.testkit.front import Front, running, settings_for
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutGround
from services.gateway.routes.endpoints import Endpoint
from tests.integration.rollout.loop_platform import Platform, platform_of
from tests.integration.rollout.tenants_walk import NASTY, Belongings, ask, walked
from tests.integration.rollout.world import World

TAKEN: Final = frozenset({"upload_begin", "loop_apply"})
"""Names are the platform's: that one is taken cannot be hidden from whoever wants it."""

ANSWERED: Final = frozenset({"deployment_show", "alias_list"})
"""Of a pool that many share, and of a name that nobody may have: without what is another tenant's."""


@pytest_asyncio.fixture(loop_scope="session")
async def platform(ground: RolloutGround, models: RegistryDesk, around: World) -> AsyncIterator[Platform]:
    async with (
        platform_of(ground, models, around) as whole,
        whole.feedbacks.feedback(build_s=0.1),
        whole.trainers.trainer(**whole.trainer_settings()),
        ground.service(),
    ):
        yield whole


@pytest_asyncio.fixture(loop_scope="session")
async def front(platform: Platform) -> AsyncIterator[Front]:
    async with running(settings_for(platform.ground.nats, platform.ground.directory, identity=True)) as front:
        add_keys(front.gateway)
        yield front


async def test_nothing_of_one_tenant_is_there_for_another(platform: Platform, front: Front) -> None:
    own = Belongings(front, platform)
    await own.gather()
    leaks = [said for endpoint in walked() if (said := await _leak(own, endpoint))]
    assert not leaks, "\n".join(leaks)
    await _as_it_was(own)
    await _nonsense_breaks_nothing(own)


async def _leak(own: Belongings, endpoint: Endpoint) -> str:
    """What `FOREIGN` was answered that it should not be; empty if nothing."""
    path, body = own.path(endpoint), own.body(endpoint)
    answer = await ask(own.front, Role.ADMIN, FOREIGN, endpoint.method, path, body)
    if endpoint.operation in TAKEN:
        right = answer.status_code == 409
    elif endpoint.operation in ANSWERED or (endpoint.method == "GET" and "{" not in endpoint.path):
        ids = (*own.ids.values(), *(version.digest[:12] for version in own.versions))
        right = answer.status_code in (200, 404) and not any(ident in answer.text for ident in ids)
    else:
        right = answer.status_code == 404
    if endpoint.method == "GET":
        # And to whom it belongs, it is there.
        right = right and (await ask(own.front, Role.ADMIN, OWN, "GET", path)).status_code == 200
    return "" if right else f"{endpoint.method} {path}: {answer.status_code} {answer.text[:300]}"


async def _as_it_was(own: Belongings) -> None:
    """Nobody has changed anything of it."""
    alias = await own.made("GET", "/models/acme-model/aliases/champion")
    assert alias["digest"] == own.versions[0].digest
    await _all_there(own)
    for kind, state in (("jobs", "cancelled"), ("turns", "cancelled"), ("rollouts", "aborted")):
        (found,) = (await own.made("GET", f"/{kind}"))[kind][-1:]
        assert found["state"] != state, found
        assert "other" not in str(found.get("author")), found
    assert (await own.made("GET", f"/interactions/{own.ids['interaction']}"))["signals"]


async def _nonsense_breaks_nothing(own: Belongings) -> None:
    """Injections in every field of every path, and in the search of every list."""
    broken = []
    for endpoint in walked():
        for nasty in NASTY:
            path = _with(endpoint, nasty)
            if not path:
                continue
            answer = await ask(own.front, Role.ADMIN, OWN, endpoint.method, path, own.body(endpoint))
            if not 200 <= answer.status_code < 500 or "set-cookie" in answer.headers:
                broken.append(f"{endpoint.method} {path[:80]}: {answer.status_code} {answer.text[:200]}")
    assert not broken, "\n".join(broken)
    await _all_there(own)


def _with(endpoint: Endpoint, nasty: str) -> str:
    """The path with nonsense wherever something can be said; empty where nothing can."""
    values = dict.fromkeys(("name", "alias", "reference", "pool", "upload_id", "id"), nasty)
    if "{" in endpoint.path:
        return endpoint.path.format(**values)
    if endpoint.query is None:
        return ""
    return f"{endpoint.path}?" + "&".join(f"{name}={nasty}" for name in endpoint.query.__struct_fields__[:3])


async def _all_there(own: Belongings) -> None:
    shown = (await own.made("GET", "/versions?name=acme-model"))["versions"]
    assert {version.reference for version in own.versions} <= {one["reference"] for one in shown}
