"""From the engine's errors to ours: a stable code, and a message that gives away nothing about this machine."""

import re
from typing import Final

import msgspec

from libs.kit.errors import ServiceError

ERROR_EVENTS: Final = (b'data: {"error"', b"event: error")
"""How the engine's application begins an error in the middle of a stream that had started well."""

_MAX_MESSAGE_CHARS: Final = 500
_ENGINE_ERROR: Final = "The engine failed on this request. Trying again may help."
_CONTEXT: Final = re.compile(
    r"maximum context length|longer than the maximum model length|max_model_len", re.IGNORECASE
)
_ADVICE: Final = re.compile(r" ?To [^.]*?\bset the (?:environment variable [^.]*|\w+ environment variable)\.?")
_DETAIL: Final = re.compile(r" ?\(parameter=\w+, value=.*\)$", re.DOTALL)
_FIRST_PROBLEM: Final = re.compile(r"'msg': (?:'([^']*)'|\"([^\"]*)\")")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]+\b")
_PATH: Final = re.compile(r"(?<![\w/])(?:/[\w.@+-]+){2,}/?")


class _Detail(msgspec.Struct, frozen=True):
    message: str = ""
    param: str | None = None
    code: int | str | None = None


class _Answer(msgspec.Struct, frozen=True):
    error: _Detail = _Detail()


_decode = msgspec.json.Decoder(_Answer).decode


def from_answer(status: int, body: bytes, refusal: str = "") -> ServiceError:
    """The meaning of an answer with `status` of 400 or more; `refusal` is what the engine itself had against it."""
    try:
        detail = _decode(body).error
    except msgspec.DecodeError:
        detail = _Detail()
    return _translate(status, detail, refusal)


def from_event(chunk: bytes, refusal: str = "") -> ServiceError:
    """The meaning of an error event inside a stream (see `ERROR_EVENTS`)."""
    start = chunk.find(b"data: ")
    end = chunk.find(b"\n", start)
    try:
        detail = _decode(chunk[start + 6 : end if end > 0 else None]).error
    except msgspec.DecodeError:
        detail = _Detail()
    return _translate(detail.code if isinstance(detail.code, int) else 500, detail, refusal)


def from_exception(refusal: str = "") -> ServiceError:
    """The meaning of an exception that left the application, or of its silence."""
    return _translate(500, _Detail(), refusal)


def _translate(status: int, detail: _Detail, refusal: str) -> ServiceError:
    if status >= 500 and refusal:
        status, detail = 400, _Detail(message=refusal)
    if status >= 500:
        return ServiceError("engine_error", _ENGINE_ERROR)
    message = clean(detail.message)
    if status == 404 and not message:
        return ServiceError("unsupported_route", "This model does not answer this endpoint.")
    if status == 404:
        return ServiceError("model_not_found", message, param=detail.param)
    if _CONTEXT.search(detail.message):
        return ServiceError("context_length_exceeded", message, param=_param(detail.param))
    return ServiceError("invalid_value", message or "The engine refused the request.", param=_param(detail.param))


def _param(param: str | None) -> str | None:
    """The field's own name: the engine puts `body.` before it, or names something that is no field."""
    if param is None or param == "input_tokens":
        return None
    return param.removeprefix("body.")


def clean(message: str) -> str:
    """The first thing that was wrong, without paths, addresses and advice to operators."""
    problem = _FIRST_PROBLEM.search(message) if " validation error" in message else None
    if problem:
        message = (problem[1] or problem[2] or "").removeprefix("Value error, ")
    message = _DETAIL.sub("", _ADVICE.sub("", message))
    message = _PATH.sub("<path>", _ADDRESS.sub("<address>", message))
    return message.strip()[:_MAX_MESSAGE_CHARS]
