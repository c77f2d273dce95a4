"""Keys are made, known to whoever listens as gateways do, rotated and revoked; the key itself is nowhere."""

import hashlib

from libs.contracts.permissions import Role
from libs.testkit.identity import IdentityDesk
from libs.testkit.wait import eventually


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def follows(desk: IdentityDesk, secret: str, *, revoked: bool) -> None:
    """Return when whoever listens as a gateway does knows of the key, and whether it is accepted."""

    async def knows() -> bool:
        await desk.follow()
        record = desk.known.get(digest(secret))
        return record is not None and record.is_revoked is revoked

    await eventually(knows, what=f"a key with is_revoked={revoked}")


async def test_a_new_key_is_known_to_whoever_listens_and_so_is_its_end(desk: IdentityDesk) -> None:
    await desk.project()

    issued = await desk.key(role=Role.ANNOTATOR)

    await follows(desk, issued.secret, revoked=False)
    record = desk.known[digest(issued.secret)]
    assert (record.id, record.role, record.tenant) == (issued.key.id, Role.ANNOTATOR, "shop")

    revoked = await desk.revoke(issued.key.id)

    assert revoked.revoked_ms
    assert revoked.revision > issued.key.revision
    await follows(desk, issued.secret, revoked=True)
