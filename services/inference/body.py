"""From the client's body to the engine's: names checked, the platform's own fields put in, the rest byte for byte."""

from typing import Final

import msgspec

from libs.contracts.inference import Envelope
from libs.contracts.requests import ROUTES
from libs.kit.errors import ServiceError

_Fields = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(_Fields).decode
_encode = msgspec.json.Encoder().encode
_NULL: Final = b"null"
_OFF: Final = frozenset((b"null", b"false"))
_SALTED: Final = frozenset(
    ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")
)
_RESPONSES: Final = "/v1/responses"
_PLATFORM_ONLY: Final = ("service_tier",)


def engine_body(body: bytes, envelope: Envelope, *, adapters: bool) -> bytes:
    """What the engine gets to read.

    Args:
        body: the client's own bytes.
        envelope: what the platform decided about the request.
        adapters: whether adapters are enabled in the engine, which makes some fields deadly for it.

    Raises:
        ServiceError: not a JSON object, a field that a client may not set, or one that would end the engine.
    """
    fields = _read(body)
    _check_names(fields, envelope.route)
    if adapters:
        _check_prompt_logprobs(fields)
    for name in _PLATFORM_ONLY:
        fields.pop(name, None)
    fields["model"] = _quoted(envelope.model)
    if envelope.cache_salt and envelope.route in _SALTED:
        fields["cache_salt"] = _quoted(envelope.cache_salt)
    if envelope.route == _RESPONSES:
        # The other routes take the id from the header; this one invents its own otherwise.
        fields["request_id"] = _quoted(f"resp_{envelope.request_id}")
    return _encode(fields)


def _read(body: bytes) -> _Fields:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise ServiceError("invalid_json", "The request body must be a JSON object.") from error
    except msgspec.DecodeError as error:
        raise ServiceError("invalid_json", f"The request body is not valid JSON: {error}.") from error


def _check_names(fields: _Fields, route: str) -> None:
    contract = ROUTES.get(route)
    if contract is None:
        raise ServiceError("unsupported_route", f"This worker does not answer {route}.")
    if fields.keys() <= contract.allowed:
        return
    name = min(fields.keys() - contract.allowed)
    if name in contract.refused:
        raise ServiceError("unsupported_parameter", f"The field '{name}' may not be set by a client.", param=name)
    raise ServiceError("unknown_parameter", f"Unknown field '{name}' for {route}.", param=name)


def _check_prompt_logprobs(fields: _Fields) -> None:
    """Log-probabilities of the prompt crash an engine with adapters as soon as another request runs beside them."""
    if bytes(fields.get("prompt_logprobs", _NULL)) != _NULL:
        raise ServiceError(
            "unsupported_parameter",
            "'prompt_logprobs' is not available on a model that is served with adapters.",
            param="prompt_logprobs",
        )
    wanted = {name for name in ("logprobs", "top_logprobs") if bytes(fields.get(name, _NULL)) not in _OFF}
    if wanted and bytes(fields.get("echo", _NULL)) not in _OFF:
        raise ServiceError(
            "unsupported_parameter",
            "'echo' together with log-probabilities is not available on a model that is served with adapters.",
            param="echo",
        )


def _quoted(text: str) -> msgspec.Raw:
    return msgspec.Raw(_encode(text))
