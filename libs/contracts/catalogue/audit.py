"""What is said of who did what."""

from typing import Final

from libs.contracts import audit, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import CMD_AUDIT, EVT_AUDIT

AUDIT: Final = Chapter(
    owner="audit",
    operations=audit.OPERATIONS,
    entries=(
        Entry(
            subject=subjects.RECORD_AUDIT,
            message=audit.RecordEntry,
            said_by=("gateway",),
            heard_by=("audit",),
            stream=CMD_AUDIT,
        ),
        Entry(
            subject=subjects.AUDIT_HEAD,
            message=audit.HeadMoved,
            said_by=("audit",),
            heard_by=("provisioner",),
            stream=EVT_AUDIT,
        ),
        calls_of("audit", subjects.audit_call, said_by=("gateway",)),
        Entry(
            subject=subjects.audit_call("audit_list"),
            message=audit.FindEntries,
            said_by=("provisioner",),
            heard_by=("audit",),
        ),
    ),
    structs=(
        *structs_of(audit.OPERATIONS),
        audit.RecordEntry,
        audit.AuditRow,
        audit.ChainFault,
        audit.HeadMoved,
    ),
)
