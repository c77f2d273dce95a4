"""Reads what gateways submit, through the stream or past it."""

from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.inference import ENVELOPE_HEADER, Envelope
from libs.kit.bus import Message, header_value
from services.scheduler.domain.held import Held
from services.scheduler.errors import SubmissionError

_HEADER: Final = ENVELOPE_HEADER.encode()
_MAX_RETRY: Final = 255
_decode: Final = msgspec.json.Decoder(Envelope).decode


class _Sender(msgspec.Struct, frozen=True):
    """The least of an envelope that must be readable to answer its sender."""

    reply: str = ""
    retry: int = 0


_decode_sender: Final = msgspec.json.Decoder(_Sender).decode


def read(message: Message, *, ack_subject: str = "", delivery: int = 0) -> Held:
    """Turn a message into something to be scheduled; one from the stream comes with its delivery.

    Raises:
        SubmissionError: no envelope, or one that does not say what it must.
    """
    raw = header_value(message.headers, _HEADER)
    if raw is None:
        raise SubmissionError("no envelope")
    try:
        envelope = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(raw, str(error)) from error
    if not subjects.is_gateway_reply(envelope.reply):
        raise SubmissionError("the reply subject is not a gateway's")
    if not subjects.is_token(envelope.request_id) or not 0 <= envelope.retry <= _MAX_RETRY:
        raise SubmissionError("bad request id or retry", reply=envelope.reply)
    return Held(
        envelope=envelope,
        raw_envelope=raw,
        body=message.payload,
        ack_subject=ack_subject,
        delivery=delivery,
    )


def _unreadable(raw: bytes, reason: str) -> SubmissionError:
    try:
        sender = _decode_sender(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return SubmissionError(reason)
    if not subjects.is_gateway_reply(sender.reply) or not 0 <= sender.retry <= _MAX_RETRY:
        return SubmissionError(reason)
    return SubmissionError(reason, reply=sender.reply, retry=sender.retry)
