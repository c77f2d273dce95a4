"""Settings of the scheduler, from environment variables that begin with `SCHEDULER_`."""

from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from libs.contracts.topology import SUBMIT_ACK_WAIT_S
from libs.kit.settings import NatsSettings, ServiceSettings

PoolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Settings(ServiceSettings):
    """What one scheduler process needs to know."""

    model_config = SettingsConfigDict(env_prefix="SCHEDULER_", env_nested_delimiter="__")

    nats: NatsSettings = Field(default_factory=NatsSettings)
    system: NatsSettings = Field(default_factory=NatsSettings)
    """A user of the system account, to hear of dead workers at once; without a user only silence tells."""
    pools: tuple[PoolName, ...] = Field(default=("default",), min_length=1)
    accept_timeout_s: float = Field(default=0.5, gt=0)
    """How long a worker may take to answer an offer."""
    beat_timeout_s: float = Field(default=3.0, gt=0)
    """A worker silent for longer is dead; workers beat each second."""
    grace_s: float = Field(default=0.1, gt=0)
    """How long a worker suspected to be dead may take to show that it lives."""
    lease_s: float = Field(default=SUBMIT_ACK_WAIT_S, gt=0)
    """JetStream's patience with what is held; it is renewed three times as often."""
    direct: bool = True
    """Whether gateways may hand requests to workers themselves while nothing waits."""
    max_doubtful: int = Field(default=5, ge=1, le=200)
    """Executions of one request that may have started unseen before it is given up."""
