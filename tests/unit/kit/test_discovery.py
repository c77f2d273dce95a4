"""What processes say of themselves is true of this checkout."""

import tomllib
from pathlib import Path

from deploy.nats.permissions import APPLICATION_USERS
from libs.contracts.discovery import SERVICES
from libs.kit.version import VERSION

ROOT = Path(__file__).resolve().parents[3]


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION


def test_every_service_is_asked_and_has_a_user_of_the_bus() -> None:
    services = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")}
    assert set(SERVICES) == services
    assert services == {user.name for user in APPLICATION_USERS} - {"provisioner"}
