"""The services over REST: each operation as a request to a gateway's admin API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from libs.contracts.errors import ERRORS
from libs.kit.errors import ServiceError

_PREFIX: Final = "/admin/v1"
_SLACK_S: Final = 15.0
"""How much longer than the gateway this side waits, so that the gateway's own words arrive."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Wanted:
    """One HTTP request."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What one service does over REST."""

    name: str
    operations: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
    routes: Mapping[str, Callable[[Any], Wanted]]
    """Operation → its request."""
    timeout_s: Callable[[str], float]
    """How long the gateway waits for an operation."""


class RestCaller:
    """A gateway's admin API as a `libs.kit.calls.Caller` of one service; use it with `async with`."""

    def __init__(self, url: str, key: str, offer: Offer) -> None:
        """Prepare.

        Args:
            url: the gateway's root, with or without `/v1`.
            key: an admin key.
            offer: the service that is meant.
        """
        self.url = root_of(url)
        self._offer = offer
        self._http = client(self.url + _PREFIX, key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: as `libs.kit.calls.Caller.call`.
        """
        wanted = self._offer.routes[operation](request)
        timeout = httpx2.Timeout(self._offer.timeout_s(operation) + _SLACK_S, connect=5)
        body = b"" if wanted.body is None else msgspec.json.encode(wanted.body)
        try:
            answer = await self._http.request(
                wanted.method, wanted.path, content=body, params=wanted.query, headers=wanted.headers, timeout=timeout
            )
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            code = f"{self._offer.name}_unavailable"
            raise ServiceError(code, f"No gateway answers at {self.url}: {reason}.") from error
        if not answer.is_success:
            raise failure(answer)
        kind = self._offer.operations[operation][1]
        return msgspec.json.decode(answer.content or b"{}", type=kind)


def root_of(url: str) -> str:
    """A gateway's root, from its address with or without `/v1`."""
    return url.rstrip("/").removesuffix("/v1")


def client(url: str, key: str) -> httpx2.AsyncClient:
    """An HTTP client that shows `key`."""
    # Proxies are for the outside.
    outside = urlsplit(url).hostname not in _LOOPBACK
    return httpx2.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=outside)


def at(*parts: str) -> str:
    """A path, its parts quoted."""
    return "/" + "/".join(quote(part, safe="@:") for part in parts)


def query(asked: msgspec.Struct) -> dict[str, str]:
    """The fields that say something, as parameters."""
    fields = msgspec.structs.asdict(asked)
    return {name: _text(value) for name, value in fields.items() if value}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


class _Problem(msgspec.Struct):
    """What the admin API says of a failure."""

    code: str
    detail: str
    param: str | None = None


class _Error(msgspec.Struct):
    """What the other paths of a gateway say of one."""

    message: str
    code: str | None = None
    param: str | None = None


class _Refusal(msgspec.Struct):
    """As the SDKs know it."""

    error: _Error


def failure(answer: httpx2.Response) -> ServiceError:
    """What a gateway says of a failure, in either of its shapes."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
        code, text, param = problem.code, problem.detail, problem.param
    except msgspec.MsgspecError:
        try:
            error = msgspec.json.decode(answer.content, type=_Refusal).error
        except msgspec.MsgspecError:
            said = (
                f"{answer.request.url} answered with status {answer.status_code}, but not as a gateway of llmos does."
            )
            return ServiceError("internal_error", said)
        code, text, param = error.code or "", error.message, error.param
    return ServiceError(code if code in ERRORS else "internal_error", text, param=param)
