"""Settings of feedback, from environment variables that begin with `FEEDBACK_`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.contracts.feedback import ContentPolicy
from libs.kit.settings import BackendSettings


class Settings(BackendSettings):
    """What one feedback process needs to know."""

    model_config = SettingsConfigDict(env_prefix="FEEDBACK_", env_nested_delimiter="__")

    content: ContentPolicy = ContentPolicy.METADATA
    """What is kept of requests and answers; the gateway must be told to send text, too."""
    content_keep_days: float = Field(default=30.0, gt=0)
    """How old an interaction's text, or a dead letter, may become."""
    inbox_keep_days: float = Field(default=37.0, ge=8)
    """How long a repeat is known as one; more than the week that the bus keeps messages."""
    wait_s: float = Field(default=600.0, ge=0)
    """How long a signal waits for an interaction that has not been seen yet."""
    batch: int = Field(default=2_000, ge=1, le=5_000)
    """Messages in one transaction at most; under less load a transaction has what is there."""
    sweep_s: float = Field(default=1.0, gt=0)
    """Pause between two looks at signals that wait."""
    statistics_s: float = Field(default=5.0, gt=0)
    """Pause between two announcements of how versions are judged."""
    expire_s: float = Field(default=600.0, gt=0)
    """Pause between two looks at what has become too old."""
    build_directory: Path | None = None
    """Where data sets are built, a few times the size of their text; of this installation alone. Unset: among the
    system's temporary files."""
    build_s: float = Field(default=1.0, gt=0)
    """Pause between two looks for data sets to build."""
