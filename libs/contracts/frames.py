"""The binary frame between worker and gateway (layout: architecture/request-path.md)."""

import struct
from collections.abc import Iterable, Iterator
from enum import IntFlag
from typing import Final, NamedTuple

import msgspec

from libs.contracts.inference import FrameMeta

VERSION: Final = 1
HEADER: Final = struct.Struct("<BBHIII")
HEADER_BYTES: Final = HEADER.size
ENTRY: Final = struct.Struct("<BI")
"""Before each frame of a bundle: length of the request id, length of the frame; then the id, then the frame."""
ENTRY_BYTES: Final = ENTRY.size
MAX_SEQ: Final = 0xFFFF_FFFF
_MAX_PART: Final = 0xFF
_BELOW_RETRY: Final = 0xFFFF
_REFUSAL: Final = b'{"accepted":false'

_encode_meta = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(FrameMeta).decode
_EMPTY_META: Final = FrameMeta()


class Flag(IntFlag):
    """What a frame tells besides its bytes."""

    ACCEPTED = 1
    HEAD = 2
    LAST = 4
    ERROR = 8
    CANCELLED = 16


class Frame(NamedTuple):
    """One decoded frame; `flags` is a plain int for speed, to be tested against `Flag`."""

    flags: int
    status: int
    attempt: int
    seq: int
    meta: FrameMeta
    body: bytes


class FrameError(ValueError):
    """The bytes are not a frame of a version that this process speaks."""


def encode(flags: int, attempt: int, seq: int, body: bytes = b"", *, status: int = 0, meta: bytes = b"") -> bytes:
    """Build a frame; `meta` is already encoded (see `encode_meta`), most often empty."""
    return encode_head(flags, attempt, seq, status=status, meta=meta) + body


def encode_head(flags: int, attempt: int, seq: int, *, status: int = 0, meta: bytes = b"") -> bytes:
    """Build what stands before the body of a frame; the body is the rest of the message."""
    return HEADER.pack(VERSION, flags, status, attempt, seq, len(meta)) + meta


def encode_meta(meta: FrameMeta) -> bytes:
    """Encode the JSON part once; frames that share it reuse the bytes."""
    return _encode_meta(meta)


def decode(payload: bytes, start: int = 0, end: int | None = None) -> Frame:
    """Read the frame that lies between `start` and `end`.

    Raises:
        FrameError: too short, another version, or metadata that is not JSON of the right shape.
    """
    end = len(payload) if end is None else end
    if end - start < HEADER_BYTES:
        raise FrameError(f"a frame has at least {HEADER_BYTES} bytes, this one {end - start}")
    version, flags, status, attempt, seq, meta_len = HEADER.unpack_from(payload, start)
    if version != VERSION:
        raise FrameError(f"frame version {version}, this process speaks {VERSION}")
    if not meta_len:
        return Frame(flags, status, attempt, seq, _EMPTY_META, payload[start + HEADER_BYTES : end])
    body = start + HEADER_BYTES + meta_len
    if body > end:
        raise FrameError(f"frame metadata of {meta_len} bytes does not fit in {end - start}")
    try:
        meta = _decode_meta(payload[start + HEADER_BYTES : body])
    except msgspec.DecodeError as error:
        raise FrameError(f"frame metadata: {error}") from error
    return Frame(flags, status, attempt, seq, meta, payload[body:end])


def join(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A bundle: frames of several requests, each with the id of its request, in the order in which they are given."""
    parts: list[bytes] = []
    for request_id, frame in entries:
        parts += (ENTRY.pack(len(request_id), len(frame)), request_id, frame)
    return b"".join(parts)


def split(bundle: bytes) -> Iterator[tuple[str, int, int]]:
    """Request id, start and end of each frame in a bundle.

    Raises:
        FrameError: what follows is no entry; those before it have been given.
    """
    position, size = 0, len(bundle)
    while position < size:
        if size - position < ENTRY_BYTES:
            raise FrameError(f"{size - position} bytes are left over in a bundle")
        id_len, frame_len = ENTRY.unpack_from(bundle, position)
        start = position + ENTRY_BYTES + id_len
        end = start + frame_len
        if end > size:
            raise FrameError(f"a bundle of {size} bytes ends before byte {end} of one of its frames")
        yield bundle[position + ENTRY_BYTES : start].decode("ascii", "replace"), start, end
        position = end


def is_publish_ack(payload: bytes) -> bool:
    """Whether a message on a reply subject is JetStream's answer to the publish, not a frame."""
    return payload[:1] == b"{"


def is_refusal(payload: bytes) -> bool:
    """Whether a message on a gateway's reply subject is a worker's `Handover` that refuses."""
    return payload.startswith(_REFUSAL)


def make_attempt(retry: int, delivery: int, dispatch: int) -> int:
    """Number one execution: the gateway's retry, JetStream's delivery, the scheduler's dispatch (each at most 255)."""
    return min(retry, _MAX_PART) << 16 | min(delivery, _MAX_PART) << 8 | min(dispatch, _MAX_PART)


def direct_attempt(retry: int) -> int:
    """Number the execution that a gateway orders itself: no delivery, no dispatch, so that no scheduler's is equal."""
    return make_attempt(retry, 0, 0)


def is_direct(attempt: int) -> bool:
    """Whether a gateway ordered this execution itself, without a scheduler."""
    return not attempt & _BELOW_RETRY


def retry_of(attempt: int) -> int:
    """The gateway's retry number inside an attempt."""
    return attempt >> 16
