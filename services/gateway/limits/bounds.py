"""How many tokens a request may cost at most, known before any engine has seen it."""

from typing import Final

import msgspec

from libs.contracts.requests import CompletionBody, RequestBody
from libs.kit.errors import ServiceError

_LIMIT_FIELDS: Final = {
    "/v1/chat/completions": b"max_completion_tokens",
    "/v1/completions": b"max_tokens",
    "/v1/responses": b"max_output_tokens",
    "/v1/messages": b"max_tokens",
}
"""Routes that generate, and the field that limits how much."""
_READING: Final = frozenset({"/v1/embeddings"})
"""Routes whose engine counts a prompt and generates nothing."""
_prompts = msgspec.json.Decoder(list[msgspec.Raw]).decode


def prompt_bound(path: str, body: bytes) -> int:
    """At least the prompt's tokens: no token is shorter than a byte."""
    return len(body) if path in _LIMIT_FIELDS or path in _READING else 0


def answer_bound(path: str, fields: RequestBody) -> int:
    """The client's limit on all answers together; 0 if it set none, or the route generates nothing."""
    return fields.token_limit() * answers(fields) if path in _LIMIT_FIELDS else 0


def answers(fields: RequestBody) -> int:
    """How many answers one request asks for."""
    count: int = getattr(fields, "n", None) or 1
    if isinstance(fields, CompletionBody) and bytes(fields.prompt).lstrip()[:1] == b"[":
        prompts = _prompts(fields.prompt)
        # A list of numbers is one prompt, in tokens; texts or such lists are one each.
        if prompts and bytes(prompts[0]).lstrip()[:1] in (b'"', b"["):
            count *= len(prompts)
    return count


def needs_limit(path: str, fields: RequestBody) -> bool:
    """Whether it would generate as much as the model can."""
    return path in _LIMIT_FIELDS and not fields.token_limit()


def with_limit(path: str, fields: RequestBody, body: bytes, tokens: int) -> bytes:
    """The body with a limit on each answer, which `fields` tell from now on, too.

    Raises:
        ServiceError: `invalid_json`, the body does not end as an object does.
    """
    end = body.rstrip()
    if not end.endswith(b"}"):
        raise ServiceError("invalid_json", "The body must be a JSON object.")
    name = _LIMIT_FIELDS[path]
    setattr(fields, name.decode(), tokens)
    # The engine takes the last of two fields of one name, so an explicit null does no harm.
    return b'%b,"%b":%d}' % (end[:-1], name, tokens)
