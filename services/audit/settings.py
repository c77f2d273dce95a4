"""Settings of the audit service, from environment variables that begin with `AUDIT_`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.audit import HEADS_EVERY_S
from libs.kit.settings import BackendSettings, PostgresSettings
from services.audit.chain import KEY_BYTES


class OwnerSettings(BaseSettings):
    """What making the tables needs to know (`AUDIT_OWNER_…`); the service never sees it."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_OWNER_", env_nested_delimiter="__", extra="forbid")

    database: PostgresSettings = Field(default_factory=PostgresSettings)
    writer: str = Field(default="audit", min_length=1)
    """The role that the service has."""
    start_timeout_s: float = Field(default=60.0, gt=0)


class Settings(BackendSettings):
    """What one audit process needs to know."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_", env_nested_delimiter="__")

    key_file: Path | None = None
    """Required: the secret from which links are made. Who has it can forge them, so it is in no database."""
    heads_every_s: float = Field(default=HEADS_EVERY_S, gt=0)
    """How often the newest link is said on the bus at least."""
    batch: int = Field(default=500, ge=1)
    """Entries that are recorded in one transaction at most."""

    def key(self) -> bytes:
        """The secret itself.

        Raises:
            ValueError: no file is named, it cannot be read, or it is too short.
        """
        if self.key_file is None:
            raise ValueError("AUDIT_KEY_FILE must name the file with the secret")
        try:
            key = self.key_file.read_bytes().strip()
        except OSError as error:
            raise ValueError(f"AUDIT_KEY_FILE: {error.filename}: {error.strerror}") from error
        if len(key) < KEY_BYTES:
            raise ValueError(f"AUDIT_KEY_FILE: the secret must have {KEY_BYTES} bytes at least")
        return key

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        self.key()
        return self
