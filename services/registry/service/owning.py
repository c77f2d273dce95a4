"""Whose names and versions are: who may publish under one, move its aliases, and send a version's bytes again."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import Kind
from libs.kit.errors import ServiceError
from services.registry.domain.places import place_of
from services.registry.repository import versions


async def check_writer(connection: AsyncConnection, name: str, tenant: str) -> None:
    """Return if `tenant` may publish under a name: it is its own, or nobody's yet; the platform (empty) may always.

    Raises:
        ServiceError: `conflict`.
    """
    if tenant and await versions.owner_of(connection, name) not in (None, tenant):
        raise taken(name)


def taken(name: str) -> ServiceError:
    """What is said of a name under which somebody else publishes."""
    return ServiceError("conflict", f"The name {name[:80]} is taken; publish under another one.", param="name")


def is_seen(version: Row[Any], tenant: str) -> bool:
    """Whether `tenant` may see a version: its own and the platform's; the platform (empty) sees every one."""
    return not tenant or version.tenant in ("", tenant)


def may_mend(version: Row[Any], tenant: str) -> bool:
    """Whether `tenant` may send a version's blobs again: where they lie, only it writes; the platform always may."""
    return not tenant or version.place == place_of(tenant, Kind(version.kind))


async def check_owner(connection: AsyncConnection, name: str, tenant: str) -> None:
    """Return if a name is `tenant`'s; the platform (empty) may touch every one.

    Raises:
        ServiceError: `not_found`.
    """
    if tenant and await versions.owner_of(connection, name) != tenant:
        raise ServiceError("not_found", f"There is no name {name[:80]} of yours.", param="name")


async def sees(connection: AsyncConnection, name: str, tenant: str) -> bool:
    """Whether `tenant` may look at a name: its own and the platform's."""
    return not tenant or await versions.owner_of(connection, name) in ("", tenant)
