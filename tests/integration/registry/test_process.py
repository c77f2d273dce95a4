"""The registry as a process: settings, a bus that is late or refuses, and who leads when the leader dies."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.contracts.registry import Deploy, ListVersions
from libs.kit.errors import ServiceError
from libs.kit.process import BAD_SETTINGS
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryGround, registry_process
from libs.testkit.service_process import ROOT
from libs.testkit.wait import until
from services.registry.app import build_app
from tests.integration.registry.followers import followers


async def _run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.registry"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("REGISTRY_URL_TTL_S", "0"), ("REGISTRY_VERIFY_PARALLEL", "many"), ("REGISTRY_DATABASE__PORT", "99999")],
)
async def test_settings_that_make_no_sense_are_refused(name: str, value: str) -> None:
    done = await _run({name: value})
    assert done.returncode == BAD_SETTINGS
    assert done.stderr.startswith(f"registry: {name}: ")


@pytest.mark.parametrize("which", ["bus", "database"])
async def test_a_process_that_is_refused_ends_and_says_why(which: str, ground: RegistryGround, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    name = "REGISTRY_NATS__PASSWORD_FILE" if which == "bus" else "REGISTRY_DATABASE__PASSWORD_FILE"
    done = await _run({**ground.environment(start_timeout_s=2.0), name: str(wrong)})
    assert done.returncode == 1
    assert ("NATS__PASSWORD_FILE" if which == "bus" else "DATABASE__PASSWORD_FILE") in done.stderr
    assert "registry started" not in done.stderr


async def test_a_bus_that_is_late_is_waited_for(ground: RegistryGround, private_nats: NatsServer) -> None:
    ground.nats = private_nats
    await asyncio.to_thread(private_nats.stop)

    async def come_late() -> None:
        await until((ground.directory / "registry-1.log").exists)
        await asyncio.to_thread(private_nats.start)

    late = asyncio.create_task(come_late())
    async with registry_process(ground) as process:
        await late
        async with ground.desk() as desk:
            assert (await desk.call("version_list", ListVersions())).versions == ()
        assert await process.end() == 0


async def test_a_call_that_a_stop_cuts_off_is_told_so(ground: RegistryGround, model: Path) -> None:
    reached = asyncio.Event()

    async def hold(step: str) -> None:
        if step == "commit begun":
            reached.set()
            await asyncio.Event().wait()

    app = build_app(ground.settings(drain_s=0.1), hold)
    await app.start()
    async with ground.desk() as desk:
        publishing = asyncio.create_task(desk.publish(model, "helpdesk"))
        await reached.wait()
        await app.stop()
        with pytest.raises(ServiceError) as caught:
            await publishing
        assert caught.value.code == "shutting_down"
        async with ground.registry():
            assert (await desk.publish(model, "helpdesk")).number == 1


async def test_when_the_leader_dies_another_goes_on(ground: RegistryGround, model: Path) -> None:
    async with registry_process(ground) as first, ground.desk() as desk, followers(ground.nats, "w0") as workers:
        await desk.publish(model, "helpdesk")
        await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@1", author="ann"))
        await until(lambda: workers.now is not None)
        async with ground.registry():
            await first.end(signal.SIGKILL)
            await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@1", author="ann", replicas=2))
            await until(lambda: workers.now is not None and workers.now.generation == 2)
