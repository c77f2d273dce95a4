"""Renders the configuration file of nats-server."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.nats.listeners import includes
from deploy.nats.permissions import APPLICATION_USERS, SYSTEM_USER, User
from libs.contracts.topology import BUCKETS, STREAMS

_CORES_PER_THREAD: Final = 4
ENVIRONMENT: Final = {"GOGC": "400", "GOMAXPROCS": str(max(1, len(os.sched_getaffinity(0)) // _CORES_PER_THREAD))}
"""For the server's process. Its live heap is small and its messages short-lived, so Go's collector would run all the
time; collecting four times as rarely cut the server's CPU per request by a tenth, for some tens of MiB. Threads beyond
those that the services can keep busy cost only their waking: on two cores one thread used a quarter less than two."""
USERS: Final = (*(user.name for user in APPLICATION_USERS), SYSTEM_USER)
_KEPT_BYTES: Final = sum(stream.max_bytes for stream in STREAMS) + sum(bucket.max_bytes for bucket in BUCKETS)
DEFAULT_MAX_FILE_STORE_BYTES: Final = _KEPT_BYTES * 5 // 4
"""Room for every stream and bucket when it is full, and for what the server writes beside them."""
_MAX_PAYLOAD_BYTES: Final = 1 << 20


def render_config(  # noqa: PLR0913 - what operators may choose, each by its name
    *,
    host: str,
    port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    max_file_store_bytes: int = DEFAULT_MAX_FILE_STORE_BYTES,
    sync_interval: str = "10s",
    monitor_port: int = 0,
    certificate: tuple[Path, Path] | None = None,
    listeners: Path | None = None,
) -> str:
    """The server's configuration; it holds the passwords, so write it with mode 0600.

    `sync_interval` is how long an acknowledged message may live in the page cache only: a killed process loses nothing,
    a power cut loses up to this much. `always` syncs before each acknowledgement and costs about a factor of ten on
    pipelined publishing. `monitor_port` answers `/healthz` on loopback; 0 opens none. With a `certificate` and its key
    every connection is encrypted from its first byte on. `listeners` is the folder beside the
    configuration with the files of `deploy.nats.listeners`.

    Raises:
        KeyError: a user of `USERS` has no password.
    """
    users = ",\n".join(_render_user(user, passwords[user.name]) for user in APPLICATION_USERS)
    quote = json.dumps
    ours, beside = includes(listeners) if listeners is not None else ("", "")
    monitor = f'http: "127.0.0.1:{monitor_port}"\n' if monitor_port else ""
    return f"""\
server_name: "llmos"
host: {quote(host)}
port: {port}
{monitor}{_render_tls(certificate)}max_payload: {_MAX_PAYLOAD_BYTES}
max_pending: {256 << 20}
write_deadline: "10s"
ping_interval: "10s"
ping_max: 2
jetstream {{
  store_dir: {quote(str(store_dir))}
  max_file_store: {max_file_store_bytes}
  max_memory_store: {64 << 20}
  sync_interval: {quote(sync_interval)}
}}
accounts {{
  SYS {{ users: [ {{ user: {quote(SYSTEM_USER)}, password: {quote(passwords[SYSTEM_USER])} }} ] }}
  LLMOS {{
    jetstream: enabled
    users: [
{users}
    ]
    {ours}
  }}
  {beside}
}}
system_account: SYS
"""


def _render_tls(certificate: tuple[Path, Path] | None) -> str:
    if certificate is None:
        return ""
    file, key = map(json.dumps, map(str, certificate))
    return f"tls {{ cert_file: {file}, key_file: {key}, handshake_first: true }}\n"


def _render_user(user: User, password: str) -> str:
    quote = json.dumps
    return (
        f"      {{ user: {quote(user.name)}, password: {quote(password)}, permissions {{\n"
        f"        publish: {{ allow: {quote(list(user.publish))} }}\n"
        f"        subscribe: {{ allow: {quote(list(user.subscribe))} }}\n"
        f"      }} }}"
    )
