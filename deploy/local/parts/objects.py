"""Object storage: SeaweedFS in one process, S3 on loopback, keys generated, objects synced before they are answered."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.home import CHECKOUT, Home, write_private
from deploy.local.part import Part, Tier
from deploy.local.ports import HOST
from deploy.local.probes import HttpReady
from deploy.local.site import Site

BUCKET: Final = "llmos"
ACCESS_KEY_NAME: Final = "s3_access_key"
SECRET_KEY_NAME: Final = "s3_secret_key"  # noqa: S105 - a file name
REGISTRY_ACCESS_KEY_NAME: Final = "s3_registry_access_key"
REGISTRY_SECRET_KEY_NAME: Final = "s3_registry_secret_key"  # noqa: S105 - a file name
_VOLUME_BYTES_MB: Final = 1024
_SERVERS: Final = ("master", "volume", "filer", "admin")


def parts(site: Site) -> tuple[Part, ...]:
    """The server, and the task that makes it sync what it acknowledges."""
    directory = site.home.directory("objects")
    write_security(directory, site.home)
    write_identities(directory, site.home)
    data = directory / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    identities = directory / "identities.json"
    write_options(directory, site.home, data=data, identities=identities, listen=HOST, more=_ports(site))
    weed = str(site.programs / "weed")
    ports = site.ports
    return (
        Part(
            name="objects",
            title="SeaweedFS (S3)",
            command=(weed, "-logtostderr=true", f"-config_dir={directory}", "mini", f"-options={directory}/options"),
            cwd=directory,
            env={"HOME": str(directory)},
            tier=Tier.STORE,
            ready=HttpReady(ports["s3"], "/healthz"),
            ports={name: port for name, port in ports.items() if name.startswith(("s3", "objects_"))},
            stop_timeout_s=20.0,
            leftovers=tuple(
                socket for port in site.ports.values() for socket in sockets(port)
            ),
        ),
        Part(
            name="objects-setup",
            title="S3 durability",
            command=(sys.executable, "-m", "deploy.local.objects_setup", weed, str(directory), _address(site, "master"),
                     _address(site, "filer")),
            cwd=CHECKOUT,
            tier=Tier.TASK,
            task=True,
            after=("objects",),
        ),
    )  # fmt: skip


def environment(site: Site, prefix: str) -> dict[str, str]:
    """Variables by which the registry, with the setting block at `prefix`, reaches its bucket."""
    return {
        f"{prefix}__ENDPOINT": f"http://{HOST}:{site.ports['s3']}",
        f"{prefix}__BUCKET": BUCKET,
        f"{prefix}__ACCESS_KEY_FILE": str(site.home.secret_file(REGISTRY_ACCESS_KEY_NAME)),
        f"{prefix}__SECRET_KEY_FILE": str(site.home.secret_file(REGISTRY_SECRET_KEY_NAME)),
    }


def sockets(port: int) -> tuple[Path, ...]:
    """Files that SeaweedFS makes for the server at `port`, and leaves behind when it is killed."""
    names = [f"{name}-grpc" for name in ("s3", *_SERVERS)] + ["s3", "filer"]
    return tuple(Path(f"/tmp/seaweedfs-{name}-{port}.sock") for name in names)  # noqa: S108 - its choice, not ours


def _ports(site: Site) -> dict[str, object]:
    ports: dict[str, object] = {f"{name}.port": site.ports[f"objects_{name}"] for name in _SERVERS}
    grpc = {f"{name}.port.grpc": port for name, port in _grpc_ports(site).items()}
    return {"s3.port": site.ports["s3"], **ports, **grpc}


def _grpc_ports(site: Site) -> dict[str, int]:
    return {"s3": site.ports["s3_grpc"]} | {name: site.ports[f"objects_{name}_grpc"] for name in _SERVERS}


def _address(site: Site, name: str) -> str:
    """How SeaweedFS writes an address whose two ports are not its usual distance apart."""
    return f"{HOST}:{site.ports[f'objects_{name}']}.{site.ports[f'objects_{name}_grpc']}"


def write_security(directory: Path, home: Home) -> None:
    """Keys without which the volume and filer ports, which S3 stands on, refuse everybody."""
    sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    text = "".join(f'[{name}]\nkey = "{home.secret("objects_" + name.replace(".", "_"))}"\n' for name in sections)
    write_private(directory / "security.toml", text)


def write_identities(directory: Path, home: Home) -> None:
    """One for the whole server, and one for the registry that reaches nothing but its bucket."""
    everything = ("Admin", "Read", "Write", "List", "Tagging")
    identities = [
        _identity(home, "llmos", (ACCESS_KEY_NAME, SECRET_KEY_NAME), everything),
        _identity(
            home,
            "registry",
            (REGISTRY_ACCESS_KEY_NAME, REGISTRY_SECRET_KEY_NAME),
            tuple(f"{action}:{BUCKET}" for action in everything),
        ),
    ]
    write_private(directory / "identities.json", json.dumps({"identities": identities}))


def _identity(home: Home, name: str, keys: tuple[str, str], actions: tuple[str, ...]) -> dict[str, object]:
    credentials = {"accessKey": home.secret(keys[0]), "secretKey": home.secret(keys[1])}
    return {"name": name, "credentials": [credentials], "actions": actions}


def write_options(
    directory: Path, home: Home, *, data: Path, identities: Path, listen: str, more: Mapping[str, object]
) -> None:
    """A file, for one of them is a password, and arguments can be read by everyone on the machine."""
    options: dict[str, object] = {
        "dir": data,
        "ip": HOST,
        "ip.bind": listen,
        "bucket": BUCKET,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": identities,
        "s3.iam": "false",
        "webdav": "false",
        "admin.ui": "false",
        "admin.password": home.secret("objects_admin"),
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": _VOLUME_BYTES_MB,
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        **more,
    }
    write_private(directory / "options", "".join(f"{key}={value}\n" for key, value in options.items()))
