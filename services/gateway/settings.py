"""What an operator may set; read once, in `__main__`, from `GATEWAY_*`."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.effective import LogLevel
from libs.kit.settings import NatsSettings, TracingSettings, WatchdogSettings

_MIB = 1 << 20


class Settings(BaseSettings):
    """Settings of one gateway process."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_nested_delimiter="__", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    nats: NatsSettings = Field(default_factory=NatsSettings)
    api_keys_file: Path
    """One key per line: `[<name>:]<key> [<tenant>]`; `#` begins a comment."""
    admin_keys_file: Path | None = None
    """Keys of the platform's admins, in the same form."""
    acting_keys_file: Path | None = None
    """Keys of the platform's parts, in the same form; they ask models for the tenant that `x-llmos-tenant` names."""
    identity: bool = False
    """Whether keys of the identity service are accepted, too; ready only when they were read once."""
    audit: bool = False
    """Whether what is done through the admin API is recorded; then nothing is done that cannot be."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of balancers whose `X-Forwarded-For` the audit believes; nobody else's."""
    limited_answer_tokens: int = Field(default=1024, ge=1)
    """Limit of an answer whose request names none, where the tokens of its project or key are limited."""
    cache_salt_key_file: Path | None = None
    """Secret from which each tenant's cache salt is derived; without it a salt is good for one API key."""
    pool: str = "default"
    """Preferred where several pools serve a model."""
    log_level: LogLevel = "INFO"
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    watchdog: WatchdogSettings = Field(default_factory=WatchdogSettings)

    capture_content: bool = False
    """Whether the text of requests and answers is announced for feedback to keep; what it keeps is its own setting."""
    max_body_bytes: int = Field(default=_MIB - 64 * 1024, gt=0)
    """Must leave room for the headers within the bus's message limit (1 MiB)."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """For a body that does not arrive with its headers."""
    max_buffer_bytes: int = Field(default=4 * _MIB, gt=0)
    """Bytes of one stream that may wait for its client; a client that falls further behind is cut off."""
    max_response_bytes: int = Field(default=64 * _MIB, gt=0)
    """Size of an answer that is not streamed."""
    client_stall_s: float = Field(default=30.0, gt=0)
    """A client that takes no byte for this long is cut off."""

    queue_timeout_s: float = Field(default=60.0, gt=0)
    """A request must be started within this time."""
    queue_slack_s: float = Field(default=2.0, ge=0)
    """How much longer the gateway waits for the scheduler to say so."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """A request must be finished within this time."""
    max_retries: int = Field(default=1, ge=0, le=250)
    """How often a request whose worker died is submitted again; then it is quarantined."""

    event_beat_s: float = Field(default=15.0, gt=0)
    """A listener to events gets a sign of life after so long without one."""
    event_listeners: int = Field(default=1_000, ge=0)
    """Who may listen to events at the same time; beyond it they are refused."""

    mirror_at_once: int = Field(default=32, ge=0)
    """Requests that a rollout's shadow step may have running here at the same time; beyond it they are dropped."""

    beat_s: float = Field(default=1.0, gt=0)
    missed_beats: int = Field(default=3, ge=1)
    """A worker silent for this many beats is lost."""
    sweep_s: float = Field(default=0.25, gt=0)
    """How often deadlines and silences are looked at."""
    drain_timeout_s: float = Field(default=30.0, gt=0)
    """At shutdown, how long requests that have begun may take."""
