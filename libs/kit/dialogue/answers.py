"""What was asked and what was answered, as chat messages, from the bytes that went over the wire.

Four dialects come in: OpenAI's chat, completions and responses, and Anthropic's messages, each as one JSON document
or as an event stream. Streams may be cut anywhere, hold bytes that are no text, or end in an error: what can be read
is kept, and whether it was all of it is said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from libs.kit.dialogue import dialects
from libs.kit.dialogue.streams import documents


@dataclass
class Answer:
    """An assistant message, or None where there is no answer to read."""

    message: dict[str, Any] | None
    whole: bool
    """Whether the end is there."""


@dataclass(frozen=True)
class _Dialect:
    asked: Callable[[dict[str, Any]], list[Any] | None]
    from_document: Callable[[dict[str, Any]], dict[str, Any] | None]
    assembly: Callable[[], dialects.Assembly]


_DIALECTS: Final = {
    "/v1/chat/completions": _Dialect(dialects.chat_asked, dialects.chat_document, dialects.ChatAssembly),
    "/v1/completions": _Dialect(dialects.completion_asked, dialects.completion_document, dialects.CompletionAssembly),
    "/v1/responses": _Dialect(dialects.responses_asked, dialects.responses_document, dialects.ResponsesAssembly),
    "/v1/messages": _Dialect(dialects.anthropic_asked, dialects.anthropic_document, dialects.AnthropicAssembly),
}


def asked(route: str, request: bytes | msgspec.Raw) -> list[Any] | None:
    """The conversation that the client sent, oldest first; None where the body holds none that can be read."""
    dialect = _DIALECTS.get(route)
    body = _decode(bytes(request))
    if dialect is None or not isinstance(body, dict):
        return None
    return dialect.asked(body)


def answered(route: str, response: str) -> Answer:
    """The assistant's message: `role`, `content`, and `tool_calls` and `reasoning` where there are any."""
    dialect = _DIALECTS.get(route)
    if dialect is None or not response.strip():
        return Answer(None, whole=False)
    document = _decode(response.encode(errors="replace"))
    if isinstance(document, dict):
        return Answer(dialect.from_document(document), whole=True)
    assembly = dialect.assembly()
    for event in documents(response):
        assembly.add(event)
    return Answer(assembly.message(), whole=assembly.done)


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
