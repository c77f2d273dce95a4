"""The registry over REST: which request each of its operations is."""

from collections.abc import Callable
from typing import Any, Final

from cli.rest import Offer, RestCaller, Wanted, at
from libs.contracts.registry import (
    OPERATIONS,
    AdjustDeployment,
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
from libs.kit.registry_client import timeout_s


class RestRegistry(RestCaller):
    """A gateway's admin API as a `Registry`; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _REGISTRY)


def _begin(asked: BeginUpload) -> Wanted:
    return Wanted("POST", at("uploads"), {"manifest": asked.manifest})


def _commit(asked: CommitUpload) -> Wanted:
    return Wanted("POST", at("uploads", asked.upload_id, "commit"))


def _list(asked: ListVersions) -> Wanted:
    fields = {"name": asked.name, "kind": asked.kind or "", "before": asked.before, "limit": str(asked.limit)}
    return Wanted("GET", at("versions"), query={name: value for name, value in fields.items() if value})


def _show(asked: Resolve) -> Wanted:
    return Wanted("GET", at("versions", asked.reference))


def _fetch(asked: FetchVersion) -> Wanted:
    return Wanted("GET", at("versions", asked.reference, "fetch"), query={"skip": str(asked.skip)})


def _verify(asked: Verify) -> Wanted:
    return Wanted("POST", at("versions", asked.reference, "verify"))


def _delete(asked: DeleteVersion) -> Wanted:
    return Wanted("DELETE", at("versions", asked.reference))


def _set_alias(asked: SetAlias) -> Wanted:
    place = at("models", asked.name, "aliases", asked.alias)
    condition = {} if asked.expected is None else _condition(asked.expected)
    if not asked.target:
        return Wanted("DELETE", place, headers=condition)
    return Wanted("PUT", place, {"target": asked.target, "reason": asked.reason}, headers=condition)


def _condition(tag: str) -> dict[str, str]:
    return {"if-match": f'"{tag}"'} if tag else {"if-none-match": "*"}


def _aliases(asked: ListAliases) -> Wanted:
    query = {"history_of": asked.history_of} if asked.history_of else {}
    return Wanted("GET", at("models", asked.name, "aliases"), query=query)


def _declare(asked: Deploy) -> Wanted:
    body = {name: getattr(asked, name) for name in ("base", "adapters", "engine_args", "replicas")}
    return Wanted("PUT", at("deployments", asked.pool), body, headers=_generation(asked.expected_generation))


def _adjust(asked: AdjustDeployment) -> Wanted:
    named = ("base", "add_adapters", "drop_adapters", "engine_args", "replicas")
    body = {name: value for name in named if (value := getattr(asked, name)) is not None}
    return Wanted("PATCH", at("deployments", asked.pool), body, headers=_generation(asked.expected_generation))


def _generation(expected: int | None) -> dict[str, str]:
    return {} if expected is None else _condition(str(expected) if expected else "")


def _pool(asked: PoolName) -> Wanted:
    return Wanted("GET", at("deployments", asked.pool))


def _collect(asked: CollectGarbage) -> Wanted:
    return Wanted("POST", at("garbage-collection"), {"dry_run": asked.dry_run, "min_age_s": asked.min_age_s})


_ROUTES: Final[dict[str, Callable[[Any], Wanted]]] = {
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
    "deployment_adjust": _adjust,
    "deployment_show": _pool,
    "deployment_list": lambda _: Wanted("GET", at("deployments")),
    "garbage_collect": _collect,
}

_REGISTRY: Final = Offer(name="registry", operations=OPERATIONS, routes=_ROUTES, timeout_s=timeout_s)
