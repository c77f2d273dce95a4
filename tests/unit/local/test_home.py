"""The home: private directories, secrets that are made once."""

import stat
from pathlib import Path

from deploy.local.home import Home, write_private


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_and_secrets_belong_to_their_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    secret = home.secret_file("nats_gateway")

    assert {_mode(home.root), _mode(home.secrets), _mode(home.logs)} == {0o700}
    assert _mode(secret) == 0o600
    assert len(secret.read_text().strip()) >= 43


def test_a_secret_is_made_once_and_differs_from_the_others(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.secret("api_keys", prefix="sk-llmos-")

    assert first == home.secret("api_keys", prefix="sk-llmos-")
    assert first.startswith("sk-llmos-")
    assert first != home.secret("other", prefix="sk-llmos-")


def test_a_file_that_everyone_could_read_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    path = tmp_path / "identities.json"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert (path.read_text(), _mode(path)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"
