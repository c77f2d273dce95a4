"""The chain itself: how links are made, and what a walk over rows finds. Pure."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple

from libs.contracts.audit import ChainFault

BEGINNING: Final = ""
"""The link before the first row."""
KEY_BYTES: Final = 16
"""The least that a key must have."""


class Link(NamedTuple):
    """A place in the chain."""

    number: int
    link: str


class Written(NamedTuple):
    """One row as it is stored."""

    number: int
    recorded_ms: int
    entry: str
    """The entry's JSON, byte for byte as it was when the link was made."""
    link: str


ROOT: Final = Link(0, BEGINNING)


class Chain:
    """Makes links with one key."""

    def __init__(self, key: bytes) -> None:
        """Whoever has the key can forge links; it has `KEY_BYTES` at least."""
        self._key = key

    def link(self, previous: str, number: int, recorded_ms: int, entry: str) -> str:
        """The link of a row that follows `previous`."""
        said = f"{previous}\n{number}\n{recorded_ms}\n{entry}"
        return hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()

    def extend(self, head: Link, entries: Iterable[str], recorded_ms: int) -> list[Written]:
        """Rows for these entries, in their order, behind `head`."""
        rows = []
        number, link = head
        for entry in entries:
            number += 1
            link = self.link(link, number, recorded_ms, entry)
            rows.append(Written(number, recorded_ms, entry, link))
        return rows

    def walk(self, start: Link, rows: Iterable[Written]) -> list[ChainFault]:
        """What is wrong with rows, in the order of their numbers, that follow `start`.

        Each fault is named once: behind a changed row the walk goes on from the link that is stored. The first row
        behind a gap cannot be checked, for its link was made from one that is gone.
        """
        faults = []
        number, link = start
        for row in rows:
            if row.number != number + 1:
                faults.append(ChainFault(number=number + 1, what="missing"))
            elif not hmac.compare_digest(self.link(link, row.number, row.recorded_ms, row.entry), row.link):
                faults.append(ChainFault(number=row.number, what="changed"))
            number, link = row.number, row.link
        return faults


def against(head: Link, last: Link, link_at_head: str) -> list[ChainFault]:
    """What is wrong if `head` was said: `last` is the newest row, `link_at_head` the link of the row of that number."""
    if head.number > last.number:
        return [ChainFault(number=last.number + 1, what="cut_off")]
    if head.number and link_at_head and not hmac.compare_digest(head.link, link_at_head):
        return [ChainFault(number=head.number, what="replaced")]
    return []
