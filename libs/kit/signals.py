"""What a signal must be to be recorded: one set of rules for the gateway, which refuses early, and for feedback."""

import functools
import hashlib
import math
import re
from typing import Final

import msgspec

from libs.contracts.feedback import (
    FUTURE_SLACK_MS,
    MAX_COMMENT_BYTES,
    MAX_RATER_LENGTH,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    RecordSignal,
    SignalKind,
    Source,
)
from libs.kit.errors import ServiceError

WEIGHTS: Final[dict[Source, float]] = {
    Source.EXPLICIT: 1.0,
    Source.IMPORTED: 1.0,
    Source.EDITED: 0.3,
    Source.REGENERATED: 0.1,
    Source.COPIED: 0.1,
    Source.ABANDONED: 0.05,
}
"""What one signal counts. Implicit ones are guesses at what somebody meant, so many weigh as much as one rating."""

DIGEST_BYTES: Final = 16
JUDGEMENT: Final = "judgement"
"""The origin of what a person said, directly or by import."""

_SIGNAL_ID: Final = re.compile(r"sig_[0-9a-f]{24}")
_INFERENCE_ID: Final = re.compile(r"(?:chatcmpl-|cmpl-|resp_|msg_)?([0-9a-f]{24})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_MAX_NAME_LENGTH: Final = 128
_TEXTS: Final = (SignalKind.COMMENT, SignalKind.DEMONSTRATION)


@functools.lru_cache(maxsize=8_192)
def request_id_of(inference_id: str) -> str:
    """The request that a client's id for its answer belongs to; a bare request id is taken too.

    Raises:
        ServiceError: `invalid_value`, it cannot be one.
    """
    match = _INFERENCE_ID.fullmatch(inference_id)
    if match is None:
        text = f"`{inference_id[:80]!a}` is not an id of an answer, for example `chatcmpl-` and 24 hexadecimal digits."
        raise ServiceError("invalid_value", text, param="inference_id")
    return match[1]


def target_of(signal: RecordSignal) -> str:
    """What the signal is about: `i:<request id>` or `e:<episode id>`."""
    return f"e:{signal.episode_id}" if signal.episode_id else f"i:{request_id_of(signal.inference_id)}"


def digest_of(signal: RecordSignal) -> bytes:
    """What two signals with the same id must share; the time is left out, for a repeat may state another."""
    parts = (signal.kind, signal.value, target_of(signal), signal.rater, signal.source, signal.tags)
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=DIGEST_BYTES).digest()


def origin_of(source: Source) -> str:
    """What a later signal must share with an earlier one to supersede it: a guess never replaces a judgement."""
    return JUDGEMENT if source in (Source.EXPLICIT, Source.IMPORTED) else source.value


def signal_id(tenant: str, key: str) -> str:
    """The id of the signal that `tenant` marks with the idempotency key `key`; the same for the same two."""
    digest = hashlib.sha256(b"%b\0%b" % (tenant.encode(), key.encode())).hexdigest()
    return f"sig_{digest[:24]}"


def checked(signal: RecordSignal, *, now_ms: int) -> RecordSignal:
    """The signal as it is to be kept.

    Control characters are taken out of texts (people paste them unseen; tabs and line breaks stay) and refused in
    names, where they only ever deceive. Tags come out sorted and single; a rater who is not named is the key.

    Raises:
        ServiceError: `invalid_value`, `missing_field` or `request_too_large`, with the field at fault.
    """
    if _SIGNAL_ID.fullmatch(signal.id) is None:
        raise ServiceError("invalid_value", "`id` must be `sig_` and 24 hexadecimal digits.", param="id")
    _name("tenant", signal.tenant, _MAX_NAME_LENGTH, required=True)
    _target(signal)
    rater = signal.rater or signal.key_id
    _name("rater", rater, MAX_RATER_LENGTH)
    if not 0 < signal.time_ms <= now_ms + FUTURE_SLACK_MS:
        text = f"`time_ms` must be after 1970 and at most {FUTURE_SLACK_MS // 1_000} s ahead of our clock."
        raise ServiceError("invalid_value", text, param="time_ms")
    value, tags = _value(signal.kind, signal.value), _tags(signal.tags)
    if (rater, tags) == (signal.rater, signal.tags) and value is signal.value:
        return signal
    return msgspec.structs.replace(signal, rater=rater, tags=tags, value=value)


def _target(signal: RecordSignal) -> None:
    if bool(signal.inference_id) == bool(signal.episode_id):
        code = "invalid_value" if signal.inference_id else "missing_field"
        raise ServiceError(code, "Give exactly one of `inference_id` and `episode_id`.", param="inference_id")
    if signal.inference_id:
        request_id_of(signal.inference_id)
    elif signal.kind is SignalKind.DEMONSTRATION:
        text = "A demonstration is a better answer to one request; give its `inference_id`."
        raise ServiceError("invalid_value", text, param="inference_id")
    _name("episode_id", signal.episode_id, _MAX_NAME_LENGTH)


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    if not tags:
        return tags
    if len(tags) > MAX_TAGS:
        raise ServiceError("invalid_value", f"At most {MAX_TAGS} tags.", param="tags")
    for tag in tags:
        _name("tags", tag, MAX_TAG_LENGTH, required=True)
    return tuple(sorted(set(tags)))


@functools.lru_cache(maxsize=8_192)
def _name(param: str, text: str, max_length: int, *, required: bool = False) -> None:
    if required and not text:
        raise ServiceError("missing_field", f"`{param}` must not be empty.", param=param)
    if len(text) > max_length:
        raise ServiceError("invalid_value", f"`{param}` may have at most {max_length} characters.", param=param)
    if _CONTROL.search(text):
        raise ServiceError("invalid_value", f"`{param}` holds a control character.", param=param)
    _utf8(param, text)


def _value(kind: SignalKind, value: bool | float | str) -> bool | float | str:  # noqa: FBT001 - it is the value
    if kind is SignalKind.THUMB:
        if not isinstance(value, bool):
            raise ServiceError("invalid_value", "The value of a thumb is true or false.", param="value")
        return value
    if kind is SignalKind.SCORE:
        if isinstance(value, bool | str) or not math.isfinite(value) or not 0 <= value <= 1:
            raise ServiceError("invalid_value", "The value of a score is a number from 0 to 1.", param="value")
        # Never -0.0, which would be another text for the same number.
        return float(value) + 0.0
    if not isinstance(value, str):
        raise ServiceError("invalid_value", f"The value of a {kind.value} is text.", param="value")
    return _text(kind, value)


def _text(kind: SignalKind, text: str) -> str:
    _utf8("value", text)
    text = _CONTROL_IN_TEXT.sub("", text)
    if not text.strip():
        raise ServiceError("invalid_value", f"The {kind.value} is empty.", param="value")
    if len(msgspec.json.encode(text)) > MAX_COMMENT_BYTES:
        raise ServiceError(
            "request_too_large", f"The {kind.value} takes more than {MAX_COMMENT_BYTES} bytes.", param="value"
        )
    return text


def _utf8(param: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ServiceError("invalid_value", f"`{param}` is not valid Unicode.", param=param) from error
