"""Processes of every make are told to log more, and less again, and say what they run with."""

import functools
import urllib.request
from pathlib import Path

import msgspec
import pytest

from cli.operations.rest import RestSettings
from libs.contracts.effective import AllSettings, ChangeLogLevel, FindSettings, LogLevels, Settings
from libs.kit.errors import ServiceError
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform
from libs.testkit.ports import free_port
from libs.testkit.wait import until

ADMIN = "sk-admin-of-this-test"
SECRET = "planted-0123456789"
PATIENCE_S = 90.0


async def _told(settings: RestSettings, service: str) -> Settings:
    found: AllSettings = await settings.call("settings_show", FindSettings(service))
    (one,) = found.services
    return one


async def _set(settings: RestSettings, service: str, level: str, instance: str = "") -> LogLevels:
    asked = ChangeLogLevel(service=service, level=level, instance=instance, author="ops")
    done: LogLevels = await settings.call("log_level_set", asked)
    return done


def _level(told: Settings) -> tuple[str, str]:
    (level,) = [one for one in told.settings if one.name.endswith("_LOG_LEVEL")]
    return level.value, level.was


async def test_each_process_logs_as_it_is_told_until_it_ends(nats: NatsServer, tmp_path: Path) -> None:
    admins = tmp_path / "admins"
    admins.write_text(f"ops:{ADMIN}\n", encoding="utf-8")
    ports = {"inference": free_port(), "scheduler": free_port()}
    environment = {f"{name.upper()}_METRICS_PORT": str(port) for name, port in ports.items()}
    environment |= {f"{name.upper()}_NATS__PASSWORD": SECRET for name in ("gateway", *ports)}
    environment["GATEWAY_ADMIN_KEYS_FILE"] = str(admins)
    logs = {"inference": tmp_path / "stack/worker-0.log", "scheduler": tmp_path / "stack/scheduler.log"}
    platform = Platform(tmp_path / "stack", nats, environment=environment)

    def asked(service: str) -> bool:
        """Ask for its page: whether its log tells of that."""
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[service]}/healthz") as answer:
            assert answer.status == 200
        return "page asked" in logs[service].read_text(encoding="utf-8")

    with platform:
        async with RestSettings(platform.url, ADMIN) as settings:
            for service in ("gateway", *ports):
                before = await _told(settings, service)
                assert (_level(before), before.away) == (("INFO", ""), False)
                for secret in (SECRET, *nats.passwords.values()):
                    assert secret.encode() not in msgspec.json.encode(before)
                secrets = {one.name: one.value for one in before.settings if one.is_secret}
                assert secrets[f"{service.upper()}_NATS__PASSWORD"] == "set"
                assert before.instance
                if service in ports:
                    assert not asked(service)
                (changed,) = (await _set(settings, service, "DEBUG")).processes
                assert (changed.instance, changed.level, changed.was) == (before.instance, "DEBUG", "INFO")
                assert _level(await _told(settings, service)) == ("DEBUG", "INFO")
                if service in ports:
                    await until(functools.partial(asked, service), timeout_s=PATIENCE_S, what="a line for programmers")
                await _set(settings, service, "INFO", before.instance)
                assert await _told(settings, service) == before
            with pytest.raises(ServiceError) as unknown:
                await _set(settings, "inference", "TRACE")
            assert (unknown.value.code, unknown.value.spec.status) == ("invalid_setting", 422)
