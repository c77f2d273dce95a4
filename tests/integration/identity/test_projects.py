"""Projects share limits with their keys, are closed with them, and announce what becomes of them."""

from datetime import date
from typing import Any

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.identity import (
    ChangeProject,
    CreateOrganisation,
    CreateProject,
    FindOrganisations,
    FindProjects,
    FindUsage,
    KeyChanged,
    Limits,
    OrganisationPage,
    Project,
    ProjectChanged,
    ProjectPage,
    ProjectRef,
    UsageReport,
    UsageRow,
    Used,
)
from libs.contracts.topology import EVT_IDENTITY
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.testkit.identity import IdentityDesk, IdentityGround
from libs.testkit.streams import stream_messages
from libs.testkit.wait import eventually
from services.identity.repository import usage


async def change(desk: IdentityDesk, name: str = "shop", **more: Any) -> Project:
    changed: Project = await desk.call("project_change", ChangeProject(name=name, author="ann", **more))
    return changed


async def test_the_keys_of_a_closed_project_are_accepted_no_more_until_it_is_open_again(desk: IdentityDesk) -> None:
    await desk.project("shop")
    await desk.project("farm")
    ours = {(await desk.key("shop")).key.id for _ in range(3)}
    other = (await desk.key("farm")).key.id
    revoked = (await desk.key("shop")).key.id
    await desk.revoke(revoked)
    await desk.catch_up()

    closed = await change(desk, closed=True)

    assert closed.closed_ms
    await desk.catch_up()
    assert {record.id for record in desk.known.values() if record.is_revoked} == {*ours, revoked}
    assert [record.is_revoked for record in desk.known.values() if record.id == other] == [False]
    with pytest.raises(ServiceError, match="closed") as refusal:
        await desk.key("shop")
    assert refusal.value.code == "conflict"
    assert await change(desk, closed=True) == closed, "again changes nothing"

    await change(desk, closed=False)

    await desk.catch_up()
    assert {record.id for record in desk.known.values() if record.is_revoked} == {revoked}


async def test_new_limits_reach_whoever_knows_the_keys_of_the_project(desk: IdentityDesk) -> None:
    await desk.project(limits=Limits(concurrency=1))
    issued = await desk.key(limits=Limits(concurrency=7))
    await desk.catch_up()
    assert next(iter(desk.known.values())).tenant_limits == Limits(concurrency=1)

    changed = await change(desk, limits=Limits(tokens_per_minute=5), expected_revision=1)

    await desk.catch_up()
    record = next(iter(desk.known.values()))
    assert (record.id, record.limits, record.tenant_limits) == (
        issued.key.id,
        Limits(concurrency=7),
        Limits(tokens_per_minute=5),
    )
    assert changed.revision == 2
    with pytest.raises(ServiceError) as refusal:
        await change(desk, limits=Limits(), expected_revision=1)
    assert (refusal.value.code, refusal.value.param) == ("conflict", "revision")


async def test_a_new_title_is_nothing_that_gateways_must_know(desk: IdentityDesk) -> None:
    await desk.project()
    await desk.key()
    await desk.catch_up()
    before = desk.revision

    await change(desk, title="The shop")

    await desk.catch_up()
    assert desk.revision == before


async def test_the_same_again_makes_nothing_new_and_another_of_that_name_is_refused(desk: IdentityDesk) -> None:
    first = await desk.project(title="Shop")
    assert await desk.project(title="Shop") == first

    with pytest.raises(ServiceError) as refusal:
        await desk.project(title="Another shop")
    assert (refusal.value.code, refusal.value.param) == ("conflict", "name")
    with pytest.raises(ServiceError) as refusal:
        await desk.call("organisation_create", CreateOrganisation(name="acme", author="ann", title="Another"))
    assert (refusal.value.code, refusal.value.param) == ("conflict", "name")


async def test_a_tenant_sees_itself_alone(desk: IdentityDesk) -> None:
    await desk.project("shop")
    await desk.call("organisation_create", CreateOrganisation(name="bolt", author="ann"))
    await desk.call("project_create", CreateProject(name="farm", organisation="bolt", author="ann"))

    projects: ProjectPage = await desk.call("project_list", FindProjects(tenant="farm"))
    organisations: OrganisationPage = await desk.call("organisation_list", FindOrganisations(tenant="farm"))

    assert [project.name for project in projects.projects] == ["farm"]
    assert [organisation.name for organisation in organisations.organisations] == ["bolt"]
    with pytest.raises(ServiceError) as refusal:
        await desk.call("project_show", ProjectRef(name="shop", tenant="farm"))
    assert refusal.value.code == "not_found"


async def test_lists_have_pages(desk: IdentityDesk) -> None:
    names = [f"p{number}" for number in range(5)]
    for name in names:
        await desk.project(name)

    first: ProjectPage = await desk.call("project_list", FindProjects(limit=3, organisation="acme"))
    rest: ProjectPage = await desk.call("project_list", FindProjects(limit=3, after=first.next))

    assert [project.name for project in (*first.projects, *rest.projects)] == names
    assert (first.next, rest.next) == ("p2", "")


async def test_every_change_is_announced_in_order_and_nothing_else_is(
    ground: IdentityGround, desk: IdentityDesk
) -> None:
    await desk.project("told")
    issued = await desk.key("told")
    await change(desk, "told", limits=Limits(concurrency=2))
    await desk.revoke(issued.key.id)
    await change(desk, "told", closed=True)
    await change(desk, "told", closed=False)
    await change(desk, "told", closed=False)
    with pytest.raises(ServiceError):
        await desk.key("told", expires_ms=1)

    async def said() -> list[tuple[str, str]] | None:
        messages = await stream_messages(ground.nats, EVT_IDENTITY.name)
        found: list[tuple[str, str]] = []
        for message in messages:
            if message.subject == subjects.PROJECT_CHANGED:
                project = msgspec.json.decode(message.data or b"", type=ProjectChanged)
                found += [("project", project.change)] if project.project.name == "told" else []
            elif message.subject == subjects.KEY_CHANGED:
                key = msgspec.json.decode(message.data or b"", type=KeyChanged)
                found += [("key", key.change)] if key.key.tenant == "told" else []
        return found if len(found) >= 6 else None

    assert await eventually(said, timeout_s=30, what="six events") == [
        ("project", "created"),
        ("key", "created"),
        ("project", "changed"),
        ("key", "revoked"),
        ("project", "closed"),
        ("project", "opened"),
    ]


async def test_usage_adds_up_by_day_project_and_key(ground: IdentityGround, desk: IdentityDesk) -> None:
    database = Database(ground.database)
    first, second = date(2026, 11, 21), date(2026, 11, 22)
    async with database.begin() as connection:
        await usage.add(connection, first, [_used("shop", "k1", 1, 10), _used("shop", "k1", 2, 20)])
        await usage.add(connection, second, [_used("shop", "k1", 1, 5), _used("farm", "k2", 9, 90)])
    async with database.begin() as connection:
        await usage.add(connection, second, [_used("shop", "k1", 1, 5)])
        await usage.add(connection, second, [])
    await database.close()

    everything = await _report(desk)
    ours = await _report(desk, tenant="shop", since_day="2026-11-22")
    one = await _report(desk, key="k2")
    first_page: UsageReport = await desk.call("usage", FindUsage(limit=2))
    second_page: UsageReport = await desk.call("usage", FindUsage(limit=2, after=first_page.next))

    assert [(row.day, row.tenant, row.requests, row.tokens) for row in everything] == [
        ("2026-11-21", "shop", 3, 30),
        ("2026-11-22", "farm", 9, 90),
        ("2026-11-22", "shop", 2, 10),
    ]
    assert [(row.day, row.key) for row in ours] == [("2026-11-22", "k1")]
    assert [row.tenant for row in one] == ["farm"]
    assert (*first_page.rows, *second_page.rows) == everything
    assert not second_page.next


async def _report(desk: IdentityDesk, **more: Any) -> tuple[UsageRow, ...]:
    report: UsageReport = await desk.call("usage", FindUsage(**more))
    return report.rows


def _used(tenant: str, key: str, requests: int, tokens: int) -> Used:
    return Used(tenant=tenant, key=key, requests=requests, tokens=tokens)
