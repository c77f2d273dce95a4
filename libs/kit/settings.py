"""Setting blocks shared by services; each service composes its own `Settings` from them in `settings.py`."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr


class NatsSettings(BaseModel):
    """How a service reaches the bus."""

    host: str = "127.0.0.1"
    port: int = Field(default=4222, ge=1, le=65_535)
    user: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    """Read instead of `password` where it is set, so that secrets need not be in the environment."""

    def secret(self) -> str:
        """The password, from the file if one is set."""
        if self.password_file is not None:
            return self.password_file.read_text(encoding="utf-8").strip()
        return self.password.get_secret_value()
