"""Settings of the registry, from environment variables that begin with `REGISTRY_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import BackendSettings, ObjectSettings


class Settings(BackendSettings):
    """What one registry process needs to know."""

    model_config = SettingsConfigDict(env_prefix="REGISTRY_", env_nested_delimiter="__")

    objects: ObjectSettings = Field(default_factory=ObjectSettings)
    upload_ttl_s: float = Field(default=86_400.0, gt=0)
    """How long an upload is kept after it was last asked for; until then its blobs are safe."""
    url_ttl_s: float = Field(default=3_600.0, gt=0, le=604_800)
    """How long a URL to a blob is valid."""
    verify_parallel: int = Field(default=4, ge=1, le=64)
    """Blobs (at most 64 MiB each) that one process reads back at the same time."""
    steward_s: float = Field(default=0.5, gt=0)
    """Pause between two looks at deployments and unsent events."""
    announce_s: float = Field(default=10.0, gt=0)
    """How often every pool's desired state is put into the bucket, changed or not."""
    beat_timeout_s: float = Field(default=3.0, gt=0)
    """A worker silent for longer is not counted; workers beat each second."""
    adapter_grace_s: float = Field(default=60.0, ge=0)
    """How long an adapter stays loaded after the last name has left it."""
    roll_timeout_s: float = Field(default=900.0, gt=0)
    """How long a worker may take to come back with a new base."""
    purge_after_s: float = Field(default=7 * 86_400.0, ge=0)
    """How long S3 keeps what garbage collection deleted."""
