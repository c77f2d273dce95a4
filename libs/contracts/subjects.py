"""Every subject on the bus, built in one place so that no other file spells one.

Grammar: `cmd.` commands (JetStream work queues), `evt.` events (JetStream logs), `ctl.` control and `rpl.` replies
(core NATS, never stored), `dlq.` dead letters, `pub.` events for others (JetStream log).
`ctl.<service>.<instance>.<verb>` names the service it concerns.
"""

import hashlib
import re
from typing import Final

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_GATEWAY_REPLY: Final = re.compile(r"rpl\.gateway\.[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}")

SUBMIT_PREFIX: Final = "cmd.inference.request.submit.v1"
SUBMITTED_DELETE: Final = "$JS.API.STREAM.MSG.DELETE.CMD_INFERENCE"
SUBMITTED_INFO: Final = "$JS.API.STREAM.INFO.CMD_INFERENCE"
"""Where the server is asked to forget one stored request, and how many there are of each subject."""
SUBMITTED_GET: Final = "$JS.API.DIRECT.GET.CMD_INFERENCE"
"""Where the server is asked for one stored request by its sequence number (JetStream direct get)."""
COMPLETED: Final = "evt.inference.request.completed.v1"

VERSION_PUBLISHED: Final = "evt.registry.version.published.v1"
ALIAS_MOVED: Final = "evt.registry.alias.moved.v1"
DEPLOYMENT_CHANGED: Final = "evt.registry.deployment.changed.v1"

CAPTURED: Final = "evt.content.request.captured.v1"
"""Text of requests and answers; apart from the other events, for few may read it and it is kept for a short time."""
RECORD_SIGNAL: Final = "cmd.feedback.signal.record.v1"
SIGNAL_RECORDED: Final = "evt.feedback.signal.recorded.v1"
SIGNAL_REFUSED: Final = "evt.feedback.signal.refused.v1"
STATISTICS_UPDATED: Final = "evt.feedback.statistics.updated.v1"
DATASET_BUILT: Final = "evt.feedback.dataset.built.v1"
ALL_FEEDBACK_CALLS: Final = "ctl.feedback.api.*"

JOB_CHANGED: Final = "evt.trainer.job.changed.v1"
ALL_TRAINER_CALLS: Final = "ctl.trainer.api.*"
ALL_JOB_PROGRESS: Final = "ctl.trainer.job.*.progress"

OBSERVED: Final = "evt.inference.request.observed.v1"
"""Of requests that a running rollout divides or mirrors, beside `COMPLETED`."""
ROLLOUT_CHANGED: Final = "evt.rollout.rollout.changed.v1"
TURN_CHANGED: Final = "evt.rollout.turn.changed.v1"
ALL_ROLLOUT_CALLS: Final = "ctl.rollout.api.*"
SPLITS: Final = "ctl.rollout.all.splits"
"""How gateways divide requests by now; said each second and on every change."""

PUBLIC_PREFIX: Final = "pub"
ALL_PUBLIC: Final = "pub.>"
"""What others may hear, by tenant; `libs.contracts.public_events`."""
PUBLIC_GET: Final = "$JS.API.DIRECT.GET.PUBLIC"
"""Where the server is asked for stored public events (JetStream direct get)."""
PLATFORM_TOKEN: Final = "_platform"  # noqa: S105 - a token of a subject
"""Stands for the tenant in events of the platform."""
PUBLIC_NEWS: Final = "ctl.events.all.news"
"""The stream of public events has more."""
ALL_EVENTS_CALLS: Final = "ctl.events.api.*"

RECORD_AUDIT: Final = "cmd.audit.entry.record.v1"
AUDIT_HEAD: Final = "evt.audit.head.moved.v1"
AUDIT_HEAD_GET: Final = f"$JS.API.DIRECT.GET.EVT_AUDIT.{AUDIT_HEAD}"
"""Where the server is asked for the newest link of the audit that was said (JetStream direct get)."""
ALL_AUDIT_CALLS: Final = "ctl.audit.api.*"

ALL_IDENTITY_CALLS: Final = "ctl.identity.api.*"
KEY_CHANGED: Final = "evt.identity.key.changed.v1"
PROJECT_CHANGED: Final = "evt.identity.project.changed.v1"
KEYS: Final = "ctl.identity.all.keys"
"""The newest revision of the keys; said each second and on every change."""

ALL_REGISTRY_CALLS: Final = "ctl.registry.api.*"
ALL_DEPLOYMENTS: Final = "$KV.deployments.>"
"""Each pool's `Deployment`, as it is put into the bucket."""

ALL_EXPRESS: Final = "ctl.scheduler.*.submit"
ALL_DIRECT: Final = "ctl.scheduler.*.direct"
ALL_RUNS: Final = "ctl.inference.*.run"
ALL_SCHEDULER_CALLS: Final = "ctl.scheduler.api.*"
ALL_CORDONS: Final = "$KV.cordons.>"
"""Each `Cordon`, as it is put into the bucket."""
CORDONS_GET: Final = "$JS.API.DIRECT.GET.KV_cordons"
"""Where the server is asked for every cordon (JetStream batched direct get)."""
CORDONS_CHANGED: Final = "ctl.scheduler.all.cordons"
"""The bucket of cordons has changed."""
ALL_INFERENCE_CALLS: Final = "ctl.inference.api.*"
ALL_LOG_LEVELS: Final = "ctl.*.*.log_level"
"""Where each process is told how much to log."""
ALL_BEATS: Final = "ctl.inference.*.beat"
ALL_RELEASED: Final = "ctl.inference.*.released"
ALL_CANCELS: Final = "ctl.inference.cancel.*"
ALL_GATEWAY_BEATS: Final = "ctl.gateway.*.beat"
ALL_WORKERS_LOST: Final = "ctl.scheduler.*.worker_lost"
REPORT: Final = "ctl.inference.all.report"
"""Ask every worker for a beat at once."""

ALL_DISCOVERY: Final = "$SRV.>"
"""Who is there (NATS ADR-32)."""
OPERATOR_INBOX: Final = "rpl.operator"
"""Below it whoever looks after an installation is told who is there."""

SEVERAL: Final = "several"
"""Stands where a request id would stand, when a message to a gateway concerns several of them."""

SYS_DISCONNECTS: Final = "$SYS.ACCOUNT.*.DISCONNECT"
"""The server's own news that a connection ended; needs the system account."""


def submit(pool: str, service_class: str) -> str:
    """Where the gateway puts a request for `pool` in `service_class`."""
    return f"{SUBMIT_PREFIX}.{pool}.{service_class}"


def express(pool: str) -> str:
    """Where a gateway offers a request to the scheduler of `pool` without storing it first."""
    return f"ctl.scheduler.{pool}.submit"


def direct(pool: str) -> str:
    """Where the schedulers of `pool` say to which workers gateways may hand requests themselves."""
    return f"ctl.scheduler.{pool}.direct"


def run(worker: str) -> str:
    """Where a request is handed to `worker`."""
    return f"ctl.inference.{worker}.run"


def beat(worker: str) -> str:
    """Where `worker` says that it lives."""
    return f"ctl.inference.{worker}.beat"


def released(worker: str) -> str:
    """Where `worker` names executions that ended."""
    return f"ctl.inference.{worker}.released"


def drain(worker: str) -> str:
    """Where `worker` is asked to finish what it has and take nothing new."""
    return f"ctl.inference.{worker}.drain"


def cordon(pool: str, name: str) -> str:
    """Where the cordon of workers of `name` in `pool` is put and kept; a name that is no token stands as a digest."""
    is_plain = is_token(name) and not name.startswith("_")
    return f"$KV.cordons.{pool}.{name if is_plain else '_' + hashlib.sha256(name.encode()).hexdigest()[:32]}"


def scheduler_call(operation: str) -> str:
    """Where a scheduler is asked to do `operation` (`libs.contracts.scheduling.OPERATIONS`); a core request."""
    return f"ctl.scheduler.api.{operation}"


def service_call(service: str, operation: str) -> str:
    """Where `service` is asked to do what several services can (`libs.contracts.letters`); a core request."""
    return f"ctl.{service}.api.{operation}"


def process_call(service: str, instance: str, operation: str) -> str:
    """Where one process is asked (`libs.contracts.effective.PROCESS_OPERATIONS`); a core request."""
    return f"ctl.{service}.{instance}.{operation}"


def dead_letter(service: str, consumer: str) -> str:
    """Where `service` puts what it could not take in through `consumer`."""
    return f"dlq.{service}.{consumer}"


def letters_of(service: str) -> tuple[str, str]:
    """Where the server is asked for the dead letters of `service`, and where it is asked to forget one."""
    stream = f"DLQ_{service.upper()}"
    return f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.STREAM.MSG.DELETE.{stream}"


def registry_call(operation: str) -> str:
    """Where the registry is asked to do `operation` (`libs.contracts.registry.OPERATIONS`); a core request."""
    return f"ctl.registry.api.{operation}"


def feedback_call(operation: str) -> str:
    """Where feedback is asked to do `operation` (`libs.contracts.feedback.OPERATIONS`); a core request."""
    return f"ctl.feedback.api.{operation}"


def trainer_call(operation: str) -> str:
    """Where the trainer is asked to do `operation` (`libs.contracts.training.OPERATIONS`); a core request."""
    return f"ctl.trainer.api.{operation}"


def rollout_call(operation: str) -> str:
    """Where the rollout service is asked to do `operation` (`libs.contracts.rollouts.OPERATIONS`); a core request."""
    return f"ctl.rollout.api.{operation}"


def audit_call(operation: str) -> str:
    """Where the audit service is asked to do `operation` (`libs.contracts.audit.OPERATIONS`); a core request."""
    return f"ctl.audit.api.{operation}"


def identity_call(operation: str) -> str:
    """Where the identity service is asked to do `operation` (`libs.contracts.identity.OPERATIONS`); a core request."""
    return f"ctl.identity.api.{operation}"


def events_call(operation: str) -> str:
    """Where the events service is asked to do `operation` (`libs.contracts.webhooks.OPERATIONS`); a core request."""
    return f"ctl.events.api.{operation}"


def public(tenant: str, event_type: str) -> str:
    """Where a public event of `tenant` is said; an empty tenant is the platform."""
    return f"{PUBLIC_PREFIX}.{public_token(tenant)}.{event_type}"


def all_public(token: str) -> str:
    """Every public event of the tenant that stands as `token` in subjects."""
    return f"{PUBLIC_PREFIX}.{token}.>"


def public_token(tenant: str) -> str:
    """How a tenant stands in a subject: as it is where it may, else as a digest that no name looks like."""
    if not tenant:
        return PLATFORM_TOKEN
    if is_token(tenant) and not tenant.startswith("_"):
        return tenant
    return f"_{hashlib.sha256(tenant.encode()).hexdigest()[:32]}"


def job_progress(job: str) -> str:
    """Where a trainer says how far `job` is."""
    return f"ctl.trainer.job.{job}.progress"


def deployment(pool: str) -> str:
    """Where the desired state of `pool` is put and kept."""
    return f"$KV.deployments.{pool}"


def deployment_get(pool: str) -> str:
    """Where the server is asked for the last value put for `pool` (JetStream direct get)."""
    return f"$JS.API.DIRECT.GET.KV_deployments.{deployment(pool)}"


def reload(worker: str) -> str:
    """Where `worker` is asked to finish what it has and start again with the base that its pool is to serve."""
    return f"ctl.inference.{worker}.reload"


def discovery(verb: str, service: str = "", instance: str = "") -> str:
    """Where everybody, every process of `service`, or one of them is asked whether it is there."""
    return ".".join(("$SRV", verb, *(name for name in (service, instance) if name)))


def discovery_verb(subject: str) -> str:
    """What is asked there."""
    return subject.split(".")[1]


def call_inbox(service: str, token: str) -> str:
    """Where answers to one call of `service` go."""
    return f"rpl.{service}.{token}"


def cancel(request_id: str) -> str:
    """Where a request, or one execution of it, is called off."""
    return f"ctl.inference.cancel.{request_id}"


def gateway_beat(gateway: str) -> str:
    """Where a gateway process says that it lives."""
    return f"ctl.gateway.{gateway}.beat"


def worker_lost(scheduler: str) -> str:
    """Where `scheduler` announces the death of a worker."""
    return f"ctl.scheduler.{scheduler}.worker_lost"


def gateway_reply(gateway: str, request_id: str) -> str:
    """Where the frames of one request go; the gateway process holds one wildcard subscription for all of them."""
    return f"rpl.gateway.{gateway}.{request_id}"


def gateway_frames(gateway: str) -> str:
    """Where frames of several requests of `gateway` go in one message; no request id looks like that."""
    return f"rpl.gateway.{gateway}.{SEVERAL}"


def is_token(text: str) -> bool:
    """Whether `text` may stand between two dots of a subject; anything else could change where a message goes."""
    return _TOKEN.fullmatch(text) is not None


def is_gateway_reply(subject: str) -> bool:
    """Whether `subject` is one that `gateway_reply` makes."""
    return _GATEWAY_REPLY.fullmatch(subject) is not None


def scheduler_reply(scheduler: str, token: str) -> str:
    """Where answers to `scheduler` go: hand-overs, pulled messages."""
    return f"rpl.scheduler.{scheduler}.{token}"


def split_scheduler_reply(subject: str) -> tuple[str, str]:
    """Scheduler and token of a subject that `scheduler_reply` makes; two empty texts for any other."""
    words = subject.split(".")
    return (words[2], words[3]) if len(words) == 4 and words[0] == "rpl" and words[1] == "scheduler" else ("", "")
