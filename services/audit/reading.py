"""Answers calls: entries, and whether the chain is what it was."""

from typing import Final

from libs.contracts.audit import ChainFault, EntryPage, FindEntries, Verified, VerifyChain
from libs.kit.bus import BusError
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.serving import Operation
from services.audit import repository
from services.audit.chain import Chain, Link, against
from services.audit.heads import Heads

_MAX_PAGE: Final = 1_000
_MAX_WALK: Final = 50_000
_STEP: Final = 2_000
"""Rows in memory at a time."""
_MAX_FAULTS: Final = 1_000
"""In one answer, which must fit into a message; the walk ends early there, and is asked to go on."""


class Reading:
    """Reads the chain."""

    def __init__(self, database: Database, chain: Chain, heads: Heads) -> None:
        self._database = database
        self._chain = chain
        self._heads = heads

    def operations(self) -> dict[str, Operation]:
        """Both calls."""
        return {"audit_list": self.list, "audit_verify": self.verify}

    async def list(self, asked: FindEntries) -> EntryPage:
        """One page, newest first.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        _check(asked.limit, _MAX_PAGE)
        async with self._database.begin() as connection:
            rows = await repository.find(connection, asked, asked.limit + 1)
        shown = tuple(rows[: asked.limit])
        return EntryPage(shown, next=shown[-1].number if len(rows) > len(shown) else 0)

    async def verify(self, asked: VerifyChain) -> Verified:
        """Look at the next rows; behind the last one, at the newest link that was said.

        Raises:
            ServiceError: `invalid_value`, `storage_unavailable`; `bus_unavailable`, the newest link cannot be read.
        """
        _check(asked.limit, _MAX_WALK)
        # Read first: the chain only grows, so that it must be at least as long as this.
        head = await self._head()
        place, count = Link(asked.after, asked.link), 0
        faults: list[ChainFault] = []
        async with self._database.begin() as connection:
            while count < asked.limit and len(faults) < _MAX_FAULTS:
                rows = await repository.after(connection, place.number, min(_STEP, asked.limit - count))
                if not rows:
                    faults += against(head, place, await repository.link_at(connection, head.number))
                    break
                faults += self._chain.walk(place, rows)
                place, count = Link(rows[-1].number, rows[-1].link), count + len(rows)
        return Verified(
            rows=count,
            until=place.number,
            link=place.link,
            head=head.number,
            faults=tuple(faults),
            has_more=bool(rows),
        )

    async def _head(self) -> Link:
        try:
            return await self._heads.said()
        except BusError as error:
            raise ServiceError("bus_unavailable", f"The newest link cannot be read: {error}.") from error


def _check(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise ServiceError("invalid_value", f"`limit` must be 1 to {most}.", param="limit")
