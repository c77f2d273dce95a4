"""Settings of the worker, read once from `INFERENCE_*`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.effective import LogLevel
from libs.kit.settings import NatsSettings, TracingSettings, WatchdogSettings


class Settings(BaseSettings):
    """Everything that differs between two workers."""

    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_", env_nested_delimiter="__", frozen=True, extra="forbid", protected_namespaces=()
    )

    nats: NatsSettings = NatsSettings()
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    watchdog: WatchdogSettings = Field(default_factory=WatchdogSettings)
    log_level: LogLevel = "INFO"
    """Of this process; what the engine itself says has `VLLM_LOGGING_LEVEL`."""
    name: str = "worker-0"
    """What an operator calls this worker."""
    pool: str = "default"
    """The queue that it works for."""
    engine: str = "services.inference.engines.vllm:build"
    """Factory of the engine, `module:function`."""
    model: str = ""
    """Directory or Hugging Face name; empty: whatever the deployment of `pool` says, from the registry."""
    model_name: str = "helpdesk"
    """Name under which clients ask for it; `<name>@champion` and `<name>@sha256:<12 hex>` are served too."""
    engine_args: tuple[str, ...] = ()
    """Flags for the engine, as a JSON list; they win over ours."""
    capacity: int = Field(default=0, ge=0)
    """Executions taken at the same time; 0 leaves it to the engine."""
    frame_interval_ms: float = Field(default=16.0, ge=0, le=1_000)
    """Tokens that follow each other faster travel together, but not the first and the last. 0: each alone."""
    cache_dir: Path = Path("~/.cache/llmos/versions")
    """Versions from the registry; workers of one host share it."""
    cache_max_bytes: int = Field(default=64 << 30, gt=0)
    """What they may take together; what was used longest ago goes first, what is in use stays."""
    cache_rehash: bool = False
    """Read every byte of a cached version again before it is loaded."""
    adapter_slots: int = Field(default=4, ge=0)
    """Different adapters in one batch of the engine, with a model from the registry; 0 turns adapters off."""
    adapter_max_rank: int = Field(default=32, ge=1)
    """Largest rank of an adapter."""
    adapters_resident: int = Field(default=32, ge=0)
    """Adapters kept in memory; others are read from disk again when they are asked for."""
    metrics_host: str = "127.0.0.1"
    """Where its page is: /metrics for Prometheus, the engine's too, /healthz, /readyz. It asks nobody for a key."""
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    """0 opens no page."""
    alive_file: Path | None = None
    """Touched each second while this worker serves, for whoever checks its health."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """How long running executions may take to finish after SIGTERM or a drain request."""
