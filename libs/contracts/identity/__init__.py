"""Messages of the identity service: organisations, projects, API keys, limits, and the leases that keep limits exact.

Calls go to `subjects.identity_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
A project is a tenant: its name is what `tenant` says in every other message.
"""

from typing import Final

import msgspec

from libs.contracts.identity.keys import (
    KEYS_EVERY_S,
    ApiKey,
    Authority,
    CreateKey,
    FindKeys,
    IssuedKey,
    KeyChanged,
    KeyChanges,
    KeyPage,
    KeyRecord,
    KeyRef,
    KeysRevision,
    KeysSince,
    RevokeKey,
    RotateKey,
)
from libs.contracts.identity.leases import (
    LEASE_TTL_S,
    LEASING,
    RATE_WINDOW_S,
    Amounts,
    FindUsage,
    Grant,
    Lease,
    Leased,
    RecordUsage,
    UsageReport,
    UsageRow,
    Used,
    Want,
)
from libs.contracts.identity.tenants import (
    ChangeProject,
    CreateOrganisation,
    CreateProject,
    FindOrganisations,
    FindProjects,
    Limits,
    Organisation,
    OrganisationPage,
    Project,
    ProjectChanged,
    ProjectPage,
    ProjectRef,
)

__all__ = [
    "KEYS_EVERY_S",
    "LEASE_TTL_S",
    "LEASING",
    "OPERATIONS",
    "RATE_WINDOW_S",
    "Amounts",
    "ApiKey",
    "Authority",
    "ChangeProject",
    "CreateKey",
    "CreateOrganisation",
    "CreateProject",
    "FindKeys",
    "FindOrganisations",
    "FindProjects",
    "FindUsage",
    "Grant",
    "IssuedKey",
    "KeyChanged",
    "KeyChanges",
    "KeyPage",
    "KeyRecord",
    "KeyRef",
    "KeysRevision",
    "KeysSince",
    "Lease",
    "Leased",
    "Limits",
    "Organisation",
    "OrganisationPage",
    "Project",
    "ProjectChanged",
    "ProjectPage",
    "ProjectRef",
    "RecordUsage",
    "RevokeKey",
    "RotateKey",
    "UsageReport",
    "UsageRow",
    "Used",
    "Want",
]

OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "organisation_create": (CreateOrganisation, Organisation),
    "organisation_list": (FindOrganisations, OrganisationPage),
    "project_create": (CreateProject, Project),
    "project_show": (ProjectRef, Project),
    "project_change": (ChangeProject, Project),
    "project_list": (FindProjects, ProjectPage),
    "key_create": (CreateKey, IssuedKey),
    "key_show": (KeyRef, ApiKey),
    "key_list": (FindKeys, KeyPage),
    "key_revoke": (RevokeKey, ApiKey),
    "key_rotate": (RotateKey, IssuedKey),
    "keys_since": (KeysSince, KeyChanges),
    "usage": (FindUsage, UsageReport),
}
"""`keys_since` is the gateways' own, and so are the calls of `LEASING`, which only one process answers."""
