"""The bus, and the task that declares its streams."""

import json
import shutil
import sys
from typing import Final

from deploy.local import listeners
from deploy.local.home import CHECKOUT, write_private
from deploy.local.part import Part, Tier
from deploy.local.ports import HOST
from deploy.local.probes import GreetsWith
from deploy.local.site import Site
from deploy.nats.config import ENVIRONMENT, USERS, render_config
from libs.contracts.topology import STREAMS

POOLS: Final = ("default",)
_ROOM: Final = 1.25
"""Part of the store that streams may not fill."""


def parts(site: Site) -> tuple[Part, ...]:
    """The server and its provisioner."""
    return _server(site), _provisioner(site)


def environment(site: Site, prefix: str, user: str) -> dict[str, str]:
    """Variables by which a service with the setting block at `prefix` reaches the bus as `user`."""
    return {
        f"{prefix}__HOST": HOST,
        f"{prefix}__PORT": str(site.ports["nats"]),
        f"{prefix}__USER": user,
        f"{prefix}__PASSWORD_FILE": str(site.home.secret_file(f"nats_{user}")),
    }


def max_stream_bytes(site: Site) -> int:
    """As much as the contracts ask for, less where the disk is small: a full disk freezes a stream for good."""
    free = shutil.disk_usage(site.home.root).free
    wanted = max(stream.max_bytes for stream in STREAMS)
    return max(16 << 20, min(wanted, int(free / 2 / _ROOM) // len(STREAMS)))


def _server(site: Site) -> Part:
    directory = site.home.directory("nats")
    config = directory / "nats.conf"
    text = render_config(
        host=HOST,
        port=site.ports["nats"],
        store_dir=directory / "store",
        max_file_store_bytes=int(max_stream_bytes(site) * len(STREAMS) * _ROOM),
        passwords={user: site.home.secret(f"nats_{user}") for user in USERS},
        listeners=listeners.write(site.home),
    )
    write_private(config, text)
    return Part(
        name="nats",
        title="NATS JetStream",
        command=(str(site.programs / "nats-server"), "-c", str(config)),
        cwd=directory,
        env=ENVIRONMENT,
        tier=Tier.STORE,
        ready=GreetsWith(site.ports["nats"], b"INFO"),
        ports={"nats": site.ports["nats"]},
    )


def _provisioner(site: Site) -> Part:
    return Part(
        name="provision",
        title="streams and consumers",
        command=(sys.executable, "-m", "deploy.nats"),
        cwd=CHECKOUT,
        tier=Tier.TASK,
        task=True,
        after=("nats",),
        env={
            **environment(site, "PROVISION_NATS", "provisioner"),
            "PROVISION_POOLS": json.dumps(POOLS),
            "PROVISION_MAX_STREAM_BYTES": str(max_stream_bytes(site)),
        },
    )
