"""Looking at keys, and ending them."""

import msgspec

from libs.contracts.identity import ApiKey, FindKeys, KeyPage, KeyRef, RevokeKey
from libs.kit import clock
from libs.kit.serving import Operation
from services.identity.domain.checks import check_text
from services.identity.ground import Ground
from services.identity.repository import heads, keys
from services.identity.service.issuing import Issuing, found_key, write_key
from services.identity.service.paging import check_limit, fitting, place_of
from services.identity.service.projects import check_revision


class Keys:
    """Lists, shows and revokes keys."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._issuing = Issuing(ground)

    def operations(self) -> dict[str, Operation]:
        """One call per verb."""
        return {
            "key_create": self._issuing.create,
            "key_rotate": self._issuing.rotate,
            "key_show": self.show,
            "key_list": self.list,
            "key_revoke": self.revoke,
        }

    async def show(self, request: KeyRef) -> ApiKey:
        """One key.

        Raises:
            ServiceError: `not_found` or `storage_unavailable`.
        """
        async with self._ground.database.begin() as connection:
            return await found_key(connection, request.id, tenant=request.tenant)

    async def list(self, request: FindKeys) -> KeyPage:
        """One page, newest first.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = check_limit(request.limit)
        check_text(request.tenant, "tenant")
        async with self._ground.database.begin() as connection:
            found = await keys.page(
                connection,
                tenant=request.tenant,
                before=place_of(request.after),
                alive_at_ms=None if request.revoked else clock.unix_ms(),
                limit=limit + 1,
            )
        shown = found[: min(limit, fitting([each.key for each in found]))]
        more = str(shown[-1].sequence) if len(shown) < len(found) else ""
        return KeyPage(tuple(each.key for each in shown), next=more)

    async def revoke(self, request: RevokeKey) -> ApiKey:
        """Accept it no more; again changes nothing.

        Raises:
            ServiceError: `not_found`; `conflict`, it has another revision; or `storage_unavailable`.
        """
        check_text(request.author, "author")
        async with self._ground.database.begin() as connection:
            await heads.lock(connection)
            before = await found_key(connection, request.id, tenant=request.tenant)
            if before.revoked_ms:
                return before
            check_revision(f"key {before.id}", before.revision, request.expected_revision)
            after = msgspec.structs.replace(before, revoked_ms=clock.unix_ms(), revision=before.revision + 1)
            await write_key(connection, before, after, "revoked", request.author)
        self._ground.changed()
        return after
