"""Grants limits to gateways while this process leads, and records what they say was used."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from libs.contracts.calls import Empty
from libs.contracts.identity import Lease, Leased, Limits, RecordUsage
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.leader import Leader, LostError
from libs.kit.postgres import Database
from services.identity.limits import repository
from services.identity.limits.allocator import Allocator
from services.identity.limits.ledger import Row
from services.identity.repository import usage
from services.identity.tables import SCHEMA

log = structlog.get_logger(__name__)

_FRESH_S: Final = 1.0
"""How long limits that were read are believed."""
_REMEMBERED_MS: Final = 86_400_000
"""Of a gateway that tells no usage any more."""


class _LimitsReader:
    """The limits of holders, asked of the database once a second at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Limits]] = {}

    async def of(self, holders: Iterable[str]) -> dict[str, Limits]:
        """Limits by holder; while the database is away those that were read last.

        Raises:
            ServiceError: `storage_unavailable`, and some were never read.
        """
        now_s = clock.monotonic_s()
        wanted = list(holders)
        stale = [one for one in wanted if one not in self._known or now_s - self._known[one][0] >= _FRESH_S]
        if stale:
            try:
                async with self._database.begin() as connection:
                    found = await repository.limits_of(connection, stale)
            except ServiceError:
                if not all(one in self._known for one in wanted):
                    raise
            else:
                self._known |= {one: (now_s, found.get(one, Limits())) for one in stale}
        return {one: self._known[one][1] for one in wanted}

    def forget(self, holders: Iterable[str]) -> None:
        """Nobody asks for these."""
        for holder in holders:
            self._known.pop(holder, None)


class Granting:
    """One allocator at a time, whose answers are said when what they grant is written down."""

    def __init__(self, database: Database, instance: str, *, lease_s: float) -> None:
        self._database = database
        self._leader = Leader(database, instance, schema=SCHEMA, lease_s=lease_s)
        self._limits = _LimitsReader(database)
        self._allocator: Allocator | None = None
        self._one_by_one = asyncio.Lock()

    @property
    def leads(self) -> bool:
        """Whether this process answers gateways."""
        return self._leader.leads and self._allocator is not None

    async def lead(self) -> int:
        """Renew the lead or take it; always 0, for there is nothing left to do at once.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        await self._leader.check()
        epoch = str(self._leader.epoch)
        if not self._leader.epoch:
            self._allocator = None
        elif self._allocator is None or self._allocator.epoch != epoch:
            async with self._database.begin() as connection:
                rows = await repository.read_shares(connection)
            self._allocator = Allocator(epoch, started_s=clock.monotonic_s(), rows=rows)
        return 0

    async def resign(self) -> None:
        """Let another process answer."""
        await self._leader.resign()

    async def lease(self, call: Lease) -> Leased:
        """What a gateway has from now on.

        Raises:
            ServiceError: `identity_unavailable` or `storage_unavailable`, and nothing is granted.
        """
        async with self._one_by_one:
            allocator = self._ready()
            holders = [want.holder for want in call.wants]
            limits = await self._limits.of(holders)
            now_s, now_ms = clock.monotonic_s(), clock.unix_ms()
            answer = allocator.lease(call, limits, now_s=now_s, now_ms=now_ms)
            rows = allocator.unwritten(holders)
            if rows:
                await self._write(allocator, call.gateway, rows)
            if self._ready() is not allocator:
                raise _not_leading()
            return answer

    async def record(self, told: RecordUsage) -> Empty:
        """Add to what was used today, unless that was done already.

        Raises:
            ServiceError: `identity_unavailable` or `storage_unavailable`.
        """
        self._ready()
        now_ms = clock.unix_ms()
        async with self._database.begin() as connection:
            if await repository.note_usage_number(connection, told.gateway, told.number, now_ms):
                await usage.add(connection, datetime.fromtimestamp(now_ms / 1000, UTC).date(), told.rows)
        return Empty()

    async def tidy(self) -> int:
        """Forget holders of whom nothing is out; always 0.

        Raises:
            ServiceError: `storage_unavailable`; their rows stay, which only makes the next leader more careful.
        """
        async with self._one_by_one:
            if not self.leads or self._allocator is None:
                return 0
            idle = self._allocator.idle(clock.monotonic_s())
            self._allocator.forget(idle)
            self._limits.forget(idle)
            async with self._database.begin() as connection:
                await self._leader.fence(connection)
                if idle:
                    await repository.delete_shares(connection, idle)
                await repository.forget_usage_numbers(connection, clock.unix_ms() - _REMEMBERED_MS)
        return 0

    def _ready(self) -> Allocator:
        if not self._leader.leads or self._allocator is None:
            raise _not_leading()
        return self._allocator

    async def _write(self, allocator: Allocator, gateway: str, rows: list[Row]) -> None:
        try:
            async with self._database.begin() as connection:
                await self._leader.fence(connection)
                await repository.write_shares(connection, rows)
        except LostError as error:
            allocator.unsaid(gateway)
            raise _not_leading() from error
        except BaseException:
            allocator.unsaid(gateway)
            raise
        allocator.wrote(rows)


def _not_leading() -> ServiceError:
    return ServiceError("identity_unavailable", "Another identity process grants limits now.", retry_after_s=1.0)
