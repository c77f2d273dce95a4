"""One sample of every message of identity, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import identity as i
from libs.contracts.permissions import Permission, Role

KEY_ID: Final = "key_0123456789abcdef01234567"
NEXT_ID: Final = "key_fedcba9876543210fedcba98"
LIMITS: Final = i.Limits(
    requests_per_minute=1, tokens_per_minute=2, concurrency=3, budget_tokens=4, budget_period="month"
)
AMOUNTS: Final = i.Amounts(requests=1, tokens=2, slots=3, budget_tokens=4)
ORGANISATION: Final = i.Organisation(name="acme", created_ms=1, title="Acme Ltd")
PROJECT: Final = i.Project(
    name="shop", organisation="acme", created_ms=2, title="Shop", limits=LIMITS, closed_ms=3, revision=4
)
KEY: Final = i.ApiKey(
    id=KEY_ID,
    name="till",
    prefix="llmos-Ab1_-9",
    role=Role.MEMBER,
    created_ms=5,
    author="ann",
    tenant="shop",
    scopes=(Permission.INFERENCE_USE,),
    models=("helpdesk",),
    limits=LIMITS,
    expires_ms=6,
    revoked_ms=7,
    rotated_to=NEXT_ID,
    first_key="key_aaaaaaaaaaaaaaaaaaaaaaaa",
    revision=8,
)
ISSUED: Final = i.IssuedKey(key=KEY, secret="llmos-nobody-is-let-in-by-this")
AUTHORITY: Final = i.Authority(permissions=(Permission.KEYS_WRITE,), tenant="shop", models=("helpdesk",))
RECORD: Final = i.KeyRecord(
    id=KEY_ID,
    digest="ab" * 32,
    role=Role.ANNOTATOR,
    tenant="shop",
    scopes=(Permission.CONTENT_READ,),
    models=("helpdesk",),
    limits=LIMITS,
    tenant_limits=i.Limits(concurrency=9),
    expires_ms=10,
    is_revoked=True,
    first_key="key_aaaaaaaaaaaaaaaaaaaaaaaa",
)

IDENTITY_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "CreateOrganisation": i.CreateOrganisation(name="acme", author="ann", title="Acme Ltd"),
    "Organisation": ORGANISATION,
    "FindOrganisations": i.FindOrganisations(tenant="shop", after="aaa", limit=7),
    "OrganisationPage": i.OrganisationPage(organisations=(ORGANISATION,), next="acme"),
    "CreateProject": i.CreateProject(name="shop", organisation="acme", author="ann", title="Shop", limits=LIMITS),
    "Project": PROJECT,
    "ProjectRef": i.ProjectRef(name="shop", tenant="shop"),
    "ChangeProject": i.ChangeProject(
        name="shop", author="ann", title="Shop 2", limits=LIMITS, closed=True, expected_revision=4
    ),
    "FindProjects": i.FindProjects(tenant="shop", organisation="acme", after="aaa", limit=7),
    "ProjectPage": i.ProjectPage(projects=(PROJECT,), next="shop"),
    "CreateKey": i.CreateKey(
        name="till",
        role=Role.MEMBER,
        author="ann",
        tenant="shop",
        scopes=(Permission.INFERENCE_USE,),
        models=("helpdesk",),
        limits=LIMITS,
        expires_ms=6,
        id=KEY_ID,
        authority=AUTHORITY,
    ),
    "IssuedKey": ISSUED,
    "ApiKey": KEY,
    "KeyRef": i.KeyRef(id=KEY_ID, tenant="shop"),
    "FindKeys": i.FindKeys(tenant="shop", after="9", limit=7, revoked=True),
    "KeyPage": i.KeyPage(keys=(KEY,), next="8"),
    "RevokeKey": i.RevokeKey(id=KEY_ID, author="ann", tenant="shop", expected_revision=8),
    "RotateKey": i.RotateKey(
        id=KEY_ID, author="ann", tenant="shop", overlap_s=60, expected_revision=8, authority=AUTHORITY
    ),
    "KeysRevision": i.KeysRevision(store="s1", revision=11),
    "KeysSince": i.KeysSince(store="s1", revision=10, limit=9),
    "KeyChanges": i.KeyChanges(store="s1", revision=11, is_whole=True, records=(RECORD,), has_more=True),
    "Lease": i.Lease(
        gateway="g1",
        number=2,
        wants=(
            i.Want(
                holder="project:shop",
                held=AMOUNTS,
                need=i.Amounts(requests=5),
                ahead=i.Amounts(slots=6),
                period="2026-11",
                used_requests=7,
                used_tokens=8,
                frees_s=9.5,
                spent_tokens=10,
                is_done=True,
            ),
        ),
        epoch="e1",
        life=4,
        is_whole=True,
    ),
    "Leased": i.Leased(
        epoch="e1",
        grants=(
            i.Grant(
                holder="project:shop",
                share=AMOUNTS,
                period="2026-11",
                period_ends_ms=5,
                is_contended=True,
                elsewhere_requests=6,
                elsewhere_tokens=7,
                elsewhere_spent_tokens=8,
                wait_s=0.5,
            ),
        ),
        is_unknown=True,
    ),
    "RecordUsage": i.RecordUsage(
        gateway="g1", number=3, rows=(i.Used(tenant="shop", key=KEY_ID, requests=3, tokens=4),)
    ),
    "FindUsage": i.FindUsage(
        tenant="shop", key=KEY_ID, since_day="2026-11-01", until_day="2026-11-22", after="x", limit=7
    ),
    "UsageReport": i.UsageReport(
        rows=(i.UsageRow(day="2026-11-22", tenant="shop", key=KEY_ID, requests=3, tokens=4),), next="x"
    ),
    "KeyChanged": i.KeyChanged(id="e1", time_ms=9, change="rotated", author="ann", key=KEY),
    "ProjectChanged": i.ProjectChanged(id="e2", time_ms=9, change="closed", author="ann", project=PROJECT),
}
