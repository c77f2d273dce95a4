"""Putting a worker together."""

import pytest

from services.inference.app import build_app
from services.inference.settings import Settings


def test_an_engine_without_a_function_is_refused() -> None:
    with pytest.raises(ValueError, match="module:function"):
        build_app(Settings(engine="libs.testkit.fake_engine"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_ENGINE_ARGS", '["--max-num-seqs", "4"]')
    monkeypatch.setenv("INFERENCE_NATS__PORT", "4333")
    monkeypatch.setenv("INFERENCE_MODEL", "some/dir")
    settings = Settings()
    assert settings.engine_args == ("--max-num-seqs", "4")
    assert (settings.nats.port, settings.model) == (4333, "some/dir")
