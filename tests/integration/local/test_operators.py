"""Every service of a real stack tells what it runs with, and logs as it is told."""

from cli.operations.rest import RestSettings
from deploy.local.client import Stack
from libs.contracts.effective import SERVICES, AllSettings, ChangeLogLevel, FindSettings, LogLevels
from tests.integration.local.conftest import Commanded


async def test_every_service_tells_its_settings_and_logs_as_it_is_told(shared_stack: Commanded) -> None:
    key = Stack(shared_stack.home).admin_key()
    async with RestSettings(shared_stack.state.base_url, key) as settings:
        told: AllSettings = await settings.call("settings_show", FindSettings())
        assert [(one.service, one.away, one.instance != "") for one in told.services] == [
            (service, False, True) for service in SERVICES
        ]
        for level, was in (("WARNING", "INFO"), ("INFO", "WARNING")):
            for service in SERVICES:
                asked = ChangeLogLevel(service=service, level=level)
                done: LogLevels = await settings.call("log_level_set", asked)
                assert {(one.level, one.was, one.away) for one in done.processes} == {(level, was, False)}, service
        again: AllSettings = await settings.call("settings_show", FindSettings())
    assert again == told


def test_the_command_says_who_was_told(shared_stack: Commanded) -> None:
    told = shared_stack.run("settings", "registry", "--log-level", "info")
    assert (told.returncode, "logs INFO, was INFO" in told.stdout) == (0, True), told.stdout + told.stderr
    wrong = shared_stack.run("settings", "registry", "--log-level", "loud")
    assert (wrong.returncode, "There is no log level `LOUD`" in wrong.stderr) == (1, True), wrong.stdout
