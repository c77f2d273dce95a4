"""A priority queue whose members can be moved and removed."""

import heapq
from typing import Any, Final, Generic, Protocol, TypeVar

_SLACK: Final = 64


class _Comparable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Comparable)


class KeyedHeap(Generic[K]):
    """A set of numbered members, each with a key; the smallest key first, then the smallest number.

    Every operation is O(log n), amortised: a removed or moved member leaves a dead record behind, and the heap is
    rebuilt when more than half of it is dead.
    """

    def __init__(self) -> None:
        self._keys: dict[int, K] = {}
        self._records: list[tuple[K, int]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def set(self, member: int, key: K) -> None:
        """Add `member`, or move it to `key`."""
        if self._keys.get(member) == key:
            return
        self._keys[member] = key
        heapq.heappush(self._records, (key, member))
        if len(self._records) > 2 * len(self._keys) + _SLACK:
            self._records = [(key, member) for member, key in self._keys.items()]
            heapq.heapify(self._records)

    def drop(self, member: int) -> None:
        """Remove `member`; unknown ones are ignored."""
        self._keys.pop(member, None)

    def first(self) -> tuple[K, int] | None:
        """Key and number of the smallest member, which stays; None if there is none."""
        records, keys = self._records, self._keys
        while records:
            key, member = records[0]
            if keys.get(member) == key:
                return records[0]
            heapq.heappop(records)
        return None
