"""Every JetStream stream and durable consumer; `deploy/nats` applies this and nobody else creates any."""

from dataclasses import dataclass
from typing import Final, Literal

from libs.contracts import letters, subjects
from libs.contracts.inference import ServiceClass

DAY_S: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream: what it stores, for how long, and what happens when it is full."""

    name: str
    subjects: tuple[str, ...]
    retention: Literal["workqueue", "limits"]
    max_age_s: int
    max_bytes: int
    max_messages_per_subject: int = -1
    """For a work queue: how many may wait per pool and class before the next is refused; -1 is no bound."""
    duplicate_window_s: int = 120
    direct_get: bool = False
    """Whether single messages may be read by their sequence number."""


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """One durable pull consumer of a stream."""

    stream: str
    durable: str
    filter_subject: str
    ack_wait_s: float
    max_ack_pending: int
    max_deliver: int = -1


SUBMIT_ACK_WAIT_S: Final = 10.0
"""A scheduler that falls silent this long loses the messages it holds to the next scheduler."""

SUBMIT_MAX_HELD: Final = 4_096
"""Messages of one pool and class that a scheduler may hold in memory at once."""

CMD_INFERENCE: Final = Stream(
    name="CMD_INFERENCE",
    subjects=(f"{subjects.SUBMIT_PREFIX}.*.*",),
    retention="workqueue",
    max_age_s=600,
    max_bytes=1 << 30,
    max_messages_per_subject=10_000,
    direct_get=True,
)

EVT_INFERENCE: Final = Stream(
    name="EVT_INFERENCE",
    subjects=("evt.inference.>",),
    retention="limits",
    max_age_s=7 * DAY_S,
    max_bytes=1 << 30,
)

EVT_REGISTRY: Final = Stream(
    name="EVT_REGISTRY",
    subjects=("evt.registry.>",),
    retention="limits",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
)

EVT_CONTENT: Final = Stream(
    name="EVT_CONTENT",
    subjects=("evt.content.>",),
    retention="limits",
    max_age_s=DAY_S,
    max_bytes=1 << 30,
)

CMD_FEEDBACK: Final = Stream(
    name="CMD_FEEDBACK",
    subjects=("cmd.feedback.>",),
    retention="workqueue",
    max_age_s=7 * DAY_S,
    max_bytes=256 << 20,
    max_messages_per_subject=100_000,
)

EVT_FEEDBACK: Final = Stream(
    name="EVT_FEEDBACK",
    subjects=("evt.feedback.>",),
    retention="limits",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
)

EVT_TRAINER: Final = Stream(
    name="EVT_TRAINER",
    subjects=("evt.trainer.>",),
    retention="limits",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
)

EVT_ROLLOUT: Final = Stream(
    name="EVT_ROLLOUT",
    subjects=("evt.rollout.>",),
    retention="limits",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
)

PUBLIC: Final = Stream(
    name="PUBLIC",
    subjects=(subjects.ALL_PUBLIC,),
    retention="limits",
    max_age_s=7 * DAY_S,
    max_bytes=1 << 30,
    direct_get=True,
)

EVT_IDENTITY: Final = Stream(
    name="EVT_IDENTITY",
    subjects=("evt.identity.>",),
    retention="limits",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
)

CMD_AUDIT: Final = Stream(
    name="CMD_AUDIT",
    subjects=("cmd.audit.>",),
    retention="workqueue",
    max_age_s=30 * DAY_S,
    max_bytes=256 << 20,
    max_messages_per_subject=100_000,
)

EVT_AUDIT: Final = Stream(
    name="EVT_AUDIT",
    subjects=("evt.audit.>",),
    retention="limits",
    max_age_s=3_650 * DAY_S,
    max_bytes=64 << 20,
    direct_get=True,
)
"""The newest links of the audit; the oldest go when it is full, and the newest is what matters."""

DEAD_LETTERS: Final = {
    service: Stream(
        name=f"DLQ_{service.upper()}",
        subjects=(subjects.dead_letter(service, "*"),),
        retention="limits",
        max_age_s=30 * DAY_S,
        max_bytes=64 << 20,
        direct_get=True,
    )
    for service in letters.STREAMED
}
"""What each of these services could not take in."""

STREAMS: Final[tuple[Stream, ...]] = (
    CMD_INFERENCE,
    EVT_INFERENCE,
    EVT_REGISTRY,
    EVT_CONTENT,
    CMD_FEEDBACK,
    EVT_FEEDBACK,
    EVT_TRAINER,
    EVT_ROLLOUT,
    EVT_IDENTITY,
    PUBLIC,
    CMD_AUDIT,
    EVT_AUDIT,
    *DEAD_LETTERS.values(),
)

FEEDBACK_ACK_WAIT_S: Final = 5.0
"""What a process that was killed held goes to another one after so long; who lives prolongs it."""
FEEDBACK_MAX_HELD: Final = 8_000
"""Messages of one kind that feedback may hold at once."""

FEEDBACK_COMPLETED: Final = Consumer(
    stream=EVT_INFERENCE.name,
    durable="feedback__interaction_completed",
    filter_subject=subjects.COMPLETED,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)
FEEDBACK_CAPTURED: Final = Consumer(
    stream=EVT_CONTENT.name,
    durable="feedback__content_captured",
    filter_subject=subjects.CAPTURED,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)
FEEDBACK_SIGNALS: Final = Consumer(
    stream=CMD_FEEDBACK.name,
    durable="feedback__record_signal",
    filter_subject=subjects.RECORD_SIGNAL,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)


ROLLOUT_OBSERVED: Final = Consumer(
    stream=EVT_INFERENCE.name,
    durable="rollout__request_observed",
    filter_subject=subjects.OBSERVED,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)
ROLLOUT_SIGNALS: Final = Consumer(
    stream=EVT_FEEDBACK.name,
    durable="rollout__signal_recorded",
    filter_subject=subjects.SIGNAL_RECORDED,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)

EVENTS_CONSUMERS: Final = tuple(
    Consumer(
        stream=stream.name,
        durable=f"events__{stream.name.partition('_')[2].lower()}",
        filter_subject=filter_subject,
        ack_wait_s=FEEDBACK_ACK_WAIT_S,
        max_ack_pending=FEEDBACK_MAX_HELD,
    )
    for stream, filter_subject in (
        (EVT_INFERENCE, subjects.COMPLETED),
        (EVT_REGISTRY, EVT_REGISTRY.subjects[0]),
        (EVT_FEEDBACK, EVT_FEEDBACK.subjects[0]),
        (EVT_TRAINER, EVT_TRAINER.subjects[0]),
        (EVT_ROLLOUT, EVT_ROLLOUT.subjects[0]),
        (EVT_IDENTITY, EVT_IDENTITY.subjects[0]),
    )
)
"""What the events service publishes again for others."""
EVENTS_WEBHOOKS: Final = Consumer(
    stream=PUBLIC.name,
    durable="events__webhooks",
    filter_subject=subjects.ALL_PUBLIC,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)
AUDIT_ENTRIES: Final = Consumer(
    stream=CMD_AUDIT.name,
    durable="audit__record_entry",
    filter_subject=subjects.RECORD_AUDIT,
    ack_wait_s=FEEDBACK_ACK_WAIT_S,
    max_ack_pending=FEEDBACK_MAX_HELD,
)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One key-value bucket: the last value per key, for readers that want the state and not its history."""

    name: str
    max_bytes: int
    history: int = 1


DEPLOYMENTS: Final = Bucket(name="deployments", max_bytes=16 << 20, history=8)
"""Desired state per pool; a copy of what PostgreSQL holds, put again whenever the registry starts."""

CORDONS: Final = Bucket(name="cordons", max_bytes=4 << 20)
"""Workers that are given no new work, by pool and name."""

BUCKETS: Final[tuple[Bucket, ...]] = (DEPLOYMENTS, CORDONS)


def scheduler_durable(pool: str, service_class: ServiceClass) -> str:
    """Name of the consumer that the scheduler of `pool` pulls `service_class` from.

    One per class: a single consumer delivers in stream order, so a long queue of batch would hide realtime.
    """
    return f"scheduler__{pool}__{service_class}"


def consumers(pools: tuple[str, ...]) -> tuple[Consumer, ...]:
    """The consumers of an installation that serves `pools`."""
    scheduling = tuple(
        Consumer(
            stream=CMD_INFERENCE.name,
            durable=scheduler_durable(pool, service_class),
            filter_subject=subjects.submit(pool, service_class),
            ack_wait_s=SUBMIT_ACK_WAIT_S,
            max_ack_pending=SUBMIT_MAX_HELD,
        )
        for pool in pools
        for service_class in ServiceClass
    )
    return (
        *scheduling,
        FEEDBACK_COMPLETED,
        FEEDBACK_CAPTURED,
        FEEDBACK_SIGNALS,
        ROLLOUT_OBSERVED,
        ROLLOUT_SIGNALS,
        *EVENTS_CONSUMERS,
        EVENTS_WEBHOOKS,
        AUDIT_ENTRIES,
    )
