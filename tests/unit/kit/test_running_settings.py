"""What a process tells of its settings: nothing secret, and how much it logs by now."""

from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from libs.contracts.effective import SetLogLevel, Setting
from libs.kit import running_settings
from libs.kit.running_settings import RunningSettings
from libs.kit.settings import ServiceSettings
from libs.kit.shown_settings import shown

SECRET = "planted-0123"


class _Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SOME_", env_nested_delimiter="__")

    engine_args: tuple[str, ...] = ()


def _level(running: RunningSettings) -> Setting:
    (found,) = [one for one in running.told().settings if one.name == "SOME_LOG_LEVEL"]
    return found


async def test_a_changed_level_is_told_with_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(running_settings, "set_log_level", done.append)
    running = RunningSettings("some", "s1", _Settings(log_level="WARNING"))
    before = running.told()
    assert (before.service, before.instance) == ("some", "s1")
    changed = await running.change(SetLogLevel(level="DEBUG", author="ops"))
    assert (changed.instance, changed.level, changed.was, done) == ("s1", "DEBUG", "WARNING", ["DEBUG"])
    now = _level(running)
    assert (now.value, now.was, now.source) == ("DEBUG", "WARNING", "environment")
    again = await running.change(SetLogLevel(level="WARNING"))
    assert again.was == "DEBUG"
    assert running.told() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--api-key", SECRET, SECRET, "--port", "1"), "--api-key, …, …, --port, 1"),
        ((f"--hf-token={SECRET}", "--enforce-eager"), "--hf-token=…, --enforce-eager"),
        (("--max-num-batched-tokens", "2048", "--tokenizer=x"), "--max-num-batched-tokens, 2048, --tokenizer=x"),
        ((f"--some.password=a={SECRET}\n",), "--some.password=…"),
    ],
)
def test_secrets_among_flags_of_an_engine_are_not_told(words: tuple[str, ...], told: str) -> None:
    values: dict[str, Any] = {one.name: one.value for one in shown(_Settings(engine_args=words))}
    assert values["SOME_ENGINE_ARGS"] == told
