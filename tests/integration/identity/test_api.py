"""The admin API of tenants and keys: a real gateway in front of a real identity service."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from cli.keys.rest import RestIdentity
from libs.contracts.identity import (
    ApiKey,
    ChangeProject,
    CreateKey,
    CreateOrganisation,
    CreateProject,
    FindKeys,
    FindOrganisations,
    FindProjects,
    FindUsage,
    IssuedKey,
    KeyRef,
    Limits,
    ProjectRef,
    RevokeKey,
    RotateKey,
)
from libs.contracts.permissions import Permission, Role
from libs.kit.errors import ServiceError
from libs.testkit.front import KEY, Front, running, settings_for
from libs.testkit.identity import IdentityGround
from libs.testkit.wait import eventually

ADMIN = "sk-admin-test"


@pytest_asyncio.fixture(loop_scope="session")
async def front(ground: IdentityGround, tmp_path: Path) -> AsyncIterator[Front]:
    """A gateway beside an identity process, with the project `shop`."""
    admins = tmp_path / "admins"
    admins.write_text(f"ops:{ADMIN}\n", encoding="utf-8")
    settings = settings_for(ground.nats, tmp_path, admin_keys_file=admins, identity=True)
    async with ground.service(), running(settings) as front:
        await eventually(lambda: _asked(front), timeout_s=30, what="the gateway's way to the service")
        await ask(front, "POST", "/organisations", {"name": "acme"})
        for name in ("shop", "farm"):
            answer = await ask(front, "POST", "/projects", {"name": name, "organisation": "acme"})
            assert (answer.status_code, answer.headers["etag"]) == (201, '"1"'), answer.text
        yield front


async def _asked(front: Front) -> bool | None:
    return True if (await ask(front, "GET", "/organisations")).status_code == 200 else None


async def ask(front: Front, method: str, path: str, body: Any = None, *, key: str = ADMIN, **headers: str) -> Any:
    """What the admin API answers."""
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await front.http.request(
        method, f"/admin/v1{path}", content=content, headers={"authorization": f"Bearer {key}", **named}
    )


async def issue(front: Front, *, key: str = ADMIN, **body: Any) -> IssuedKey:
    """A new key that the gateway knows."""
    answer = await ask(front, "POST", "/keys", {"name": "till", "role": "member", **body}, key=key)
    assert answer.status_code == 201, answer.text
    issued = msgspec.json.decode(answer.content, type=IssuedKey)
    await status_of(front, issued.secret, not_=401)
    return issued


async def status_of(front: Front, secret: str, *, not_: int = 0, wanted: int = 0) -> int:
    """What the gateway answers to a key, as soon as that is what it should be."""

    async def asked() -> int | None:
        answer = await ask(front, "GET", "/keys", key=secret)
        met = answer.status_code == wanted if wanted else answer.status_code != not_
        return int(answer.status_code) if met else None

    return await eventually(asked, timeout_s=30, what=f"status {wanted or f'other than {not_}'}")


async def test_a_key_opens_the_door_and_its_end_closes_it(front: Front) -> None:
    issued = await issue(front, tenant="shop", role="operator")
    shown = await ask(front, "GET", f"/keys/{issued.key.id}", key=issued.secret)
    assert (shown.status_code, shown.headers["etag"]) == (200, '"1"')
    assert issued.secret not in shown.text

    ended = await ask(front, "DELETE", f"/keys/{issued.key.id}", if_match='"1"')

    assert (ended.status_code, ended.headers["etag"]) == (200, '"2"')
    await status_of(front, issued.secret, wanted=401)


async def test_a_closed_project_closes_the_door_to_all_of_its_keys(front: Front) -> None:
    issued = await issue(front, tenant="farm", role="viewer")
    assert await status_of(front, issued.secret, wanted=403) == 403, "it is known, and may not list keys"

    closed = await ask(front, "PATCH", "/projects/farm", {"closed": True}, if_match='"1"')

    assert closed.status_code == 200, closed.text
    await status_of(front, issued.secret, wanted=401)
    opened = await ask(front, "PATCH", "/projects/farm", {"closed": False}, if_match=closed.headers["etag"])
    assert opened.json().get("closed_ms", 0) == 0
    await status_of(front, issued.secret, wanted=403)


async def test_a_repeat_by_the_same_author_makes_no_second_key(front: Front) -> None:
    body = {"name": "till", "role": "member", "tenant": "shop"}
    first = await ask(front, "POST", "/keys", body, idempotency_key="abc")
    again = await ask(front, "POST", "/keys", body, idempotency_key="abc")
    other = await ask(front, "POST", "/keys", body, idempotency_key="abd")
    elsewhere = await ask(front, "POST", "/keys", body | {"tenant": "farm"}, idempotency_key="abc")

    assert [answer.status_code for answer in (first, again, other, elsewhere)] == [201, 409, 201, 201]
    assert first.json()["key"]["id"] in again.json()["detail"]
    assert first.json()["secret"] not in again.text
    assert first.headers["cache-control"] == "no-store"
    for key in ("", "a b", "x" * 256):
        bad = await ask(front, "POST", "/keys", body, idempotency_key=key)
        assert (bad.status_code, bad.json()["param"]) == (400, "Idempotency-Key"), key


async def test_a_projects_admin_keeps_its_keys_and_nobody_elses(front: Front) -> None:
    admin = await issue(front, tenant="shop", role="admin")
    theirs = await issue(front, tenant="farm", role="viewer")
    own = await issue(front, key=admin.secret, role="viewer")
    assert own.key.tenant == "shop", "left out, it is the asker's own"

    for method, path, body, status in (
        ("GET", f"/keys/{theirs.key.id}", None, 404),
        ("DELETE", f"/keys/{theirs.key.id}", None, 404),
        ("POST", f"/keys/{theirs.key.id}/rotate", {}, 404),
        ("GET", "/keys?tenant=farm", None, 404),
        ("GET", "/usage?tenant=farm", None, 404),
        ("GET", "/projects/farm", None, 404),
        ("POST", "/keys", {"name": "x", "role": "viewer", "tenant": "farm"}, 404),
        ("POST", "/projects", {"name": "mine", "organisation": "acme"}, 403),
        ("PATCH", "/projects/shop", {"limits": {}}, 403),
        ("POST", "/organisations", {"name": "mine"}, 403),
        ("GET", "/projects/shop", None, 200),
        ("DELETE", f"/keys/{own.key.id}", None, 200),
    ):
        answer = await ask(front, method, path, body, key=admin.secret)
        assert answer.status_code == status, (method, path, answer.text)
    listed = await ask(front, "GET", "/keys", key=admin.secret)
    assert {key["tenant"] for key in listed.json()["keys"]} == {"shop"}
    projects = await ask(front, "GET", "/projects", key=admin.secret)
    assert [project["name"] for project in projects.json()["projects"]] == ["shop"]


async def test_a_key_that_may_only_keep_keys_makes_none_that_may_more(front: Front) -> None:
    admin = await issue(front, tenant="shop", role="admin")
    keeper = await issue(front, tenant="shop", role="admin", scopes=["keys:read", "keys:write"])

    more = await ask(front, "POST", "/keys", {"name": "x", "role": "admin"}, key=keeper.secret)
    stolen = await ask(front, "POST", f"/keys/{admin.key.id}/rotate", {}, key=keeper.secret)
    same = await ask(front, "POST", "/keys", {"name": "x", "role": "admin", "scopes": ["keys:read"]}, key=keeper.secret)

    assert [answer.status_code for answer in (more, stolen, same)] == [403, 403, 201]


BAD = [
    ("POST", "/keys", {"name": "x", "role": "king"}, "invalid_value", "role"),
    ("POST", "/keys", {"name": "x", "role": "member", "id": "key_1"}, "unknown_parameter", "id"),
    ("POST", "/keys", {"name": "x", "role": "member", "revision": 7}, "unknown_parameter", "revision"),
    ("POST", "/keys", {"name": "x", "role": "member", "limits": {"tokens": 1}}, "unknown_parameter", "tokens"),
    ("POST", "/keys", {"name": "x", "role": "member", "scopes": ["all"]}, "invalid_value", "scopes[0]"),
    ("POST", "/keys", {"role": "member"}, "missing_field", "name"),
    ("POST", "/keys", b"{", "invalid_json", None),
    ("POST", "/projects", {"name": "x", "organisation": "acme", "closed_ms": 1}, "unknown_parameter", "closed_ms"),
    ("PATCH", "/projects/shop", {"name": "x"}, "unknown_parameter", "name"),
    ("GET", "/keys?limit=0", None, "invalid_value", "limit"),
    ("GET", "/keys?after=x", None, "invalid_value", "after"),
    ("GET", "/keys?order=1", None, "unknown_parameter", "order"),
    ("GET", "/usage?since_day=x", None, "invalid_value", "since_day"),
    ("GET", "/keys/%00", None, "invalid_value", "id"),
    ("GET", "/projects/%00", None, "invalid_value", "name"),
]  # fmt: skip


async def test_bad_requests_are_refused_with_the_field_at_fault(front: Front) -> None:
    for method, path, body, code, param in BAD:
        answer = await ask(front, method, path, body)
        assert (answer.json()["code"], answer.json().get("param")) == (code, param), (path, body, answer.text)
    for tag in ('"x"', '"-1"', '"1', "*", f'"{"9" * 30}"'):
        answer = await ask(front, "PATCH", "/projects/shop", {"title": "x"}, if_match=tag)
        assert (answer.status_code, answer.json()["param"]) == (400, "If-Match"), tag
    stale = await ask(front, "PATCH", "/projects/shop", {"title": "x"}, if_match='"9"')
    assert stale.status_code == 412


async def test_an_ordinary_key_makes_none(front: Front) -> None:
    answer = await ask(front, "POST", "/keys", {"name": "x", "role": "member"}, key=KEY)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_command_line_has_every_operation(front: Front) -> None:
    async with RestIdentity(f"http://127.0.0.1:{front.port}/v1", ADMIN) as client:

        async def call(operation: str, request: msgspec.Struct) -> Any:
            return await client.call(operation, request)

        await call("organisation_create", CreateOrganisation(name="bolt", author="", title="Bolt"))
        organisations = await call("organisation_list", FindOrganisations(after="acme"))
        made = await call(
            "project_create",
            CreateProject(name="rail", organisation="bolt", author="", limits=Limits(concurrency=3)),
        )
        change = ChangeProject(name="rail", author="", title="Rail", expected_revision=made.revision)
        changed = await call("project_change", change)
        wanted = CreateKey(
            name="cab",
            role=Role.OPERATOR,
            author="",
            tenant="rail",
            scopes=(Permission.KEYS_READ,),
            models=("helpdesk",),
            limits=Limits(tokens_per_minute=9),
        )
        issued: IssuedKey = await call("key_create", wanted)
        rotated: IssuedKey = await call("key_rotate", RotateKey(id=issued.key.id, author="", overlap_s=60))
        revoked: ApiKey = await call("key_revoke", RevokeKey(id=rotated.key.id, author=""))
        keys = await call("key_list", FindKeys(tenant="rail", revoked=True))
        usage = await call("usage", FindUsage(tenant="rail", key=issued.key.id, since_day="2026-01-01"))

        assert [each.name for each in organisations.organisations] == ["bolt"]
        assert (changed.title, changed.limits, changed.revision) == ("Rail", Limits(concurrency=3), 2)
        assert await call("project_show", ProjectRef(name="rail")) == changed
        assert (await call("project_list", FindProjects(organisation="bolt"))).projects == (changed,)
        assert (issued.key.scopes, issued.key.models, issued.key.author) == (wanted.scopes, wanted.models, "ops")
        assert issued.key.limits == Limits(tokens_per_minute=9)
        assert await call("key_show", KeyRef(id=rotated.key.id)) == revoked
        assert [key.id for key in keys.keys] == [rotated.key.id, issued.key.id]
        assert usage.rows == ()
        with pytest.raises(ServiceError) as refusal:
            await call("key_revoke", RevokeKey(id=issued.key.id, author="", expected_revision=99))
        assert refusal.value.code == "conflict"
