"""What every part needs to know of the stack that it belongs to."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.home import Home
from deploy.local.options import StackOptions


@dataclass(frozen=True, kw_only=True)
class Site:
    """One stack: where it lives, what was asked for, which ports it has."""

    home: Home
    options: StackOptions
    ports: Mapping[str, int]

    @property
    def programs(self) -> Path:
        """Where the programs of the environment are: nats-server, weed."""
        return Path(sys.executable).parent

    @property
    def base_url(self) -> str:
        """What an OpenAI client needs as its base URL."""
        return f"http://127.0.0.1:{self.ports['gateway']}/v1"
