"""Real vLLM: its own server, and the engine arguments that both sides get, every one of them said."""

import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.accounting import Role
from benchmarks.contenders import Contender
from benchmarks.generator import Target
from benchmarks.isolation import free_port
from benchmarks.llmos import Worker
from benchmarks.processes import Program, answers

MODEL_NAME: Final = "bench"
START_S: Final = 300.0
IGNORE_END: Final[dict[str, object]] = {"ignore_eos": True, "temperature": 0}
"""Makes every answer as long as asked for, so that both sides do equal work."""

ENGINE_ARGUMENTS: Final = (
    *("--dtype", "bfloat16"),
    *("--max-model-len", "512"),
    *("--max-num-seqs", "64"),
    *("--max-num-batched-tokens", "2048"),
    *("--scheduling-policy", "priority"),
    *("--seed", "0"),
    "--enforce-eager",
    "--enable-prefix-caching",
    "--enable-prompt-tokens-details",
    "--disable-fastapi-docs",
)
_ENVIRONMENT: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_SLEEP_WHEN_IDLE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
}


def vllm_version() -> str:
    """The version of vLLM that is installed here, under whichever name."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "vllm is not installed"


def engine_settings(model: Path) -> dict[str, str]:
    """What the plan of a run names: the engine, its arguments, and the model by its weights."""
    digest = hashlib.sha256()
    for weights in sorted(model.glob("*.safetensors")):
        digest.update(weights.read_bytes())
    arguments = " ".join(ENGINE_ARGUMENTS)
    return {
        "vLLM": vllm_version(),
        "engine arguments": f"`{arguments}`",
        f"model {model.name}": digest.hexdigest()[:12],
    }


def vllm_worker(model: Path) -> Worker:
    """Our worker with a real engine."""
    environment = {**_ENVIRONMENT, "INFERENCE_ENGINE_ARGS": json.dumps(ENGINE_ARGUMENTS)}
    return Worker(model=str(model), model_name=MODEL_NAME, environment=environment, extra=IGNORE_END)


def start_vllm_serve(home: Path, model: Path, keep: Callable[[Program], None]) -> Contender:
    """The server of vLLM itself, by its module: the `vllm` command of the CPU distribution does not start."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", MODEL_NAME, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--disable-uvicorn-access-log", *ENGINE_ARGUMENTS]
    program = Program("vllm serve", command, home / "logs/vllm-serve.log", _ENVIRONMENT)
    keep(program)
    program.wait_until(lambda: answers(port, "/health"), START_S)
    return Contender(
        name="vllm-serve",
        title="vllm serve",
        version=vllm_version(),
        target=Target(port, MODEL_NAME, {}, IGNORE_END),
        roles=(Role("api", program.pid),),
    )
