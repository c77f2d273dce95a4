"""One attempt: the checked address, the signed body, the receiver's answer."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

import httpx2

from libs.contracts.public_events import MEDIA_TYPE
from libs.kit import clock
from services.events.webhooks import signing
from services.events.webhooks.addresses import AddressError, Resolve, check, system_resolve

GONE: Final = 410
_AGENT: Final = "llmos-webhooks/1"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What is to be sent, and where."""

    url: str
    secrets: tuple[str, ...]
    event_id: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it went."""

    delivered: bool
    status: int = 0
    error: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == GONE


class Sender:
    """Sends, follows no redirect, reads no more of an answer than its status."""

    def __init__(
        self,
        *,
        timeout_s: float,
        allow_private: bool,
        resolve: Resolve = system_resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare; `trust` says whose certificates are good, in place of the usual ones."""
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._resolve = resolve
        self._http = httpx2.AsyncClient(
            verify=trust or True,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx2.Timeout(timeout_s),
            # A connection is not used again: the next attempt is checked and connects anew.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Drop every connection."""
        await self._http.aclose()

    async def send(self, attempt: Attempt) -> Outcome:
        """Try once; whatever goes wrong is told in the outcome."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(attempt)
        except AddressError as error:
            return Outcome(delivered=False, error=f"the address is refused: {error}")
        except TimeoutError:
            return Outcome(delivered=False, error=f"it did not answer within {self._timeout_s:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            # The library's own words may name addresses that the owner need not know.
            return Outcome(delivered=False, error=f"no answer: {type(error).__name__}")
        if httpx2.codes.is_success(status):
            return Outcome(delivered=True, status=status)
        return Outcome(delivered=False, status=status, error=_words(status))

    async def _post(self, attempt: Attempt) -> int:
        target = await check(attempt.url, allow_private=self._allow_private, resolve=self._resolve)
        timestamp_s = clock.unix_ms() // 1_000
        signed = signing.headers(attempt.secrets, event_id=attempt.event_id, timestamp_s=timestamp_s, body=attempt.body)
        named = {"host": target.host_header, "content-type": MEDIA_TYPE, "user-agent": _AGENT, **signed}
        extensions = {"sni_hostname": target.host} if target.scheme == "https" else {}
        request = self._http.build_request(
            "POST", target.url, content=attempt.body, headers=named, extensions=extensions
        )
        answer = await self._http.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


def _words(status: int) -> str:
    return f"it answered with status {status}" + ("; redirects are not followed" if 300 <= status < 400 else "")
