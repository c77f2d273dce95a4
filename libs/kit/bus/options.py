"""How a connection to the bus is made and kept."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class BusOptions:
    """How to reach the server and how patient to be."""

    host: str
    port: int
    name: str
    """Shown by the server; `$SYS` disconnect events carry it, so it identifies the process."""
    user: str = ""
    password: str = field(default="", repr=False)
    encryption: ssl.SSLContext | None = None
    """How the server is recognised; the connection is encrypted from its first byte on."""
    inbox_prefix: str = "rpl"
    """Replies to `request` come to `<inbox_prefix>.<n>`; the user's permissions must cover it."""
    connect_timeout_s: float = 5.0
    reconnect_min_s: float = 0.05
    reconnect_max_s: float = 1.0
    ping_interval_s: float = 5.0
    max_missed_pongs: int = 2
    max_pending_bytes: int = 32 << 20
    """Bytes held while the server is away or slow; beyond it `publish` raises."""
