"""Customers' way to a platform: every POST has a key of its own, and one that gets no answer is sent again with it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import msgspec

from libs.kit.clock import new_event_id

TIMEOUT_S: Final = 60.0
ATTEMPTS: Final = 8
_BUSY: Final = frozenset({429, 503})
_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_DATA: Final = "data: "
_DONE: Final = "[DONE]"


class NoAnswerError(Exception):
    """The platform did not answer although it was asked again and again, or refused for good."""


@dataclass
class Troubles:
    """What went wrong on the way, and was tried again."""

    lost: int = 0
    """Requests without an answer: the connection broke, or the answer ended in the middle."""
    busy: int = 0
    """Requests that were asked to come later."""


@dataclass(frozen=True)
class Said:
    """One answer of the desk as it came over the wire."""

    id: str
    text: str
    stopped: bool
    version: str
    """Which version answered, by the platform's own word."""


class Door:
    """A gateway as a customer sees it."""

    def __init__(self, url: str, key: str) -> None:
        """Prepare.

        Args:
            url: the gateway's root, without `/v1`.
            key: an ordinary API key.
        """
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
            limits=limits,
            # Proxies are for the outside.
            trust_env=False,
        )
        self.troubles = Troubles()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def chat(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Said:
        """One answer, streamed if the body says so.

        Raises:
            NoAnswerError: there is none.
        """
        read = _read_stream if body.get("stream") else _read_whole
        said: Said = await self._sent("/v1/chat/completions", body, headers, read)
        return said

    async def judge(self, body: Mapping[str, Any]) -> None:
        """Hands a judgement in.

        Raises:
            NoAnswerError: nobody has confirmed it.
        """
        await self._sent("/v1/feedback", body, {}, _read_nothing)

    async def _sent(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], read: Callable[[httpx2.Response], Any]
    ) -> Any:
        content = msgspec.json.encode(body)
        named = {**headers, "content-type": "application/json", "idempotency-key": new_event_id()}
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt))
            try:
                answer = await self._http.post(path, content=content, headers=named)
                if answer.status_code in _BUSY:
                    self.troubles.busy += 1
                    reason = answer.text
                    continue
                if answer.is_error:
                    raise NoAnswerError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
                return read(answer)
            except (httpx2.TransportError, _BrokenOffError) as error:
                self.troubles.lost += 1
                reason = f"{type(error).__name__} {error}".strip()
        raise NoAnswerError(f"{path} did not answer in {ATTEMPTS} attempts: {reason[:300]}")


class _BrokenOffError(Exception):
    """A stream ended without its end."""


def _read_nothing(_: httpx2.Response) -> None:
    """A judgement is confirmed by its status."""


def _read_whole(answer: httpx2.Response) -> Said:
    done = answer.json()
    first = done["choices"][0]
    text = (first["message"]["content"] or "").strip()
    return Said(done["id"], text, first["finish_reason"] == "stop", _version(answer))


def _read_stream(answer: httpx2.Response) -> Said:
    """The pieces put together; customers look at the whole, so it is read to its end first."""
    pieces: list[str] = []
    finish, id_ = "", ""
    for line in answer.text.splitlines():
        if not line.startswith(_DATA):
            continue
        if line == _DATA + _DONE:
            return Said(id_, "".join(pieces).strip(), finish == "stop", _version(answer))
        chunk = msgspec.json.decode(line.removeprefix(_DATA))
        if "error" in chunk:
            raise _BrokenOffError(str(chunk["error"])[:200])
        id_ = chunk["id"]
        for choice in chunk["choices"]:
            pieces.append(choice["delta"].get("content") or "")
            finish = choice.get("finish_reason") or finish
    raise _BrokenOffError("The stream has no end.")


def _version(answer: httpx2.Response) -> str:
    return str(answer.headers.get("x-llmos-model-version", ""))
