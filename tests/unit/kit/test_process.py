"""One process: wrong settings are named, a signal ends it in order."""

import asyncio
import os
import signal
import threading

import pytest
from pydantic_settings import SettingsConfigDict

from libs.kit.process import BAD_SETTINGS, run_service
from libs.kit.settings import NatsSettings, ServiceSettings
from libs.kit.watchdog import THREAD
from libs.testkit.wait import until
from services.scheduler.settings import Settings as Scheduler


class Settings(ServiceSettings):
    """Two settings that can be wrong."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_", env_nested_delimiter="__")

    nats: NatsSettings = NatsSettings()
    pools: int


def _read() -> Settings:
    return Settings()  # type: ignore[call-arg] # the environment fills it


class Sample:
    """Asks to be stopped, as an operator would."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.stopped = settings, False

    async def run(self, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        self.stopped = True


def test_each_wrong_or_missing_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMPLE_NATS__PORT", "0")
    status = run_service("sample", _read, Sample)
    assert status == BAD_SETTINGS
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["SAMPLE_NATS__PORT", "SAMPLE_POOLS"]


def test_a_signal_ends_it_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_POOLS", "3")
    made: list[Sample] = []

    def build(settings: Settings) -> Sample:
        made.append(Sample(settings))
        return made[-1]

    monkeypatch.setattr("libs.kit.process.configure_logging", lambda *_, **__: None)
    assert run_service("sample", _read, build) == 0
    assert made[0].stopped
    assert made[0].settings.pools == 3


class Guarded(Sample):
    """Looks, before and while it serves, whether anybody would notice that it hangs."""

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.sleep(0)
        await until(lambda: not _is_watched(), timeout_s=3, what="a start that may take long")
        serving = asyncio.create_task(stop.wait())
        await until(_is_watched, timeout_s=3, what="the watchdog")
        os.kill(os.getpid(), signal.SIGTERM)
        self.stopped = await serving


def _is_watched() -> bool:
    return THREAD in {thread.name for thread in threading.enumerate()}


def test_what_serves_is_watched_and_what_only_starts_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_POOLS", "3")
    monkeypatch.setenv("LLMOS_HANG_LIMIT_S", "60")
    made: list[Guarded] = []

    def build(settings: Settings) -> Guarded:
        made.append(Guarded(settings))
        return made[-1]

    monkeypatch.setattr("libs.kit.process.configure_logging", lambda *_, **__: None)
    assert run_service("sample", _read, build) == 0
    assert made[0].stopped


def _never(_: Scheduler) -> Sample:
    raise AssertionError("built with settings that are wrong")


def test_what_is_no_json_is_named_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SCHEDULER_POOLS", "default")
    assert run_service("scheduler", Scheduler, _never) == BAD_SETTINGS
    assert capsys.readouterr().err == 'scheduler: SCHEDULER_POOLS: must be JSON, for example ["default"]\n'
