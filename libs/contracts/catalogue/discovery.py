"""Who is there, asked of every process."""

from typing import Final

from libs.contracts import discovery, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry

_ASKERS: Final = ("gateway", "provisioner")
_VERBS: Final = f"<{','.join(discovery.Verb)}>"


def _asked(service: str) -> tuple[Entry, Entry]:
    """What the processes of one service hear, and nobody else."""
    addressed = (subjects.discovery(_VERBS, service), subjects.discovery(_VERBS, service, "<instance>"))
    every, one = (
        Entry(subject=subject, message=None, payload="empty", said_by=_ASKERS, heard_by=(service,))
        for subject in addressed
    )
    return every, one


DISCOVERY: Final = Chapter(
    owner="discovery",
    entries=(
        Entry(
            subject=subjects.discovery(_VERBS),
            message=None,
            payload="empty (NATS ADR-32)",
            said_by=_ASKERS,
            heard_by=discovery.SERVICES,
        ),
        *(entry for service in discovery.SERVICES for entry in _asked(service)),
        Entry(
            subject=subjects.call_inbox("gateway", "<token>"),
            message=None,
            payload="`PingAnswer`, `InfoAnswer` or `StatsAnswer`",
            said_by=discovery.SERVICES,
            heard_by=("gateway",),
        ),
        Entry(
            subject=f"{subjects.OPERATOR_INBOX}.<token>",
            message=None,
            payload="as above",
            said_by=discovery.SERVICES,
            heard_by=("provisioner",),
        ),
    ),
    structs=(
        discovery.PingAnswer,
        discovery.InfoAnswer,
        discovery.EndpointInfo,
        discovery.StatsAnswer,
        discovery.EndpointStats,
        discovery.ServiceList,
        discovery.ServiceState,
        discovery.InstanceState,
        discovery.EndpointState,
    ),
)
