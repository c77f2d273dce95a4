"""The migrations of each service are one line, whoever adds to them at the same time."""

import importlib
from pathlib import Path

import pytest

from libs.kit.migrations import Migrations

SERVICES = sorted(path.parent.name for path in Path(__file__).resolve().parents[3].glob("services/*/migrations"))


def _migrations(service: str) -> Migrations:
    found = importlib.import_module(f"services.{service}.migrations").migrate
    assert isinstance(found, Migrations)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_every_step_but_the_last_has_one_that_follows_it(service: str) -> None:
    migrations = _migrations(service)
    steps = list(migrations.scripts().walk_revisions())
    written = [path for path in Path(migrations.package_file).parent.glob("versions/*.py") if path.stem != "__init__"]
    assert len(steps) == len(written), "two steps have the same number"
    assert len(migrations.scripts().get_heads()) == 1


def test_no_two_services_wait_for_each_other() -> None:
    found = [_migrations(service) for service in SERVICES]
    assert len({one.lock_key for one in found}) == len({one.schema for one in found}) == len(SERVICES)
