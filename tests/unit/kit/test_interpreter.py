"""Telling how the running Python was built."""

import sys
import sysconfig

import pytest

from libs.kit import interpreter


@pytest.mark.parametrize(
    ("arguments", "prefix", "optimised"),
    [
        ("'--enable-shared' '--prefix=/home/a/versions/3.11.7'", "/home/a/versions/3.11.7", False),
        ("'--enable-optimizations' '--with-lto'", "/usr/local", True),
        ("'--enable-shared' '--prefix=/usr'", "/usr", True),
        (None, "/opt/python", False),
    ],
)
def test_a_build_is_told_by_its_flag_or_as_a_distributions(
    monkeypatch: pytest.MonkeyPatch, arguments: str | None, prefix: str, *, optimised: bool
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": arguments}.get)
    monkeypatch.setattr(sys, "base_prefix", prefix)
    assert interpreter.is_optimised() is optimised
    assert interpreter.described().startswith(sys.version.split()[0] + " (")
    assert ("without" in interpreter.described()) is not optimised
