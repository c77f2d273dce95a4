"""Telling gateways which keys there are: the newest revision, and what came after one that they know."""

import msgspec

from libs.contracts import subjects
from libs.contracts.identity import KeyChanges, KeysRevision, KeysSince
from libs.kit.bus import BusClient
from services.identity.ground import Ground
from services.identity.repository import heads, keys
from services.identity.service.paging import check_limit, fitting


class Telling:
    """Says and answers what the database says, so that several processes say the same."""

    def __init__(self, ground: Ground, bus: BusClient) -> None:
        self._ground = ground
        self._bus = bus

    async def speak(self) -> int:
        """Say the newest revision once; always 0, for there is nothing left to do at once.

        Raises:
            ServiceError: `storage_unavailable`.
            BusError: the bus did not take it.
        """
        async with self._ground.database.begin() as connection:
            head = await heads.read(connection)
        self._bus.publish(subjects.KEYS, msgspec.json.encode(KeysRevision(store=head.store, revision=head.revision)))
        return 0

    async def since(self, request: KeysSince) -> KeyChanges:
        """What came after a revision. Of another store, or of one that was set back, everything.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = check_limit(request.limit)
        async with self._ground.database.begin() as connection:
            # Read first: what is seen afterwards has all changes up to it, and perhaps later ones.
            head = await heads.read(connection)
            is_known = request.store == head.store and 0 < request.revision <= head.revision
            after = request.revision if is_known else 0
            found = await keys.changes(connection, after=after, limit=limit + 1)
        shown = found[: min(limit, fitting([each.record for each in found]))]
        has_more = len(shown) < len(found)
        newest = shown[-1].revision if shown else 0
        return KeyChanges(
            store=head.store,
            revision=newest if has_more else max(newest, head.revision),
            is_whole=not is_known,
            records=tuple(each.record for each in shown),
            has_more=has_more,
        )
