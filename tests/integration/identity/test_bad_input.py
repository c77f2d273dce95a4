"""What nobody should write is refused with the field at fault, and leaves nothing behind."""

from typing import Any

import msgspec
import pytest

from libs.contracts.identity import (
    ChangeProject,
    CreateKey,
    CreateOrganisation,
    CreateProject,
    FindKeys,
    FindOrganisations,
    FindProjects,
    FindUsage,
    KeyPage,
    KeyRef,
    KeysSince,
    Limits,
    ProjectPage,
    ProjectRef,
    RotateKey,
)
from libs.contracts.permissions import Permission, Role
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.testkit.identity import IdentityDesk

MEGABYTE = "x" * 1_000_000
NASTY = (
    "",
    "A",
    "-a",
    "a-",
    "a_b",
    "a.b",
    "a b",
    "a" * 64,
    "ä",
    "a\n",
    "\0",
    "'; drop table identity.keys; --",
    "*",
    ">",
)
"""As names of projects and organisations."""
UNPRINTABLE = ("a\nb", "a\0b", "\x1b[31mred", "\u202eright", "x" * 201, MEGABYTE)
KEY = CreateKey(name="till", role=Role.MEMBER, author="ann", tenant="shop")
PROJECT = CreateProject(name="farm", organisation="acme", author="ann")


def key(**more: Any) -> CreateKey:
    return msgspec.structs.replace(KEY, **more)


def project(**more: Any) -> CreateProject:
    return msgspec.structs.replace(PROJECT, **more)


BAD: list[tuple[str, msgspec.Struct, str, str]] = [
    *(("organisation_create", CreateOrganisation(name=name, author="ann"), "invalid_value", "name") for name in NASTY),
    *(("project_create", project(name=name), "invalid_value", "name") for name in NASTY),
    *(("project_create", project(title=text), "invalid_value", "title") for text in UNPRINTABLE),
    *(("organisation_create", CreateOrganisation(name="acme", author="ann", title=text), "invalid_value", "title")
      for text in UNPRINTABLE),
    ("project_create", project(organisation="nobody"), "not_found", "organisation"),
    ("project_create", project(organisation="a\0"), "not_found", "organisation"),
    ("project_create", project(limits=Limits(concurrency=-1)), "invalid_value", "limits.concurrency"),
    ("project_create", project(limits=Limits(budget_tokens=10**30)), "invalid_value", "limits.budget_tokens"),
    ("project_create", project(limits=Limits(budget_tokens=1, budget_period="year")), "invalid_value",
     "limits.budget_period"),
    ("project_create", project(limits=Limits(budget_period="day")), "invalid_value", "limits.budget_period"),
    ("project_change", ChangeProject(name="nobody", author="ann"), "not_found", "name"),
    ("project_change", ChangeProject(name="\0", author="ann"), "not_found", "name"),
    ("project_change", ChangeProject(name="shop", author="ann", title=MEGABYTE), "invalid_value", "title"),
    ("project_show", ProjectRef(name="\0"), "not_found", "name"),
    *(("key_create", key(name=text), "invalid_value", "name") for text in ("", "  ", *UNPRINTABLE)),
    *(("key_create", key(id=text), "invalid_value", "id") for text in ("x", "key_", "key_" + "A" * 24, "key_\0")),
    ("key_create", key(tenant="nobody"), "not_found", "tenant"),
    ("key_create", key(tenant="\0"), "invalid_value", "tenant"),
    ("key_create", key(tenant="' or 1=1 --"), "not_found", "tenant"),
    ("key_create", key(scopes=(Permission.KEYS_WRITE,)), "invalid_value", "scopes"),
    ("key_create", key(role=Role.ADMIN, scopes=(Permission.TENANTS_WRITE,)), "invalid_value", "scopes"),
    ("key_create", key(models=("a\nb",)), "invalid_value", "models"),
    ("key_create", key(models=("",)), "invalid_value", "models"),
    ("key_create", key(models=tuple(f"m{number}" for number in range(101))), "invalid_value", "models"),
    ("key_create", key(limits=Limits(tokens_per_minute=-5)), "invalid_value", "limits.tokens_per_minute"),
    ("key_create", key(expires_ms=clock.unix_ms() - 1), "invalid_value", "expires_ms"),
    ("key_create", key(expires_ms=-1), "invalid_value", "expires_ms"),
    ("key_create", key(expires_ms=10**30), "invalid_value", "expires_ms"),
    ("key_rotate", RotateKey(id="key_x", author="ann", overlap_s=-1), "invalid_value", "overlap_s"),
    ("key_rotate", RotateKey(id="key_x", author="ann", overlap_s=10**9), "invalid_value", "overlap_s"),
    ("key_rotate", RotateKey(id="' or ''='", author="ann"), "not_found", "id"),
    ("key_show", KeyRef(id="\0"), "not_found", "id"),
    ("key_list", FindKeys(limit=0), "invalid_value", "limit"),
    ("key_list", FindKeys(limit=10**9), "invalid_value", "limit"),
    ("key_list", FindKeys(after="1; drop"), "invalid_value", "after"),
    ("key_list", FindKeys(after="9" * 40), "invalid_value", "after"),
    ("key_list", FindKeys(tenant="\0"), "invalid_value", "tenant"),
    ("keys_since", KeysSince("", 0, 0), "invalid_value", "limit"),
    ("organisation_list", FindOrganisations(after="\0"), "invalid_value", "after"),
    ("project_list", FindProjects(organisation="\0"), "invalid_value", "organisation"),
    ("usage", FindUsage(since_day="yesterday"), "invalid_value", "since_day"),
    ("usage", FindUsage(until_day="2026-13-01"), "invalid_value", "until_day"),
    ("usage", FindUsage(after="x"), "invalid_value", "after"),
    ("usage", FindUsage(after="2026-11-22 \0 k"), "invalid_value", "after"),
]  # fmt: skip


async def test_bad_requests_are_refused_and_leave_nothing_behind(desk: IdentityDesk) -> None:
    await desk.project()

    for operation, request, code, param in BAD:
        with pytest.raises(ServiceError) as refusal:
            await desk.call(operation, request)
        said = (refusal.value.code, refusal.value.param or "")
        if len(msgspec.json.encode(request)) > 1_000_000:
            assert said[0] in (code, "request_too_large"), (operation, said)
        else:
            assert said == (code, param), (operation, str(request)[:300], refusal.value.message[:300])

    projects: ProjectPage = await desk.call("project_list", FindProjects())
    keys: KeyPage = await desk.call("key_list", FindKeys(revoked=True))
    assert ([each.name for each in projects.projects], keys.keys) == (["shop"], ())


async def test_nonsense_on_the_bus_is_answered(desk: IdentityDesk) -> None:
    for payload in (b"", b"{", b"[]", b'{"name":1}', b"\xff", b'{"id":"x","role":"king"}', b"[" * 5_000):
        answer = await desk.bus.request("ctl.identity.api.key_create", payload, timeout_s=30)
        assert msgspec.json.decode(answer.payload)["error"]["code"] in ("invalid_json", "invalid_value"), payload[:20]


async def test_titles_may_be_in_any_script(desk: IdentityDesk) -> None:
    made = await desk.project(title="Café 東京 „Läden“")
    assert made.title == "Café 東京 „Läden“"
