"""Publishes the stack's model and has the pool serve it: `python -m deploy.local.publish_model`, told by `PUBLISH_*`.

It runs at each start. What is published, has a champion, or is deployed already is left as it is, unless the model was
asked for by name: then that one is served.
"""

import asyncio
import os
import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.registry import (
    DEFAULT_ALIAS,
    Deploy,
    DeploymentStatus,
    Kind,
    ListAliases,
    PoolName,
    SetAlias,
    Version,
)
from libs.contracts.versions import full_reference
from libs.kit.bus import BusClient, BusError
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, publish, scan
from libs.kit.registry_client import BusRegistry, Registry
from libs.kit.settings import NatsSettings

AUTHOR = "local-stack"
INBOX = "_INBOX"
"""Where the provisioner may be answered."""


class Settings(BaseSettings):
    """Which model to publish, and where."""

    model_config = SettingsConfigDict(env_prefix="PUBLISH_", env_nested_delimiter="__")

    nats: NatsSettings = Field(default_factory=NatsSettings)
    directory: Path
    name: str
    pool: str
    asked: bool = False
    """Whether the model was asked for, so that it replaces what the pool serves."""


def main() -> None:
    """Publish, and say what was done; status 78 when trying again cannot help, 1 when it may."""
    settings = Settings()  # type: ignore[call-arg] # the environment fills it
    try:
        for line in asyncio.run(_run(settings)):
            print(line)  # noqa: T201 - this is the log
    except ServiceError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - this is the log
        sys.exit(1 if error.spec.retryable else os.EX_CONFIG)
    except BusError as error:
        sys.exit(str(error))


async def _run(settings: Settings) -> list[str]:
    bus = BusClient(settings.nats.options("publish", inbox_prefix=INBOX))
    await bus.connect()
    try:
        return await settle(BusRegistry(bus), settings)
    finally:
        await bus.close()


async def settle(registry: Registry, settings: Settings) -> list[str]:
    """Publish the model and make the pool serve it; returns what was done, one line each.

    Raises:
        ServiceError: the registry refused, or is not there.
    """
    found = scan(settings.directory, Description(name=settings.name, kind=Kind.MODEL))
    version = await publish(registry, found, AUTHOR)
    done = [f"{version.reference} is published"]
    if await _lead(registry, version, replace=settings.asked):
        done.append(f"{version.name}@{DEFAULT_ALIAS} is {version.reference}")
    if await _deploy(registry, version, settings):
        done.append(f"the pool {settings.pool} serves {version.reference}")
    return done


async def _lead(registry: Registry, version: Version, *, replace: bool) -> bool:
    """Make the version the champion where there is none, or where this one was asked for; whether it moved."""
    listed = await registry.call("alias_list", ListAliases(version.name))
    champion = next((alias.digest for alias in listed.aliases if alias.alias == DEFAULT_ALIAS), "")
    if champion == version.digest or (champion and not replace):
        return False
    await registry.call(
        "alias_set",
        SetAlias(
            name=version.name,
            alias=DEFAULT_ALIAS,
            target=full_reference(version.name, version.digest),
            author=AUTHOR,
            expected=champion,
            reason="the model of the local stack",
        ),
    )
    return True


async def _deploy(registry: Registry, version: Version, settings: Settings) -> bool:
    """Declare the pool where nothing is declared, or where another model was asked for; whether it changed."""
    expected = 0
    try:
        status: DeploymentStatus = await registry.call("deployment_show", PoolName(settings.pool))
        if status.deployment.base.digest == version.digest or not settings.asked:
            return False
        expected = status.deployment.generation
    except ServiceError as error:
        if error.code != "not_found":
            raise
    base = full_reference(version.name, version.digest)
    wanted = Deploy(pool=settings.pool, base=base, author=AUTHOR, expected_generation=expected)
    await registry.call("deployment_declare", wanted)
    return True


if __name__ == "__main__":
    main()
