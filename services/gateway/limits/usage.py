"""Counts what keys use and tells the identity service of it now and then, each figure once."""

from typing import Final

from libs.contracts.identity import RecordUsage, Used
from libs.kit.calls import Caller

EVERY_S: Final = 5.0
_MAX_ROWS: Final = 2_000
"""In one message."""


class UsageCounter:
    """Sums by key since they were last told."""

    def __init__(self, gateway: str, identity: Caller) -> None:
        """Nothing is counted."""
        self._gateway = gateway
        self._identity = identity
        self._sums: dict[tuple[str, str], list[int]] = {}
        self._told: RecordUsage | None = None
        """What is on its way, repeated as it is until it is answered."""
        self._number = 0

    def count(self, tenant: str, key: str, tokens: int) -> None:
        """One request that an engine took has ended."""
        sums = self._sums.get((tenant, key))
        if sums is None:
            self._sums[tenant, key] = [1, tokens]
        else:
            sums[0] += 1
            sums[1] += tokens

    async def tell(self) -> int:
        """Tell what was counted, a message full at a time; how many keys it was.

        Raises:
            ServiceError: it is not known to be recorded, and will be told again.
        """
        if self._told is None:
            if not self._sums:
                return 0
            names = list(self._sums)[:_MAX_ROWS]
            rows = tuple(Used(tenant=name[0], key=name[1], **_named(self._sums.pop(name))) for name in names)
            self._number += 1
            self._told = RecordUsage(gateway=self._gateway, number=self._number, rows=rows)
        await self._identity.call("usage_record", self._told)
        told = len(self._told.rows)
        self._told = None
        return told


def _named(sums: list[int]) -> dict[str, int]:
    return {"requests": sums[0], "tokens": sums[1]}
