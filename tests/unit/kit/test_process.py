"""One process: wrong settings are named, a signal ends it in order."""

import asyncio
import os
import signal

import pytest
from pydantic_settings import SettingsConfigDict

from libs.kit.process import BAD_SETTINGS, run_service
from libs.kit.settings import NatsSettings, ServiceSettings
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


def _never(_: Scheduler) -> Sample:
    raise AssertionError("built with settings that are wrong")


def test_what_is_no_json_is_named_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SCHEDULER_POOLS", "default")
    assert run_service("scheduler", Scheduler, _never) == BAD_SETTINGS
    assert capsys.readouterr().err == 'scheduler: SCHEDULER_POOLS: must be JSON, for example ["default"]\n'
