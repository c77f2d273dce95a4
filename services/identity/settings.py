"""Settings of the identity service, from environment variables that begin with `IDENTITY_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import NatsSettings, PostgresSettings, ServiceSettings


class Settings(ServiceSettings):
    """What one identity process needs to know."""

    model_config = SettingsConfigDict(env_prefix="IDENTITY_", env_nested_delimiter="__")

    nats: NatsSettings = Field(default_factory=NatsSettings)
    database: PostgresSettings = Field(default_factory=PostgresSettings)
    keys_per_project: int = Field(default=10_000, ge=1)
    """Keys of one project that are accepted at the same time at most; every gateway holds all of them in memory."""
    lead_s: float = Field(default=5.0, gt=0)
    """How long the process that grants limits leads without renewing; another one takes over after that."""
    retry_s: float = Field(default=0.5, gt=0)
    """Pause before what the database or the bus did not take is tried again."""
    start_timeout_s: float = Field(default=60.0, gt=0)
    """How long the database and the bus may take to answer when this process starts."""
