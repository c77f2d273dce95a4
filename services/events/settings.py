"""Settings of the events service, from environment variables that begin with `EVENTS_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import BackendSettings


class Settings(BackendSettings):
    """What one events process needs to know."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_", env_nested_delimiter="__")

    batch: int = Field(default=500, ge=1, le=5_000)
    """Events taken from one stream at once at most."""
    repeat_after_s: float = Field(default=60.0, gt=0)
    """How old an event that may have been published before must be to be looked for among those that are; less than
    the time for which the stream itself recognises repeats (two minutes)."""
    allow_private_addresses: bool = False
    """Whether webhooks may go to loopback, private and link-local addresses, and without TLS."""
    hook_timeout_s: float = Field(default=15.0, gt=0)
    """How long a receiver may take to answer."""
    hook_attempts: int = Field(default=10, ge=1, le=100)
    """Then an event is given up for this receiver."""
    hook_pause_s: float = Field(default=5.0, gt=0)
    """After the first attempt that failed; each pause is four times the one before."""
    hook_max_pause_s: float = Field(default=21_600.0, gt=0)
    hooks_at_once: int = Field(default=4, ge=1, le=64)
    """Attempts of one webhook that one process makes at the same time, so that one that hangs delays nobody else."""
    hooks_per_tenant: int = Field(default=50, ge=1)
    keep_days: float = Field(default=30.0, gt=0)
    """How long deliveries are kept that are over."""
    look_s: float = Field(default=1.0, gt=0)
    """Pause between two looks for deliveries that are due."""
    expire_s: float = Field(default=600.0, gt=0)
    """Pause between two looks at what has become too old."""
