"""Who may say and hear what: one NATS user per service, allow-lists only."""

from dataclasses import dataclass, replace
from typing import Final

from libs.contracts import subjects
from libs.contracts.discovery import SERVICES, heard_by
from libs.contracts.effective import PROCESS_OPERATIONS
from libs.contracts.topology import (
    AUDIT_ENTRIES,
    CMD_INFERENCE,
    EVENTS_CONSUMERS,
    EVENTS_WEBHOOKS,
    FEEDBACK_CAPTURED,
    FEEDBACK_COMPLETED,
    FEEDBACK_SIGNALS,
    ROLLOUT_OBSERVED,
    ROLLOUT_SIGNALS,
    Consumer,
)

_SUBMIT_STREAM: Final = CMD_INFERENCE.name


@dataclass(frozen=True, kw_only=True)
class User:
    """One bus user and its allow-lists."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def _pulls(*consumers: Consumer) -> tuple[str, ...]:
    """What whoever reads these consumers says."""
    return tuple(
        subject
        for consumer in consumers
        for subject in (
            f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.durable}",
            f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.durable}",
            # The server may use either layout of ack subjects (NATS 2.14 and later).
            f"$JS.ACK.{consumer.stream}.{consumer.durable}.>",
            f"$JS.ACK.*.*.{consumer.stream}.{consumer.durable}.>",
        )
    )


def _buries(service: str) -> tuple[str, ...]:
    """What whoever has dead letters says."""
    return (subjects.dead_letter(service, "*"), *subjects.letters_of(service))


GATEWAY: Final = User(
    name="gateway",
    publish=(
        f"{subjects.SUBMIT_PREFIX}.>",
        subjects.SUBMITTED_GET,
        subjects.ALL_EXPRESS,
        subjects.ALL_RUNS,
        subjects.ALL_SCHEDULER_CALLS,
        subjects.COMPLETED,
        subjects.OBSERVED,
        subjects.CAPTURED,
        subjects.RECORD_SIGNAL,
        subjects.ALL_FEEDBACK_CALLS,
        subjects.ALL_TRAINER_CALLS,
        subjects.ALL_ROLLOUT_CALLS,
        subjects.ALL_EVENTS_CALLS,
        subjects.PUBLIC_GET,
        subjects.ALL_IDENTITY_CALLS,
        subjects.RECORD_AUDIT,
        subjects.ALL_AUDIT_CALLS,
        subjects.ALL_CANCELS,
        subjects.ALL_GATEWAY_BEATS,
        subjects.REPORT,
        subjects.ALL_REGISTRY_CALLS,
        subjects.ALL_INFERENCE_CALLS,
        subjects.ALL_LOG_LEVELS,
        subjects.ALL_DISCOVERY,
    ),
    subscribe=(
        "rpl.gateway.>",
        subjects.ALL_BEATS,
        subjects.ALL_WORKERS_LOST,
        subjects.ALL_DIRECT,
        subjects.SPLITS,
        subjects.PUBLIC_NEWS,
        subjects.KEYS,
    ),
)

SCHEDULER: Final = User(
    name="scheduler",
    publish=(
        f"{subjects.SUBMIT_PREFIX}.>",
        subjects.ALL_RUNS,
        "rpl.gateway.>",
        subjects.ALL_WORKERS_LOST,
        subjects.ALL_DIRECT,
        # Repeated for a request cancelled during its hand-over: the worker may have heard the first one too early.
        subjects.ALL_CANCELS,
        subjects.REPORT,
        subjects.CORDONS_GET,
        subjects.ALL_CORDONS,
        subjects.CORDONS_CHANGED,
        subjects.SUBMITTED_GET,
        subjects.SUBMITTED_INFO,
        subjects.SUBMITTED_DELETE,
        f"$JS.API.CONSUMER.MSG.NEXT.{_SUBMIT_STREAM}.*",
        # The server may use either layout of ack subjects (NATS 2.14 and later).
        f"$JS.ACK.{_SUBMIT_STREAM}.>",
        f"$JS.ACK.*.*.{_SUBMIT_STREAM}.>",
    ),
    subscribe=(
        "rpl.scheduler.>",
        subjects.ALL_EXPRESS,
        subjects.ALL_SCHEDULER_CALLS,
        subjects.CORDONS_CHANGED,
        subjects.ALL_BEATS,
        subjects.ALL_RELEASED,
        subjects.ALL_CANCELS,
    ),
)

INFERENCE: Final = User(
    name="inference",
    publish=(
        "rpl.gateway.>",
        "rpl.scheduler.>",
        subjects.ALL_BEATS,
        subjects.ALL_RELEASED,
        subjects.registry_call("version_fetch"),
        subjects.deployment_get("*"),
    ),
    subscribe=(
        "rpl.inference.*",
        subjects.ALL_INFERENCE_CALLS,
        subjects.ALL_DEPLOYMENTS,
        subjects.ALL_RUNS,
        "ctl.inference.*.drain",
        "ctl.inference.*.reload",
        subjects.ALL_CANCELS,
        subjects.REPORT,
        subjects.ALL_GATEWAY_BEATS,
    ),
)

REGISTRY: Final = User(
    name="registry",
    publish=(
        "rpl.gateway.*",
        "rpl.inference.*",
        "_INBOX.>",
        "evt.registry.>",
        subjects.ALL_DEPLOYMENTS,
        "ctl.inference.*.reload",
        subjects.REPORT,
    ),
    subscribe=("_INBOX.>", subjects.ALL_REGISTRY_CALLS, subjects.ALL_BEATS),
)

FEEDBACK: Final = User(
    name="feedback",
    publish=(
        "rpl.gateway.*",
        "_INBOX.>",
        "evt.feedback.>",
        subjects.ALL_REGISTRY_CALLS,
        *_pulls(FEEDBACK_COMPLETED, FEEDBACK_CAPTURED, FEEDBACK_SIGNALS),
    ),
    subscribe=("_INBOX.>", subjects.ALL_FEEDBACK_CALLS),
)

TRAINER: Final = User(
    name="trainer",
    publish=(
        "rpl.gateway.*",
        "_INBOX.>",
        "evt.trainer.>",
        subjects.ALL_JOB_PROGRESS,
        subjects.ALL_REGISTRY_CALLS,
    ),
    subscribe=("_INBOX.>", subjects.ALL_TRAINER_CALLS, subjects.JOB_CHANGED),
)

ROLLOUT: Final = User(
    name="rollout",
    publish=(
        "rpl.gateway.*",
        "_INBOX.>",
        "evt.rollout.>",
        subjects.SPLITS,
        subjects.ALL_REGISTRY_CALLS,
        subjects.ALL_FEEDBACK_CALLS,
        subjects.ALL_TRAINER_CALLS,
        *_pulls(ROLLOUT_OBSERVED, ROLLOUT_SIGNALS),
        *_buries("rollout"),
    ),
    subscribe=("_INBOX.>", subjects.ALL_ROLLOUT_CALLS),
)

IDENTITY: Final = User(
    name="identity",
    publish=("rpl.gateway.*", "_INBOX.>", "evt.identity.>", subjects.KEYS),
    subscribe=("_INBOX.>", subjects.ALL_IDENTITY_CALLS),
)

EVENTS: Final = User(
    name="events",
    publish=(
        "rpl.gateway.*",
        "_INBOX.>",
        subjects.ALL_PUBLIC,
        subjects.PUBLIC_NEWS,
        subjects.PUBLIC_GET,
        *_pulls(*EVENTS_CONSUMERS, EVENTS_WEBHOOKS),
        *_buries("events"),
    ),
    subscribe=("_INBOX.>", subjects.ALL_EVENTS_CALLS),
)

AUDIT: Final = User(
    name="audit",
    publish=(
        "rpl.gateway.*",
        "_INBOX.>",
        subjects.AUDIT_HEAD,
        subjects.AUDIT_HEAD_GET,
        *_pulls(AUDIT_ENTRIES),
        *_buries("audit"),
    ),
    subscribe=("_INBOX.>", subjects.ALL_AUDIT_CALLS),
)

PROVISIONER: Final = User(
    name="provisioner",
    publish=(
        "$JS.API.>",
        "ctl.inference.*.drain",
        subjects.REPORT,
        subjects.ALL_REGISTRY_CALLS,
        subjects.ALL_FEEDBACK_CALLS,
        subjects.ALL_TRAINER_CALLS,
        subjects.ALL_ROLLOUT_CALLS,
        subjects.ALL_EVENTS_CALLS,
        # Whether it answers; whoever makes keys has a key, and asks a gateway.
        subjects.identity_call("organisation_list"),
        subjects.audit_call("audit_list"),
        subjects.ALL_DISCOVERY,
    ),
    subscribe=(
        "_INBOX.>",
        f"{subjects.OPERATOR_INBOX}.>",
        subjects.ALL_BEATS,
        subjects.ALL_JOB_PROGRESS,
        subjects.SPLITS,
        "evt.>",
    ),
)


def _reachable(user: User) -> User:
    """The user of a service, whose processes are asked each by itself; nobody else hears or answers that."""
    if user.name not in SERVICES:
        return user
    inboxes = (subjects.call_inbox("gateway", "*"), f"{subjects.OPERATOR_INBOX}.>")
    calls = (subjects.process_call(user.name, "*", operation) for operation in PROCESS_OPERATIONS)
    heard = (*heard_by(user.name, "*"), *calls)
    return replace(user, publish=(*user.publish, *inboxes), subscribe=(*user.subscribe, *heard))


APPLICATION_USERS: Final = tuple(
    map(
        _reachable,
        (
            GATEWAY,
            SCHEDULER,
            INFERENCE,
            REGISTRY,
            FEEDBACK,
            TRAINER,
            ROLLOUT,
            IDENTITY,
            EVENTS,
            AUDIT,
            PROVISIONER,
        ),
    )
)
SYSTEM_USER: Final = "system"
"""Lives in the system account; hears of connections that end."""
