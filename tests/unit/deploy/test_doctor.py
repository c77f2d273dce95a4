"""`./llmos doctor` reads .env as the containers would."""

from pathlib import Path

import pytest

from cli.containers import _new_enough, settings


def _findings(tmp_path: Path, text: str) -> list[tuple[bool, str, str]]:
    file = tmp_path / ".env"
    file.write_text(text, encoding="utf-8")
    return [(finding.well, finding.what, finding.remedy) for finding in settings(file)]


def test_without_a_file_everything_is_at_its_default(tmp_path: Path) -> None:
    (finding,) = settings(tmp_path / ".env")
    assert finding.well


def test_settings_of_every_kind_are_well(tmp_path: Path) -> None:
    text = "# ports\nLLMOS_PORT=9000\n\nGATEWAY_QUEUE_TIMEOUT_S=5\nSCHEDULER_NATS__PORT=4223\n"
    assert _findings(tmp_path, text) == [(True, ".env: 3 settings", "")]


def test_a_name_that_is_no_setting_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    (told,) = _findings(tmp_path, "GATEWAY_QUEUE_TIMEOUT=5\n")
    assert told == (False, ".env: GATEWAY_QUEUE_TIMEOUT is no setting", "Did you mean GATEWAY_QUEUE_TIMEOUT_S?")


@pytest.mark.parametrize(
    ("line", "named"),
    [("SCHEDULER_LEASE_S=-1", "SCHEDULER_LEASE_S"), ("REGISTRY_DATABASE__PORT=none", "REGISTRY_DATABASE__PORT"),
     ("SCHEDULER_POOLS=default", "pools")],
)  # fmt: skip
def test_a_value_that_a_service_would_refuse_is_named(tmp_path: Path, line: str, named: str) -> None:
    (told,) = _findings(tmp_path, f"{line}\n")
    assert not told[0]
    assert named in told[1]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"LLMOS_PORT=\xff\xfe\n")
    (finding,) = settings(file)
    assert not finding.well
    assert "cannot be read" in finding.what


def test_an_engine_that_is_too_old_is_told_and_is_no_fault() -> None:
    for version, remedy in (("20.10.24+dfsg1", True), ("26.1.5+dfsg1", False), ("", True), ("v29.0.0-1", False)):
        finding = _new_enough("Docker engine", version, (26, 0))
        assert finding.well
        assert bool(finding.remedy) == remedy
