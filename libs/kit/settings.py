"""Setting blocks shared by services; each service composes its own `Settings` from them in `settings.py`."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.effective import LogLevel
from libs.kit.bus.options import BusOptions


class TracingSettings(BaseSettings):
    """Whether a process records traces, and of how many requests: `LLMOS_TRACING_*`, or a service's own settings."""

    model_config = SettingsConfigDict(env_prefix="LLMOS_TRACING_")

    endpoint: str = ""
    """Where traces are sent by OTLP over HTTP, for example http://127.0.0.1:4318; empty: none are recorded."""
    sample_ratio: float = Field(default=0.005, ge=0, le=1)
    """The part of requests recorded of those that come without a decision, in a `traceparent`, of their own."""

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if endpoint and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None):
            raise ValueError("must be an address such as http://127.0.0.1:4318, without a name and a password in it")
        return endpoint


class WatchdogSettings(BaseSettings):
    """What becomes of a process that hangs: `LLMOS_HANG_LIMIT_S`, or a service's own setting."""

    model_config = SettingsConfigDict(env_prefix="LLMOS_")

    hang_limit_s: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """A process that serves and whose event loop stands still for so long ends with status 70, to be started again; 0:
    none does. Time in which the whole process is stopped does not count."""


class ServiceSettings(BaseSettings):
    """What every service is told."""

    log_level: LogLevel = "INFO"
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    watchdog: WatchdogSettings = Field(default_factory=WatchdogSettings)
    alive_file: Path | None = None
    """Touched each second from when this process has started, for whoever checks its health."""
    metrics_host: str = "127.0.0.1"
    """Where its page is: /metrics for Prometheus, /healthz, /readyz. It asks nobody for a key."""
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    """0 opens no page."""


def _read_secret(file: Path | None, value: SecretStr) -> str:
    return value.get_secret_value() if file is None else file.read_text(encoding="utf-8").strip()


class NatsSettings(BaseModel):
    """How a service reaches the bus."""

    host: str = "127.0.0.1"
    port: int = Field(default=4222, ge=1, le=65_535)
    user: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    """Read instead of `password` where it is set, so that secrets need not be in the environment."""
    tls: bool = False
    """Whether the connection is encrypted, from its first byte on."""
    tls_ca_file: Path | None = None
    """Who must have signed the bus's certificate; unset: whoever this machine trusts."""

    def secret(self) -> str:
        """The password, from the file if one is set."""
        return _read_secret(self.password_file, self.password)

    def encryption(self) -> ssl.SSLContext | None:
        """How the server is recognised; None where nothing is encrypted."""
        return ssl.create_default_context(cafile=self.tls_ca_file) if self.tls else None

    def options(self, name: str, *, inbox_prefix: str = "rpl") -> BusOptions:
        """How to connect as the process `name`; replies come to `<inbox_prefix>.<n>`."""
        return BusOptions(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.secret(),
            name=name,
            inbox_prefix=inbox_prefix,
            encryption=self.encryption(),
        )


class PostgresSettings(BaseModel):
    """How a service reaches its database."""

    host: str = "127.0.0.1"
    port: int = Field(default=5432, ge=1, le=65_535)
    user: str = "llmos"
    database: str = "llmos"
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    """Read instead of `password` where it is set."""
    pool_size: int = Field(default=8, ge=1, le=200)
    connect_timeout_s: float = Field(default=5.0, gt=0)

    def secret(self) -> str:
        """The password, from the file if one is set."""
        return _read_secret(self.password_file, self.password)


class ObjectSettings(BaseModel):
    """How a service reaches S3."""

    endpoint: str = "http://127.0.0.1:8333"
    public_endpoint: str = ""
    """What URLs for others begin with, where they reach S3 under another address; empty for the same one."""
    region: str = "us-east-1"
    bucket: str = "llmos"
    prefix: str = ""
    """What every key begins with, so that several installations may share a bucket; without slashes at its ends."""
    access_key: SecretStr = SecretStr("")
    access_key_file: Path | None = None
    secret_key: SecretStr = SecretStr("")
    secret_key_file: Path | None = None
    """Read instead of the keys where they are set."""
    timeout_s: float = Field(default=30.0, gt=0)
    """For one request, however many bytes it moves."""

    def keys(self) -> tuple[str, str]:
        """Access key and secret key."""
        return (
            _read_secret(self.access_key_file, self.access_key),
            _read_secret(self.secret_key_file, self.secret_key),
        )


class BackendSettings(ServiceSettings):
    """What a service that stands on the bus and a database is told."""

    nats: NatsSettings = Field(default_factory=NatsSettings)
    database: PostgresSettings = Field(default_factory=PostgresSettings)
    retry_s: float = Field(default=0.5, gt=0)
    """Pause before what the database or the bus did not take is tried again."""
    start_timeout_s: float = Field(default=60.0, gt=0)
    """How long the database and the bus may take to answer when this process starts."""
    drain_s: float = Field(default=5.0, ge=0, le=10)
    """How long calls that run may take when this process is stopped."""
