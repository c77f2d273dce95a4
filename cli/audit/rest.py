"""The audit service over REST: which request each of its operations is."""

from typing import Any, Final

import msgspec

from cli.rest import Offer, RestCaller, Wanted, at, query
from libs.contracts.audit import OPERATIONS, VerifyChain
from libs.kit.audit_client import TIMEOUT_S


class RestAudit(RestCaller):
    """A gateway's admin API as the audit service; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _AUDIT)

    async def walk(self) -> list[Any]:
        """What each part of the whole chain was found to be, from the first row on."""
        found: list[Any] = []
        asked = VerifyChain()
        while not found or found[-1].has_more:
            found.append(await self.call("audit_verify", asked))
            asked = msgspec.structs.replace(asked, after=found[-1].until, link=found[-1].link)
        return found


_AUDIT: Final = Offer(
    name="audit",
    operations=OPERATIONS,
    routes={
        "audit_list": lambda asked: Wanted("GET", at("audit"), query=query(asked)),
        "audit_verify": lambda asked: Wanted("GET", at("audit", "verification"), query=query(asked)),
    },
    timeout_s=lambda _: TIMEOUT_S,
)
