"""A bounded memory of requests that are settled here but may be heard of once more."""

from typing import Final

BY_OPERATOR: Final = 1 << 16
"""Larger than any retry: marks what an operator called off."""
_MAX_PER_GENERATION: Final = 100_000


class Recent:
    """Remembers ids for one to two periods between calls of `rotate`, and never more than a fixed number."""

    def __init__(self) -> None:
        self._new: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def add(self, request_id: str, retry: int) -> None:
        """Remember `request_id` with the retry that was settled."""
        if len(self._new) >= _MAX_PER_GENERATION:
            self.rotate()
        self._new[request_id] = retry

    def retry_of(self, request_id: str) -> int:
        """The highest retry remembered, or -1."""
        found = self._new.get(request_id)
        return found if found is not None else self._old.get(request_id, -1)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._new or request_id in self._old

    def rotate(self) -> None:
        """Let a period pass: what was remembered before the last call is forgotten."""
        self._old, self._new = self._new, {}
