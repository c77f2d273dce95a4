"""Settings of the rollout service, from environment variables that begin with `ROLLOUT_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import NatsSettings, PostgresSettings, ServiceSettings


class Settings(ServiceSettings):
    """What one rollout process needs to know."""

    model_config = SettingsConfigDict(env_prefix="ROLLOUT_", env_nested_delimiter="__")

    nats: NatsSettings = Field(default_factory=NatsSettings)
    database: PostgresSettings = Field(default_factory=PostgresSettings)
    lease_s: float = Field(default=5.0, ge=0.5, le=60)
    """How long a leading process that has fallen silent keeps the lead."""
    look_s: float = Field(default=1.0, gt=0)
    """Pause between two looks at the evidence where nothing tells of news."""
    batch: int = Field(default=2_000, ge=1, le=5_000)
    """Observations or signals in one transaction at most; under less load a transaction has what is there."""
    retry_s: float = Field(default=0.5, gt=0)
    """Pause before what the database or the bus did not take is tried again."""
    keep_days: float = Field(default=30.0, gt=0)
    """How long the evidence of rollouts that have ended is kept."""
    expire_s: float = Field(default=600.0, gt=0)
    """Pause between two looks at what has become too old."""
    start_timeout_s: float = Field(default=60.0, gt=0)
    """How long the database and the bus may take to answer when this process starts."""
