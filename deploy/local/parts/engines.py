"""The workers, and the task that publishes the model that they are to serve."""

import sys
from importlib import metadata
from typing import Final

from deploy.local.fleet import Fleet, WorkerReady
from deploy.local.home import CHECKOUT
from deploy.local.options import StackOptions, usable_cpus
from deploy.local.part import Part, Tier
from deploy.local.parts.nats import POOLS, environment
from deploy.local.site import Site

START_TIMEOUT_S: Final = 600.0
DRAIN_S: Final = 5
"""How long requests that are running may take when the stack is stopped."""
_STOP_S: Final = 20.0


def model(site: Site) -> tuple[Part, ...]:
    """The task that publishes the model; nothing where the engine fetches it itself."""
    options = site.options
    if not is_published(options):
        return ()
    task = Part(
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
    return (task,)


def is_published(options: StackOptions) -> bool:
    """Whether the model goes through the registry; a Hugging Face name is fetched by the engine itself."""
    return options.is_local


def workers(site: Site, fleet: Fleet) -> tuple[Part, ...]:
    """As many as were asked for."""
    return tuple(_worker(site, number, fleet) for number in range(site.options.workers))


def _worker(site: Site, number: int, fleet: Fleet) -> Part:
    options = site.options
    name = f"worker-{number}"
    page = site.ports.get(f"inference_{number}_metrics", 0)
    return Part(
        name=f"inference-{number}",
        title=f"inference worker {number}",
        command=(sys.executable, "-m", "services.inference"),
        cwd=CHECKOUT,
        inherits=True,
        env={
            "INFERENCE_NAME": name,
            "INFERENCE_POOL": POOLS[0],
            "INFERENCE_CACHE_DIR": str(site.home.directory("versions")),
            **({"INFERENCE_METRICS_PORT": str(page)} if page else {}),
            **_what_to_serve(options),
            **environment(site, "INFERENCE_NATS", "inference"),
        },
        defaults={
            "INFERENCE_DRAIN_TIMEOUT_S": str(DRAIN_S),
            **engine_environment(workers=options.workers, is_local=options.is_local),
        },
        tier=Tier.WORKER,
        after=("nats",),
        ready=WorkerReady(fleet, name),
        start_timeout_s=START_TIMEOUT_S,
        stop_timeout_s=DRAIN_S + _STOP_S,
        ports={"metrics": page} if page else {},
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
