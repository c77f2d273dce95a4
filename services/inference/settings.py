"""Settings of the worker, read once from `INFERENCE_*`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.kit.settings import NatsSettings


class Settings(BaseSettings):
    """Everything that differs between two workers."""

    model_config = SettingsConfigDict(
        env_prefix="INFERENCE_", env_nested_delimiter="__", frozen=True, extra="forbid", protected_namespaces=()
    )

    nats: NatsSettings = NatsSettings()
    name: str = "worker-0"
    """What an operator calls this worker."""
    pool: str = "default"
    """The queue that it works for."""
    engine: str = "services.inference.engines.vllm:build"
    """Factory of the engine, `module:function`."""
    model: str = ""
    """Directory or Hugging Face name."""
    model_name: str = "helpdesk"
    """Name under which clients ask for it; `<name>@champion` and `<name>@sha256:<12 hex>` are served too."""
    engine_args: tuple[str, ...] = ()
    """Flags for the engine, as a JSON list; they win over ours."""
    capacity: int = Field(default=0, ge=0)
    """Executions taken at the same time; 0 leaves it to the engine."""
    frame_interval_ms: float = Field(default=16.0, ge=0, le=1_000)
    """Tokens that follow each other faster than screens are drawn travel together; an answer's first and last never wait."""
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    """Port on loopback for Prometheus; 0 opens none."""
    drain_timeout_s: float = Field(default=30.0, ge=0)
    """How long running executions may take to finish after SIGTERM or a drain request."""
