"""Settings of the rollout service, from environment variables that begin with `ROLLOUT_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import BackendSettings


class Settings(BackendSettings):
    """What one rollout process needs to know."""

    model_config = SettingsConfigDict(env_prefix="ROLLOUT_", env_nested_delimiter="__")

    lease_s: float = Field(default=5.0, ge=0.5, le=60)
    """How long a leading process that has fallen silent keeps the lead."""
    look_s: float = Field(default=1.0, gt=0)
    """Pause between two looks at the evidence where nothing tells of news."""
    batch: int = Field(default=2_000, ge=1, le=5_000)
    """Observations or signals in one transaction at most; under less load a transaction has what is there."""
    keep_days: float = Field(default=30.0, gt=0)
    """How long the evidence of rollouts that have ended is kept."""
    expire_s: float = Field(default=600.0, gt=0)
    """Pause between two looks at what has become too old."""
