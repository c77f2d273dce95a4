"""How vLLM is started here: its flags and environment, decided before it is imported."""

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from libs.contracts.requests import MAX_CHOICES
from services.inference.engine import AdapterRoom
from services.inference.engines.model_files import native_dtype

_SMALL_MACHINE_CORES: Final = 4
_CPU_MAX_SEQUENCES: Final = 32
_NOWHERE: Final = "nowhere.invalid"
_GENERATORS: Final = "services.inference.engines.cpu_generators.CpuGenerators"

_ALWAYS: Final = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_MAX_N_SEQUENCES": str(MAX_CHOICES),
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
_ON_CPU: Final = {
    # One process less: the model runs inside the engine's own process.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # Binding claims the first cores; two workers on one machine would share one core and leave the rest idle.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # The first request for log-probabilities would otherwise stall every request for seconds while it compiles.
    "TORCHDYNAMO_DISABLE": "1",
}


def runs_on_cpu() -> bool:
    """Whether the installed vLLM is a CPU build; told from its name, because importing it fixes the environment."""
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        try:
            return "cpu" in importlib.metadata.version("vllm")
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def prepare_environment(*, cpu: bool) -> None:
    """Set what vLLM reads from the environment at import, where the operator has not; children inherit it."""
    defaults = dict(_ALWAYS)
    if cpu:
        defaults |= _ON_CPU
        if (os.cpu_count() or 1) <= _SMALL_MACHINE_CORES:
            # Idle OpenMP threads spin, which starves the other processes of a small machine.
            defaults["OMP_NUM_THREADS"] = "1"
    # The files are on disk by now; nothing of theirs may be looked up over the network.
    defaults["HF_HUB_OFFLINE"] = "1"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def engine_flags(
    directory: Path, names: Sequence[str], extra: Sequence[str], *, cpu: bool, adapters: AdapterRoom | None = None
) -> list[str]:
    """Command-line flags for vLLM's own parser.

    `extra` wins over our choices, but not over what the worker relies on.
    """
    flags = [
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        "--disable-fastapi-docs",
        # Loopback addresses and file paths included: without this any URL in a request is fetched.
        "--allowed-media-domains",
        _NOWHERE,
    ]
    if cpu:
        dtype = "float32" if native_dtype(directory) == "float32" else "bfloat16"
        flags += ["--dtype", dtype, "--enforce-eager", "--max-num-seqs", str(_CPU_MAX_SEQUENCES)]
        flags += ["--max-model-len", "auto"]
    if adapters is not None and adapters.slots:
        resident = max(adapters.slots, adapters.resident)
        flags += ["--enable-lora", "--max-loras", str(adapters.slots), "--max-lora-rank", str(adapters.max_rank)]
        flags += ["--max-cpu-loras", str(resident)]
    if cpu:
        extra = [*extra, "--worker-extension-cls", _GENERATORS]
    required = ["--model", str(directory), "--scheduling-policy", "priority", "--served-model-name", *names]
    return [*flags, *extra, *required]
