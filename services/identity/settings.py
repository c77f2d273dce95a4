"""Settings of the identity service, from environment variables that begin with `IDENTITY_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import BackendSettings


class Settings(BackendSettings):
    """What one identity process needs to know."""

    model_config = SettingsConfigDict(env_prefix="IDENTITY_", env_nested_delimiter="__")

    keys_per_project: int = Field(default=10_000, ge=1)
    """Keys of one project that are accepted at the same time at most; every gateway holds all of them in memory."""
    lead_s: float = Field(default=5.0, gt=0)
    """How long the process that grants limits leads without renewing; another one takes over after that."""
