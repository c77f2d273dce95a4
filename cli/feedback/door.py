"""The door for judgements: `POST /v1/feedback`, alone or many at once, with an ordinary key, patiently, never twice."""

import asyncio
from collections.abc import Sequence
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
    """Either of the two answers; one of `results`, too."""

    id: str = ""
    error: _Fault | None = None
    results: "list[_Answer]" = []


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
        patience = _Patience(self._patience_s)
        while True:
            try:
                status, told = await self._try("/v1/feedback", content, {"idempotency-key": key})
            except ServiceError as error:
                await patience.wait(error)
                continue
            if status != 201 or not told.id:
                raise self._stranger(status)
            return told.id

    async def give_all(self, judgements: Sequence[tuple[dict[str, Any], str]]) -> list[ServiceError | None]:
        """Give many, each with its key, in one request; for each why it was refused, or None.

        Raises:
            ServiceError: nobody took them in time, or what is wrong is not the rows.
        """
        told: list[ServiceError | None] = [None] * len(judgements)
        left = list(range(len(judgements)))
        patience = _Patience(self._patience_s)
        while left:
            try:
                outcome = await self._try_all([judgements[index] for index in left])
            except ServiceError as error:
                if error.code == "request_too_large" and len(judgements) > 1:
                    half = len(judgements) // 2
                    return [*await self.give_all(judgements[:half]), *await self.give_all(judgements[half:])]
                if error.code == "request_too_large":
                    return [error]
                await patience.wait(error)
                continue
            again = []
            for index, fault in zip(left, outcome, strict=True):
                told[index] = fault
                if fault is not None and fault.spec.retryable:
                    again.append(index)
            if again:
                await patience.wait(told[again[0]])
            left = again
        return told

    async def _try_all(self, judgements: list[tuple[dict[str, Any], str]]) -> list[ServiceError | None]:
        content = msgspec.json.encode({"signals": [{"idempotency_key": key, **body} for body, key in judgements]})
        status, told = await self._try("/v1/feedback/batch", content, {})
        if status != 200 or len(told.results) != len(judgements):
            raise self._stranger(status)
        return [None if one.error is None else _error(one.error) for one in told.results]

    async def _try(self, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, _Answer]:
        try:
            answer = await self._http.post(
                path,
                content=content,
                headers={**headers, "content-type": "application/json"},
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
            raise _error(told.error)
        return answer.status_code, told

    def _stranger(self, status: int) -> ServiceError:
        text = f"{self._root} answered with status {status}, but not as a gateway of llmos does."
        return ServiceError("internal_error", text)


class _Patience:
    """Pauses that grow, until it is over."""

    def __init__(self, patience_s: float) -> None:
        self._give_up_s = clock.monotonic_s() + patience_s
        self._pause_s = _FIRST_PAUSE_S

    async def wait(self, error: ServiceError | None) -> None:
        """Wait before the next try; raises `error` if trying again cannot help or the time is over."""
        is_over = clock.monotonic_s() + self._pause_s > self._give_up_s
        if error is not None and (is_over or not error.spec.retryable):
            raise error
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _error(fault: _Fault) -> ServiceError:
    code = fault.code if fault.code in ERRORS else "internal_error"
    return ServiceError(code, fault.message, param=fault.param)
