"""Makes what the containers need before any of them: `python -m deploy.docker.prepare`, told by `PREPARE_*`, as root.

Secrets are made once and stay. Each container is given a directory with its own copies, readable by its user alone, and
the volumes that it writes to are made its own. Run again it changes nothing but what the code now says otherwise.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.home import Home, private_directory, write_private
from deploy.local.parts import objects, postgres
from deploy.nats.config import USERS, render_config
from deploy.nats.permissions import APPLICATION_USERS, PROVISIONER
from libs.contracts.topology import BUCKETS, STREAMS

MONITOR_PORT: Final = 8222
_CERTIFICATE_DAYS: Final = "3650"
_ROOM: Final = 1.25
"""Part of NATS's store that streams may not fill."""


class Settings(BaseSettings):
    """Where things go, and whose they are."""

    model_config = SettingsConfigDict(env_prefix="PREPARE_")

    secrets: Path = Path("/secrets")
    """Holds one directory for each container, and the originals."""
    volumes: Path = Path("/volumes")
    """Each directory in it is a volume of the user `uid`, but `postgres`."""
    uid: int = 10_001
    """User that every container but PostgreSQL runs as."""
    postgres_uid: int = 999
    nats_store: Path = Path("/data")
    """Where NATS's container has its volume."""
    objects_data: Path = Path("/data")
    """Where S3's container has its volume."""
    secrets_seen: Path = Path("/run/secrets")
    """Where containers see their directory."""
    sync_interval: str = "10s"
    """How long what the bus has acknowledged may live in the page cache only; `always` syncs first."""
    nats_tls: bool = False
    """Whether connections to the bus are encrypted, with a certificate that is made here."""
    max_stream_bytes: int = Field(default=1 << 30, gt=0)
    """No stream may be larger than this, whatever the contracts say."""


def main() -> None:
    """Make everything that is missing."""
    settings = Settings()
    home = Home(settings.secrets / "originals")
    home.prepare()
    certificate = make_certificate(home)
    for name, secrets in shares(home).items():
        directory = private_directory(settings.secrets / name)
        write_private(directory / "bus_ca.pem", certificate)
        for secret, text in secrets.items():
            write_private(directory / secret, text)
    _write_nats(settings, home)
    _write_objects(settings, home)
    for path in settings.volumes.iterdir():
        give(path, owner(settings, path))
    for path in settings.secrets.glob("*/*"):
        if path.parent != home.root:
            os.lchown(path, owner(settings, path.parent), -1)
            os.lchown(path.parent, owner(settings, path.parent), -1)
    print("secrets and volumes are ready")  # noqa: T201 - this is the log


def owner(settings: Settings, place: Path) -> int:
    """The user of the container whose directory or volume this is."""
    return settings.postgres_uid if place.name == "postgres" else settings.uid


def shares(home: Home) -> Mapping[str, Mapping[str, str]]:
    """Which secrets each container is given: by its name, by the name of the file."""
    api_keys = {"api_keys": home.api_key_file().read_text(encoding="utf-8")}
    admin_keys = {"admin_keys": home.admin_key_file().read_text(encoding="utf-8")}
    acting_keys = {"acting_keys": home.acting_key_file().read_text(encoding="utf-8")}
    own = {
        "gateway": {**api_keys, **admin_keys, **acting_keys, **_named(home, "cache_salt")},
        "scheduler": _named(home, "nats_system"),
        "registry": _named(home, objects.REGISTRY_ACCESS_KEY_NAME, objects.REGISTRY_SECRET_KEY_NAME),
        "trainer": acting_keys,
        "audit": _named(home, "audit_key"),
    }
    services = {
        user.name: {**_named(home, f"nats_{user.name}"), **own.get(user.name, {})}
        for user in APPLICATION_USERS
        if user is not PROVISIONER
    }
    for name in postgres.SERVICES:
        services[name] |= _named(home, postgres.secret_name(name))
    admin = _named(home, postgres.SECRET_NAME)
    setup = _named(home, "nats_provisioner", postgres.SECRET_NAME, *map(postgres.secret_name, postgres.ROLES))
    return {**services, "postgres": admin, "setup": setup, "grafana": _named(home, "grafana_admin")}


def make_certificate(home: Home) -> str:
    """The bus's certificate, which is its own authority; with a key that is made once."""
    key, file = home.secrets / "bus.key", home.secrets / "bus.pem"
    if not file.exists():
        pending = file.with_suffix(".new")
        names = "subjectAltName=DNS:nats,DNS:localhost,IP:127.0.0.1"
        subprocess.run(
            ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             _CERTIFICATE_DAYS, "-subj", "/CN=nats", "-addext", names, "-keyout", key, "-out", pending),
            check=True, capture_output=True,
        )  # fmt: skip
        pending.chmod(0o600)
        pending.rename(file)
    return file.read_text(encoding="utf-8")


def give(path: Path, user: int) -> None:
    """Make a directory, and all in it, the user's, unless it is already."""
    if path.stat().st_uid == user:
        return
    for each in (*path.rglob("*"), path):  # the directory last: a run that was killed begins again
        os.lchown(each, user, user)


def _named(home: Home, *names: str) -> dict[str, str]:
    return {name: f"{home.secret(name)}\n" for name in names}


def _write_nats(settings: Settings, home: Home) -> None:
    directory = private_directory(settings.secrets / "nats")
    for name in ("bus.pem", "bus.key"):
        write_private(directory / name, (home.secrets / name).read_text(encoding="utf-8"))
    seen = (settings.secrets_seen / "bus.pem", settings.secrets_seen / "bus.key")
    sizes_bytes = [stream.max_bytes for stream in STREAMS] + [bucket.max_bytes for bucket in BUCKETS]
    kept_bytes = sum(min(size_bytes, settings.max_stream_bytes) for size_bytes in sizes_bytes)
    text = render_config(
        host="0.0.0.0",  # noqa: S104 - the container's own network, which only those who need the bus are in
        port=4222,
        store_dir=settings.nats_store,
        max_file_store_bytes=int(kept_bytes * _ROOM),
        passwords={user: home.secret(f"nats_{user}") for user in USERS},
        sync_interval=settings.sync_interval,
        monitor_port=MONITOR_PORT,
        certificate=seen if settings.nats_tls else None,
    )
    write_private(directory / "nats.conf", text)


def _write_objects(settings: Settings, home: Home) -> None:
    directory = private_directory(settings.secrets / "s3")
    objects.write_security(directory, home)
    objects.write_identities(directory, home)
    objects.write_options(
        directory,
        home,
        data=settings.objects_data,
        listen="0.0.0.0",  # noqa: S104 - as above
        identities=settings.secrets_seen / "identities.json",
        more={"s3.port": 8333},
    )


if __name__ == "__main__":
    main()
