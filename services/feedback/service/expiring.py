"""Letting go of what has become too old."""

from typing import Final

from libs.kit import clock
from libs.kit.postgres import Database
from services.feedback.repository import expiry

_DAY_MS: Final = 86_400_000


class Expiring:
    """Texts go by their interaction's age, ids when no repeat can come any more; rows about interactions stay."""

    def __init__(self, database: Database, *, content_keep_days: float, inbox_keep_days: float) -> None:
        self._database = database
        self._content_ms = int(content_keep_days * _DAY_MS)
        self._inbox_ms = int(inbox_keep_days * _DAY_MS)

    async def expire(self) -> int:
        """Remove some of what is too old; how many rows.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        now_ms = clock.unix_ms()
        async with self._database.begin_bulk() as connection:
            return await expiry.remove(
                connection, texts_before_ms=now_ms - self._content_ms, ids_before_ms=now_ms - self._inbox_ms
            )
