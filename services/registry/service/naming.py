"""Aliases: moved by compare-and-swap, every move kept with its author."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from libs.contracts.registry import Alias, AliasList, AliasMoved, ListAliases, SetAlias
from libs.contracts.versions import ALIAS, NAME, is_digest, short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.registry.repository import aliases, versions
from services.registry.service.owning import check_owner, sees
from services.registry.service.references import resolve
from services.registry.tables import OUTBOX

log = structlog.get_logger(__name__)

_MAX_HISTORY: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Naming:
    """Aliases of names."""

    database: Database
    wake: asyncio.Event
    """Set when an alias was moved here."""

    async def set(self, request: SetAlias) -> Alias:
        """Point an alias to a version of its name, or remove it.

        Raises:
            ServiceError: `conflict`, it does not point to what was expected; `version_not_found`, `not_found`,
                `invalid_value`.
        """
        _check(request)
        async with self.database.begin() as connection:
            await check_owner(connection, request.name, request.tenant)
            await versions.lock_names(connection, {request.name})
            before = await aliases.get(connection, request.name, request.alias)
            previous = before.digest if before else ""
            if request.expected is not None and request.expected != previous:
                raise ServiceError("conflict", _conflict(request, previous), param="expected")
            digest = ""
            if request.target:
                row = await resolve(connection, request.target, param="target", tenant=request.tenant)
                if row.name != request.name:
                    raise ServiceError(
                        "invalid_value",
                        f"An alias of {request.name} cannot point to a version of {row.name}.",
                        param="target",
                    )
                digest = row.digest
            if before is not None and digest == previous:
                return before
            if before is None and not digest:
                raise ServiceError("not_found", f"There is no alias {request.name}@{request.alias}.", param="alias")
            moved = Alias(
                name=request.name,
                alias=request.alias,
                digest=digest,
                generation=before.generation + 1 if before else 1,
                author=request.author,
                moved_ms=clock.unix_ms(),
                reason=request.reason,
            )
            await aliases.put(connection, moved)
            event = AliasMoved(
                id=clock.new_event_id(),
                time_ms=moved.moved_ms,
                alias=moved,
                previous=previous,
                tenant=await versions.owner_of(connection, request.name) or "",
            )
            await OUTBOX.add(connection, event)
        self.wake.set()
        log.info("alias moved", name=moved.name, alias=moved.alias, digest=digest[:12], author=moved.author)
        return moved

    async def list(self, request: ListAliases) -> AliasList:
        """Aliases of a name, or the newest moves of one of them.

        Raises:
            ServiceError: `invalid_value`, no possible name or alias.
        """
        _check_name(request.name)
        async with self.database.begin() as connection:
            if not await sees(connection, request.name, request.tenant):
                return AliasList(())
            if request.history_of:
                return AliasList(await aliases.history(connection, request.name, request.history_of, _MAX_HISTORY))
            return AliasList(await aliases.of_name(connection, request.name))


def _check(request: SetAlias) -> None:
    _check_name(request.name)
    if ALIAS.fullmatch(request.alias) is None:
        raise ServiceError(
            "invalid_value",
            f"`{request.alias[:80]}` is not an alias: a lower-case letter, then letters, digits, `-`; at most 32.",
            param="alias",
        )
    if request.expected and not is_digest(request.expected):
        raise ServiceError(
            "invalid_value", "`expected` must be 64 hex digits, or empty for an alias that must not exist.",
            param="expected",
        )  # fmt: skip
    if "\0" in request.author + request.reason:
        raise ServiceError("invalid_value", "Author and reason must be text without NUL.", param="author")


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise ServiceError("invalid_value", f"`{name[:80]}` is not a model name.", param="name")


def _conflict(request: SetAlias, previous: str) -> str:
    where = f"points to {short_reference(request.name, previous)}" if previous else "points nowhere"
    return f"{request.name}@{request.alias} {where} now; look at it and try again."
