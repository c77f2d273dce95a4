"""A gateway that was never started, with a key for every role of two tenants and of the platform."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from libs.contracts.identity import KeyRecord
from libs.contracts.permissions import Role
from libs.kit.errors import ServiceError
from services.gateway.app import Gateway, build_app
from services.gateway.settings import Settings

OWN: Final = "acme"
FOREIGN: Final = "other"
PLATFORM: Final = ""
TENANTS: Final = (PLATFORM, OWN, FOREIGN)


def key_of(role: Role, tenant: str) -> str:
    """The key of that role."""
    return f"llmos-{role.value}-{tenant or 'platform'}"


def records() -> tuple[KeyRecord, ...]:
    """One of each."""
    return tuple(
        KeyRecord(
            id=f"{role.value}-{tenant or 'platform'}",
            digest=hashlib.sha256(key_of(role, tenant).encode()).hexdigest(),
            role=role,
            tenant=tenant,
        )
        for role in Role
        for tenant in TENANTS
    )


def add_keys(gateway: Gateway) -> None:
    """Have a gateway know them, as if the identity service had told it."""
    follower = gateway.keys
    assert follower is not None, "the setting `identity` is off"
    follower.keyring.change(records())
    follower.keyring.is_whole = True


def asleep(directory: Path, **more: Any) -> Gateway:
    """The gateway; every call of its services ends with `bus_unavailable`."""
    keys = directory / "keys"
    keys.write_text("sk-llmos-unused\n", encoding="utf-8")
    gateway = build_app(Settings.model_validate({"api_keys_file": keys, "identity": True, **more}))
    add_keys(gateway)
    return gateway


def client_of(gateway: Gateway, key: str = "") -> httpx2.AsyncClient:
    """Asks it without a socket."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx2.ASGITransport(app=gateway)
    return httpx2.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


class Answers:
    """A service that answers every call with the same kind of thing: the smallest result, or a failure."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._results = results
        self.asked: list[tuple[str, msgspec.Struct]] = []

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """What was set for `operation`; `not_found` where nothing was."""
        # As it goes over the bus.
        msgspec.json.encode(request)
        self.asked.append((operation, request))
        result = self._results.get(operation)
        if result is None:
            raise ServiceError("not_found", "There is nothing of the kind.")
        return result
