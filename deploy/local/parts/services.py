"""Our own services, each `python -m services.<name>`: one entry for each."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from deploy.local.fleet import CallReady, Fleet
from deploy.local.home import CHECKOUT
from deploy.local.part import Part, Probe, Tier
from deploy.local.parts import engines, objects, postgres
from deploy.local.parts.nats import POOLS, environment
from deploy.local.ports import HOST
from deploy.local.probes import HttpReady
from deploy.local.site import Site
from libs.contracts import subjects
from libs.contracts.audit import FindEntries
from libs.contracts.feedback import ListDeadLetters
from libs.contracts.identity import FindOrganisations
from libs.contracts.registry import ListVersions
from libs.contracts.rollouts import FindRollouts
from libs.contracts.training import FindJobs
from libs.contracts.webhooks import FindWebhooks

_TRAINER_STOP_S: Final = 20.0
"""Twice what its process may take for a checkpoint, and a little."""
_KEPT: Final = "full"
"""What is kept of questions and answers: everything, for it stays on this machine."""


def parts(site: Site) -> tuple[Part, ...]:
    """Every service, and as many workers as were asked for."""
    fleet = Fleet(site.home, site.ports["nats"])
    stores = tuple(make(site, fleet) for make in (_registry, _feedback, _identity, _events, _audit))
    setup = _audit_setup(site)
    last = (_scheduler(site), _gateway(site), _trainer(site, fleet), _rollout(site, fleet))
    return (setup, *stores, *engines.model(site), *engines.workers(site, fleet), *last)


def _service(
    site: Site,
    name: str,
    *,
    tier: Tier = Tier.REGISTRY,
    env: Mapping[str, str] | None = None,
    after: tuple[str, ...] = (),
    ready: Probe | None = None,
    **more: Any,
) -> Part:
    """The process of a service, told where the bus and its database are; `more` is of `Part`."""
    settings = name.upper()
    stored = name in postgres.SERVICES
    page = site.ports.get(f"{name}_metrics", 0)
    return Part(
        name=name,
        title=name,
        command=(sys.executable, "-m", f"services.{name}"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, f"{settings}_NATS", name),
            **(postgres.environment(site, f"{settings}_DATABASE", name) if stored else {}),
            **({f"{settings}_METRICS_PORT": str(page)} if page else {}),
            **(env or {}),
        },
        ports={**more.pop("ports", {}), **({"metrics": page} if page else {})},
        tier=tier,
        after=("nats", "provision", *(("postgres-setup",) if stored else ()), *after),
        ready=ready,
        **more,
    )


def _registry(site: Site, fleet: Fleet) -> Part:
    return _service(
        site,
        "registry",
        env=objects.environment(site, "REGISTRY_OBJECTS"),
        after=("objects",),
        ready=CallReady(fleet, subjects.registry_call("version_list"), ListVersions(limit=1)),
    )


def _feedback(site: Site, fleet: Fleet) -> Part:
    return _service(
        site,
        "feedback",
        env={"FEEDBACK_BUILD_DIRECTORY": str(site.home.directory("datasets"))},
        defaults={"FEEDBACK_CONTENT": _KEPT},
        ready=CallReady(fleet, subjects.feedback_call("dead_letter_list"), ListDeadLetters(limit=1)),
    )


def _identity(site: Site, fleet: Fleet) -> Part:
    question = FindOrganisations(limit=1)
    return _service(site, "identity", ready=CallReady(fleet, subjects.identity_call("organisation_list"), question))


def _events(site: Site, fleet: Fleet) -> Part:
    question = FindWebhooks(limit=1)
    return _service(site, "events", ready=CallReady(fleet, subjects.events_call("webhook_list"), question))


def _audit(site: Site, fleet: Fleet) -> Part:
    env = {"AUDIT_KEY_FILE": str(site.home.secret_file("audit_key"))}
    question = FindEntries(limit=1)
    ready = CallReady(fleet, subjects.audit_call("audit_list"), question)
    return _service(site, "audit", env=env, after=("audit-setup",), ready=ready)


def _audit_setup(site: Site) -> Part:
    """Makes the audit's tables as their owner, whose password the service is never given."""
    owner = postgres.OWNERS[postgres.AUDIT]
    return Part(
        name="audit-setup",
        title="tables of the audit",
        command=(sys.executable, "-m", "services.audit.migrations"),
        cwd=CHECKOUT,
        env=postgres.environment(site, "AUDIT_OWNER_DATABASE", postgres.AUDIT, role=owner),
        tier=Tier.TASK,
        task=True,
        after=("postgres-setup",),
    )


def _rollout(site: Site, fleet: Fleet) -> Part:
    ready = CallReady(fleet, subjects.rollout_call("rollout_list"), FindRollouts(limit=1))
    return _service(site, "rollout", after=("registry",), ready=ready)


def _trainer(site: Site, fleet: Fleet) -> Part:
    return _service(
        site,
        "trainer",
        env={
            "TRAINER_DIRECTORY": str(site.home.directory("trainer")),
            "TRAINER_CACHE_DIRECTORY": str(site.home.directory("versions")),
            "TRAINER_GATEWAY_URL": f"http://{HOST}:{site.ports['gateway']}/v1",
            "TRAINER_API_KEY_FILE": str(site.home.acting_key_file()),
        },
        tier=Tier.WORKER,
        after=("registry",),
        ready=CallReady(fleet, subjects.trainer_call("job_list"), FindJobs(limit=1)),
        stop_timeout_s=_TRAINER_STOP_S,
    )


def _gateway(site: Site) -> Part:
    port = site.ports["gateway"]
    return _service(
        site,
        "gateway",
        env={
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "GATEWAY_POOL": POOLS[0],
            "GATEWAY_API_KEYS_FILE": str(site.home.api_key_file()),
            "GATEWAY_ADMIN_KEYS_FILE": str(site.home.admin_key_file()),
            "GATEWAY_ACTING_KEYS_FILE": str(site.home.acting_key_file()),
            "GATEWAY_IDENTITY": "1",
            "GATEWAY_AUDIT": "1",
            "GATEWAY_CACHE_SALT_KEY_FILE": str(site.home.secret_file("cache_salt")),
        },
        defaults={"GATEWAY_DRAIN_TIMEOUT_S": str(engines.DRAIN_S), "GATEWAY_CAPTURE_CONTENT": "1"},
        tier=Tier.DOOR,
        ready=HttpReady(port, "/readyz"),
        start_timeout_s=engines.START_TIMEOUT_S,  # ready means that a worker is ready too
        stop_timeout_s=engines.DRAIN_S + 5.0,
        ports={"http": port},
    )


def _scheduler(site: Site) -> Part:
    env = {"SCHEDULER_POOLS": json.dumps(POOLS), **environment(site, "SCHEDULER_SYSTEM", "system")}
    return _service(site, "scheduler", env=env, tier=Tier.KERNEL)
