"""The door for judgements: `POST /v1/feedback` with an ordinary key, patiently, and never twice."""

import asyncio
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import msgspec

from cli.rest import client, root_of
from libs.contracts.errors import ERRORS
from libs.kit import clock
from libs.kit.errors import ServiceError

_TIMEOUT_S: Final = 15.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0


class _Fault(msgspec.Struct):
    message: str
    code: str
    param: str | None = None


class _Answer(msgspec.Struct):
    """Either of the two answers."""

    id: str = ""
    error: _Fault | None = None


class Door:
    """A gateway that takes judgements; use it with `async with`."""

    def __init__(self, url: str, key: str, *, patience_s: float) -> None:
        """Prepare.

        Args:
            url: the gateway's root, with or without `/v1`.
            key: an ordinary API key; its tenant is whose judgements these are.
            patience_s: how long one judgement is repeated while nobody takes it.
        """
        self._root = root_of(url)
        self._http = client(self._root, key)
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def give(self, body: Any, key: str) -> str:
        """The id of the signal; `key` makes it the same judgement, however often it is sent.

        Raises:
            ServiceError: it was refused, or nobody took it in time.
        """
        content = msgspec.json.encode(body)
        give_up_s = clock.monotonic_s() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._try(content, key)
            except ServiceError as error:
                if not error.spec.retryable or clock.monotonic_s() + pause_s > give_up_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _try(self, content: bytes, key: str) -> str:
        try:
            answer = await self._http.post(
                "/v1/feedback",
                content=content,
                headers={"idempotency-key": key, "content-type": "application/json"},
                timeout=_TIMEOUT_S,
            )
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError("bus_unavailable", f"No gateway answers at {self._root}: {reason}.") from error
        try:
            told = msgspec.json.decode(answer.content, type=_Answer)
        except msgspec.MsgspecError:
            told = _Answer()
        if told.error is not None:
            code = told.error.code if told.error.code in ERRORS else "internal_error"
            raise ServiceError(code, told.error.message, param=told.error.param)
        if answer.status_code != 201 or not told.id:
            text = f"{self._root} answered with status {answer.status_code}, but not as a gateway of llmos does."
            raise ServiceError("internal_error", text)
        return told.id
