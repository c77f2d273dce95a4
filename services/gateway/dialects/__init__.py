"""How errors and limits look to each family of clients; the answers themselves come from the engine as they are."""

from collections.abc import Iterable
from typing import Final, Protocol

from libs.contracts.requests import Dialect as DialectName
from libs.kit.errors import ServiceError
from services.gateway.dialects.anthropic import Anthropic
from services.gateway.dialects.left import Left
from services.gateway.dialects.openai import OpenAI, OpenAIResponses


class Dialect(Protocol):
    """One family's shapes."""

    request_id_headers: tuple[bytes, ...]
    """Response headers that carry the request id."""

    def status(self, error: ServiceError) -> int:
        """The HTTP status of `error` before the first byte."""

    def body(self, error: ServiceError, request_id: str) -> bytes:
        """The JSON document for `error` before the first byte."""

    def event(self, error: ServiceError, request_id: str, last_sent: bytes) -> bytes:
        """The server-sent event for `error` in a stream whose last bytes were `last_sent`."""

    def limit_lines(self, left: Iterable[Left]) -> bytes:
        """Header lines that say how much of each limit is left."""


__all__ = ["Dialect", "Left", "dialect_of"]

_OPENAI: Final = OpenAI()
_ANTHROPIC: Final = Anthropic()
_RESPONSES: Final = OpenAIResponses()


def dialect_of(name: DialectName, path: str = "") -> Dialect:
    """The dialect of an endpoint."""
    if name == "anthropic":
        return _ANTHROPIC
    return _RESPONSES if path == "/v1/responses" else _OPENAI
