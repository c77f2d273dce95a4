"""Secrets: made once, shared out as little as possible, private."""

import stat
from pathlib import Path

import pytest

from deploy.docker import prepare
from deploy.local.home import Home
from deploy.nats.permissions import APPLICATION_USERS


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    owners: dict[Path, int] = {}
    monkeypatch.setattr("os.lchown", lambda path, user, _: owners.update({Path(path): user}))
    monkeypatch.setenv("PREPARE_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("PREPARE_VOLUMES", str(tmp_path / "volumes"))
    for volume in ("nats", "postgres"):
        (tmp_path / "volumes" / volume).mkdir(parents=True)
    prepare.main()
    assert owners[tmp_path / "volumes" / "nats"] == owners[tmp_path / "secrets" / "gateway"] == 10_001
    assert owners[tmp_path / "volumes" / "postgres"] == owners[tmp_path / "secrets" / "postgres"] == 999
    assert not [path for path in owners if path.is_relative_to(tmp_path / "secrets" / "originals")]
    return tmp_path / "secrets"


def test_every_file_is_private_and_every_directory_too(told: Path) -> None:
    paths = [path for path in told.rglob("*") if path != told]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}


def test_a_second_run_makes_no_other_secrets(told: Path) -> None:
    before = {path: path.read_bytes() for path in told.rglob("*") if path.is_file()}
    prepare.main()
    assert {path: path.read_bytes() for path in told.rglob("*") if path.is_file()} == before


def test_a_container_has_its_own_password_of_the_bus_and_nobody_elses(told: Path) -> None:
    shared = prepare.shares(Home(told / "originals"))
    for user in APPLICATION_USERS:
        holders = [name for name, secrets in shared.items() if f"nats_{user.name}" in secrets]
        assert holders == ["setup" if user.name == "provisioner" else user.name]
    assert [name for name, secrets in shared.items() if "postgres_llmos" in secrets] == ["postgres", "setup"]
    assert [name for name, secrets in shared.items() if "admin_keys" in secrets] == ["gateway"]
    assert [name for name, secrets in shared.items() if "nats_system" in secrets] == ["scheduler"]


def test_the_bus_knows_every_password_and_syncs_as_told(told: Path) -> None:
    text = (told / "nats" / "nats.conf").read_text(encoding="utf-8")
    for user in APPLICATION_USERS:
        password = (told / "originals" / "secrets" / f"nats_{user.name}").read_text(encoding="utf-8").strip()
        assert password in text
    assert 'sync_interval: "10s"' in text
    assert 'http: "127.0.0.1:8222"' in text
