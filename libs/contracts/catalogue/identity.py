"""What is said of organisations, projects and keys."""

from typing import Final

from libs.contracts import identity, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import EVT_IDENTITY

IDENTITY: Final = Chapter(
    owner="identity",
    operations=identity.OPERATIONS | identity.LEASING,
    entries=(
        Entry(
            subject=subjects.KEY_CHANGED,
            message=identity.KeyChanged,
            said_by=("identity",),
            heard_by=("provisioner", "events"),
            stream=EVT_IDENTITY,
        ),
        Entry(
            subject=subjects.PROJECT_CHANGED,
            message=identity.ProjectChanged,
            said_by=("identity",),
            heard_by=("provisioner", "events"),
            stream=EVT_IDENTITY,
        ),
        Entry(
            subject=subjects.KEYS,
            message=identity.KeysRevision,
            said_by=("identity",),
            heard_by=("gateway",),
        ),
        calls_of("identity", subjects.identity_call, said_by=("gateway",)),
        Entry(
            subject=subjects.identity_call("organisation_list"),
            message=identity.FindOrganisations,
            said_by=("provisioner",),
            heard_by=("identity",),
        ),
    ),
    structs=(
        *structs_of(identity.OPERATIONS | identity.LEASING),
        identity.Organisation,
        identity.Limits,
        identity.KeyRecord,
        identity.Authority,
        identity.Amounts,
        identity.Want,
        identity.Grant,
        identity.Used,
        identity.UsageRow,
        identity.KeysRevision,
        identity.KeyChanged,
        identity.ProjectChanged,
    ),
)
