"""`python -m deploy.nats`: provision the server named by `PROVISION_*` (NATS__HOST, NATS__PORT, NATS__USER, POOLS)."""

import asyncio

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.nats.provision import provision
from libs.kit.settings import NatsSettings


class Settings(BaseSettings):
    """Which server to provision, and for which pools."""

    model_config = SettingsConfigDict(env_prefix="PROVISION_", env_nested_delimiter="__")

    nats: NatsSettings = Field(default_factory=NatsSettings)
    pools: tuple[str, ...] = ("default",)
    max_stream_bytes: int = Field(default=1 << 30, gt=0)


def main() -> None:
    """Provision and say what changed."""
    settings = Settings()
    changes = asyncio.run(provision(settings.nats, settings.pools, max_stream_bytes=settings.max_stream_bytes))
    for line in changes or ["streams and consumers are as declared"]:
        print(line)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()
