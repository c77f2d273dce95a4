"""Our own services, each `python -m services.<name>`, and the task that publishes the model that is to be served."""

import json
import sys
from importlib import metadata
from typing import Final

from deploy.local.fleet import (
    Fleet,
    WorkerReady,
    events_ready,
    feedback_ready,
    identity_ready,
    registry_ready,
    rollout_ready,
    trainer_ready,
)
from deploy.local.home import CHECKOUT
from deploy.local.options import StackOptions, usable_cpus
from deploy.local.part import Part, Tier
from deploy.local.parts import objects, postgres
from deploy.local.parts.nats import POOLS, environment
from deploy.local.ports import HOST
from deploy.local.probes import HttpReady
from deploy.local.site import Site

_ENGINE_START_TIMEOUT_S: Final = 600.0
_ENGINE_STOP_S: Final = 20.0
_TRAINER_STOP_S: Final = 20.0
"""Twice what its process may take for a checkpoint, and a little."""
_KEPT: Final = "full"
"""What is kept of questions and answers: everything, for it stays on this machine."""
_DRAIN_S: Final = 5
"""How long requests that are running may take when the stack is stopped."""


def parts(site: Site) -> tuple[Part, ...]:
    """Every service, and as many workers as were asked for."""
    fleet = Fleet(site.home, site.ports["nats"])
    workers = (_worker(site, number, fleet) for number in range(site.options.workers))
    model = (_model(site),) if is_published(site.options) else ()
    stores = (_registry(site, fleet), _feedback(site, fleet), _identity(site, fleet), _events(site, fleet))
    last = (_scheduler(site), _gateway(site), _trainer(site, fleet), _rollout(site, fleet))
    return (*stores, *model, *workers, *last)


def is_published(options: StackOptions) -> bool:
    """Whether the model goes through the registry; a Hugging Face name is fetched by the engine itself."""
    return options.is_local


def _service(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"services.{name}")


def _registry(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="registry",
        title="registry",
        command=_service("registry"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "REGISTRY_NATS", "registry"),
            **postgres.environment(site, "REGISTRY_DATABASE", postgres.REGISTRY),
            **objects.environment(site, "REGISTRY_OBJECTS"),
        },
        tier=Tier.REGISTRY,
        after=("nats", "provision", "postgres-setup", "objects"),
        ready=registry_ready(fleet),
    )


def _feedback(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="feedback",
        title="feedback",
        command=_service("feedback"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "FEEDBACK_NATS", "feedback"),
            **postgres.environment(site, "FEEDBACK_DATABASE", postgres.FEEDBACK),
            "FEEDBACK_BUILD_DIRECTORY": str(site.home.directory("datasets")),
        },
        defaults={"FEEDBACK_CONTENT": _KEPT},
        tier=Tier.REGISTRY,
        after=("nats", "provision", "postgres-setup"),
        ready=feedback_ready(fleet),
    )


def _trainer(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="trainer",
        title="trainer",
        command=_service("trainer"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "TRAINER_NATS", "trainer"),
            **postgres.environment(site, "TRAINER_DATABASE", postgres.TRAINER),
            "TRAINER_DIRECTORY": str(site.home.directory("trainer")),
            "TRAINER_CACHE_DIRECTORY": str(site.home.directory("versions")),
            "TRAINER_GATEWAY_URL": f"http://{HOST}:{site.ports['gateway']}/v1",
            "TRAINER_API_KEY_FILE": str(site.home.api_key_file()),
        },
        tier=Tier.WORKER,
        after=("nats", "provision", "postgres-setup", "registry"),
        ready=trainer_ready(fleet),
        stop_timeout_s=_TRAINER_STOP_S,
    )


def _rollout(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="rollout",
        title="rollout",
        command=_service("rollout"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "ROLLOUT_NATS", "rollout"),
            **postgres.environment(site, "ROLLOUT_DATABASE", postgres.ROLLOUT),
        },
        tier=Tier.REGISTRY,
        after=("nats", "provision", "postgres-setup", "registry"),
        ready=rollout_ready(fleet),
    )


def _identity(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="identity",
        title="identity",
        command=_service("identity"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "IDENTITY_NATS", "identity"),
            **postgres.environment(site, "IDENTITY_DATABASE", postgres.IDENTITY),
        },
        tier=Tier.REGISTRY,
        after=("nats", "provision", "postgres-setup"),
        ready=identity_ready(fleet),
    )


def _events(site: Site, fleet: Fleet) -> Part:
    return Part(
        name="events",
        title="events",
        command=_service("events"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            **environment(site, "EVENTS_NATS", "events"),
            **postgres.environment(site, "EVENTS_DATABASE", postgres.EVENTS),
        },
        tier=Tier.REGISTRY,
        after=("nats", "provision", "postgres-setup"),
        ready=events_ready(fleet),
    )


def _model(site: Site) -> Part:
    options = site.options
    return Part(
        name="publish-model",
        title=f"model {options.model_name}",
        command=(sys.executable, "-m", "deploy.local.publish_model"),
        cwd=CHECKOUT,
        env={
            "PUBLISH_DIRECTORY": options.model,
            "PUBLISH_NAME": options.model_name,
            "PUBLISH_POOL": POOLS[0],
            "PUBLISH_ASKED": str(options.model_asked),
            **environment(site, "PUBLISH_NATS", "provisioner"),
        },
        tier=Tier.REGISTRY,
        task=True,
        after=("registry", "objects-setup"),
    )


def _gateway(site: Site) -> Part:
    port = site.ports["gateway"]
    return Part(
        name="gateway",
        title="gateway",
        command=_service("gateway"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "GATEWAY_POOL": POOLS[0],
            "GATEWAY_API_KEYS_FILE": str(site.home.api_key_file()),
            "GATEWAY_ADMIN_KEYS_FILE": str(site.home.admin_key_file()),
            "GATEWAY_IDENTITY": "1",
            "GATEWAY_CACHE_SALT_KEY_FILE": str(site.home.secret_file("cache_salt")),
            **environment(site, "GATEWAY_NATS", "gateway"),
        },
        defaults={"GATEWAY_DRAIN_TIMEOUT_S": str(_DRAIN_S), "GATEWAY_CAPTURE_CONTENT": "1"},
        tier=Tier.DOOR,
        after=("nats", "provision"),
        ready=HttpReady(port, "/readyz"),
        start_timeout_s=_ENGINE_START_TIMEOUT_S,  # ready means that a worker is ready too
        stop_timeout_s=_DRAIN_S + 5.0,
        ports={"http": port},
    )


def _scheduler(site: Site) -> Part:
    return Part(
        name="scheduler",
        title="scheduler",
        command=_service("scheduler"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            "SCHEDULER_POOLS": json.dumps(POOLS),
            **environment(site, "SCHEDULER_NATS", "scheduler"),
            **environment(site, "SCHEDULER_SYSTEM", "system"),
        },
        tier=Tier.KERNEL,
        after=("nats", "provision"),
    )


def _worker(site: Site, number: int, fleet: Fleet) -> Part:
    options = site.options
    name = f"worker-{number}"
    return Part(
        name=f"inference-{number}",
        title=f"inference worker {number}",
        command=_service("inference"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            "INFERENCE_NAME": name,
            "INFERENCE_POOL": POOLS[0],
            "INFERENCE_CACHE_DIR": str(site.home.directory("versions")),
            **_what_to_serve(options),
            **environment(site, "INFERENCE_NATS", "inference"),
        },
        defaults={
            "INFERENCE_DRAIN_TIMEOUT_S": str(_DRAIN_S),
            **engine_environment(workers=options.workers, is_local=options.is_local),
        },
        tier=Tier.WORKER,
        after=("nats",),
        ready=WorkerReady(fleet, name),
        start_timeout_s=_ENGINE_START_TIMEOUT_S,
        stop_timeout_s=_DRAIN_S + _ENGINE_STOP_S,
    )


def _what_to_serve(options: StackOptions) -> dict[str, str]:
    """Without a model, a worker follows its pool's deployment."""
    if is_published(options):
        return {"INFERENCE_MODEL": ""}
    return {"INFERENCE_MODEL": options.model, "INFERENCE_MODEL_NAME": options.model_name}


def engine_environment(*, workers: int, is_local: bool) -> dict[str, str]:
    """What vLLM and torch are told on this machine; anyone may overrule it by setting the variable."""
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if is_local:
        quiet["HF_HUB_OFFLINE"] = "1"
    if not _is_cpu_build():
        return quiet
    # One core is left to the rest of the stack. Without "nobind" every engine would bind itself to the first core.
    threads = max(1, (usable_cpus() - 1) // workers)
    return quiet | {
        "OMP_NUM_THREADS": str(threads),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process less, and half the start
        "TORCHDYNAMO_DISABLE": "1",  # else the first request with logprobs stalls the engine for ten seconds
    }


def _is_cpu_build() -> bool:
    """Whether vLLM's CPU distribution is installed; asked of the package list, for importing it takes ten seconds."""
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return False
    return True
