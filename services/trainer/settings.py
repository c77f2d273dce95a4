"""Settings of the trainer, from environment variables that begin with `TRAINER_`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.kit.settings import BackendSettings


class Settings(BackendSettings):
    """What one trainer process needs to know."""

    model_config = SettingsConfigDict(env_prefix="TRAINER_", env_nested_delimiter="__")

    directory: Path = Path("/var/lib/llmos/trainer")
    """Where jobs are worked on; of this process alone."""
    cache_directory: Path | None = None
    """Where versions are kept once fetched; processes of a host may share it. Unset: below `directory`."""
    cache_bytes: int = Field(default=64 << 30, gt=0)
    gateway_url: str = "http://127.0.0.1:8000/v1"
    """Where evaluations ask models."""
    api_key_file: Path | None = None
    """A key for that, the first one of a file of keys. One that acts for tenants (`GATEWAY_ACTING_KEYS_FILE`) measures
    what belongs to any project, an ordinary one what its own tenant may ask."""
    lease_s: float = Field(default=60.0, gt=0)
    """How long a job stays with a trainer that has fallen silent."""
    look_s: float = Field(default=2.0, gt=0)
    """Pause between two looks for jobs where no event tells of one."""
    report_s: float = Field(default=1.0, gt=0)
    """Pause between two writings of progress and log."""
    retry_s: float = Field(default=1.0, gt=0)
    """Pause before what the registry or the bus did not take is tried again; doubled each time up to half a minute."""
    wait_s: float = Field(default=15.0, gt=0)
    """Pause before a job that the serving plane could not serve is tried again."""
    serve_timeout_s: float = Field(default=900.0, gt=0)
    """How long workers may take to load a version that is to be measured."""
    stop_timeout_s: float = Field(default=8.0, gt=0)
    """How long the process may take for its checkpoint when this one is stopped."""
    pause_timeout_s: float = Field(default=120.0, gt=0)
    """The same when its job is paused."""
    log_lines: int = Field(default=10_000, ge=1)
    """Of each job's log, the newest are kept."""
    work_module: str = "services.trainer.work"
    """What does the heavy work, in a process of its own."""
    priority: Literal["idle", "low", "normal"] = "idle"
    """Of that process: only when nobody else wants the processor, last in line, or like everybody."""
    work_environment: dict[str, str] = Field(default_factory=dict)
    """What that process is told beside what every such process is, as JSON."""
    code: str = ""
    """What versions say of the code that made them; unset: the checkout's commit, else the release."""

    def api_key(self) -> str:
        """The key with which models are asked; empty without a file."""
        if self.api_key_file is None:
            return ""
        lines = self.api_key_file.read_text(encoding="utf-8").splitlines()
        keys = [line.split("#")[0].split() for line in lines]
        first = next((words[0] for words in keys if words), "")
        return first.rpartition(":")[2]
