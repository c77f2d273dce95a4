"""JetStream's answers to publishes: stored, full, or something else that is wrong."""

from typing import Final

import msgspec

_TOO_MANY: Final = 429


class StoreError(msgspec.Struct):
    """Why a stream did not store a message."""

    code: int = 0
    description: str = ""

    @property
    def is_full(self) -> bool:
        """Whether the stream holds as much as it may.

        The server gives one code (10077) to every store failure; only the text tells a full queue from a broken disk.
        """
        return self.code == _TOO_MANY or self.description.startswith("maximum ")


class _PublishAck(msgspec.Struct):
    error: StoreError | None = None
    seq: int = 0


_decode_ack = msgspec.json.Decoder(_PublishAck).decode


def stored_as(payload: bytes) -> StoreError | int:
    """The sequence number under which a stream stored the message, now or before, or what it complains of.

    Raises:
        msgspec.DecodeError: it is no such answer.
    """
    ack = _decode_ack(payload)
    return ack.seq if ack.error is None else ack.error


def refusal_in(payload: bytes) -> StoreError | None:
    """What the answer to a publish complains of, or None; nothing at all means that no stream listens.

    Raises:
        msgspec.DecodeError: it is no such answer.
    """
    return _decode_ack(payload).error if payload else StoreError(description="no stream listens")
