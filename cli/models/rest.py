"""The registry over REST: each operation as a request to a gateway's admin API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from libs.contracts.errors import ERRORS
from libs.contracts.registry import (
    OPERATIONS,
    BeginUpload,
    CollectGarbage,
    CommitUpload,
    DeleteVersion,
    Deploy,
    FetchVersion,
    ListAliases,
    ListVersions,
    PoolName,
    Resolve,
    SetAlias,
    Verify,
)
from libs.kit.errors import ServiceError
from libs.kit.registry_client import timeout_s

_PREFIX: Final = "/admin/v1"
_SLACK_S: Final = 15.0
"""How much longer than the gateway this side waits, so that the gateway's own words arrive."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class _Wanted:
    """One HTTP request."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class RestRegistry:
    """A gateway's admin API as a `Registry`; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        """Prepare.

        Args:
            url: the gateway's root, with or without `/v1`.
            key: an admin key.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        # Proxies are for the outside.
        outside = urlsplit(self.url).hostname not in _LOOPBACK
        self._http = httpx2.AsyncClient(
            base_url=self.url + _PREFIX, headers={"authorization": f"Bearer {key}"}, trust_env=outside
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: as `libs.kit.registry_client.Registry.call`.
        """
        wanted = _ROUTES[operation](request)
        timeout = httpx2.Timeout(timeout_s(operation) + _SLACK_S, connect=5)
        body = b"" if wanted.body is None else msgspec.json.encode(wanted.body)
        try:
            answer = await self._http.request(
                wanted.method, wanted.path, content=body, params=wanted.query, headers=wanted.headers, timeout=timeout
            )
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError("registry_unavailable", f"No gateway answers at {self.url}: {reason}.") from error
        if not answer.is_success:
            raise _failure(answer)
        kind = OPERATIONS[operation][1]
        return msgspec.json.decode(answer.content or b"{}", type=kind)


class _Problem(msgspec.Struct):
    """What the admin API says of a failure."""

    code: str
    detail: str
    param: str | None = None


def _failure(answer: httpx2.Response) -> ServiceError:
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        text = f"{answer.request.url} answered with status {answer.status_code}, but not as a gateway of llmos does."
        return ServiceError("internal_error", text)
    code = problem.code if problem.code in ERRORS else "internal_error"
    return ServiceError(code, problem.detail, param=problem.param)


def _at(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="@:") for part in parts)


def _begin(asked: BeginUpload) -> _Wanted:
    return _Wanted("POST", _at("uploads"), {"manifest": asked.manifest})


def _commit(asked: CommitUpload) -> _Wanted:
    return _Wanted("POST", _at("uploads", asked.upload_id, "commit"))


def _list(asked: ListVersions) -> _Wanted:
    fields = {"name": asked.name, "kind": asked.kind or "", "before": asked.before, "limit": str(asked.limit)}
    return _Wanted("GET", _at("versions"), query={name: value for name, value in fields.items() if value})


def _show(asked: Resolve) -> _Wanted:
    return _Wanted("GET", _at("versions", asked.reference))


def _fetch(asked: FetchVersion) -> _Wanted:
    return _Wanted("GET", _at("versions", asked.reference, "fetch"), query={"skip": str(asked.skip)})


def _verify(asked: Verify) -> _Wanted:
    return _Wanted("POST", _at("versions", asked.reference, "verify"))


def _delete(asked: DeleteVersion) -> _Wanted:
    return _Wanted("DELETE", _at("versions", asked.reference))


def _set_alias(asked: SetAlias) -> _Wanted:
    place = _at("models", asked.name, "aliases", asked.alias)
    condition = {} if asked.expected is None else _condition(asked.expected)
    if not asked.target:
        return _Wanted("DELETE", place, headers=condition)
    return _Wanted("PUT", place, {"target": asked.target, "reason": asked.reason}, headers=condition)


def _condition(tag: str) -> dict[str, str]:
    return {"if-match": f'"{tag}"'} if tag else {"if-none-match": "*"}


def _aliases(asked: ListAliases) -> _Wanted:
    query = {"history_of": asked.history_of} if asked.history_of else {}
    return _Wanted("GET", _at("models", asked.name, "aliases"), query=query)


def _declare(asked: Deploy) -> _Wanted:
    body = {name: getattr(asked, name) for name in ("base", "adapters", "engine_args", "replicas")}
    expected = asked.expected_generation
    headers = {} if expected is None else _condition(str(expected) if expected else "")
    return _Wanted("PUT", _at("deployments", asked.pool), body, headers=headers)


def _pool(asked: PoolName) -> _Wanted:
    return _Wanted("GET", _at("deployments", asked.pool))


def _collect(asked: CollectGarbage) -> _Wanted:
    return _Wanted("POST", _at("garbage-collection"), {"dry_run": asked.dry_run, "min_age_s": asked.min_age_s})


_ROUTES: Final[dict[str, Callable[[Any], _Wanted]]] = {
    "upload_begin": _begin,
    "upload_commit": _commit,
    "version_list": _list,
    "version_show": _show,
    "version_fetch": _fetch,
    "version_verify": _verify,
    "version_delete": _delete,
    "alias_set": _set_alias,
    "alias_list": _aliases,
    "deployment_declare": _declare,
    "deployment_show": _pool,
    "deployment_list": lambda _: _Wanted("GET", _at("deployments")),
    "garbage_collect": _collect,
}
