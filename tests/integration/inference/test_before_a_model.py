"""A worker that has no model yet: it can be found, told and ended."""

import asyncio
import dataclasses

import pytest

from libs.contracts.calls import Empty
from libs.contracts.effective import SetLogLevel, Settings
from libs.kit import running_settings
from libs.kit.bus import BusClient
from libs.kit.errors import ServiceError
from libs.kit.operators_client import BusOperators, BusProcess
from libs.kit.roll_call import RollCall
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import eventually
from tests.integration.inference.following import Stage

LOG_LEVEL = "INFERENCE_LOG_LEVEL"


async def test_it_can_be_found_before_it_has_a_model_and_says_that_it_lacks_its_engine(
    stage: Stage, nats: NatsServer
) -> None:
    stage.start()
    asking = BusClient(dataclasses.replace(nats.options("gateway"), inbox_prefix="rpl.gateway"))
    await asking.connect()

    async def lacking(*lacks: str) -> str | None:
        services = (await RollCall(asking, "rpl.gateway", limit_s=30).call()).services
        found = next(each.instances for each in services if each.name == "inference")
        return found[0].id if [one.lacks for one in found] == [lacks] else None

    waiting = await eventually(lambda: lacking("engine"), timeout_s=60)
    base = stage.base("one")
    stage.registry.deploy(base.stored, names={"helpdesk": base.stored})
    await stage.offers(base.name, "helpdesk")
    assert await eventually(lacking, timeout_s=60) == waiting == stage.worker
    await asking.close()


async def test_it_tells_its_settings_and_logs_as_it_is_told_before_it_has_a_model_and_after(
    stage: Stage, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(running_settings, "set_log_level", told.append)
    stage.start()
    asking = BusClient(dataclasses.replace(nats.options("gateway"), inbox_prefix="rpl.gateway"))
    await asking.connect()
    operators = BusOperators(asking, "inference")

    async def there() -> Settings | None:
        try:
            found: Settings = await operators.call("settings_show", Empty())
        except ServiceError:
            return None
        return found

    before = await eventually(there, timeout_s=60)
    process = BusProcess(asking, "inference", before.instance)
    await process.call("log_level", SetLogLevel(level="DEBUG"))
    base = stage.base("one")
    stage.registry.deploy(base.stored, names={"helpdesk": base.stored})
    await stage.offers(base.name, "helpdesk")
    (after,) = [one for one in (await operators.call("settings_show", Empty())).settings if one.name == LOG_LEVEL]
    assert (before.instance, after.value, after.was) == (stage.worker, "DEBUG", "INFO")
    assert (await process.call("log_level", SetLogLevel(level="INFO"))).was == "DEBUG"
    assert (await operators.call("settings_show", Empty()), told) == (before, ["DEBUG", "INFO"])
    await asking.close()


async def test_told_to_end_before_there_is_a_deployment_it_ends(stage: Stage) -> None:
    stage.start()
    await asyncio.sleep(0)
    assert await stage.end() == 0
    assert not stage.orders
