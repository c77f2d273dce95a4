"""Frames survive encoding, and damaged ones are refused by type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import frames
from libs.contracts.frames import Flag, Frame, FrameError
from libs.contracts.inference import FrameMeta, Usage

U32 = st.integers(min_value=0, max_value=2**32 - 1)


@given(
    flags=st.integers(0, 31),
    status=st.integers(0, 599),
    attempt=U32,
    seq=U32,
    body=st.binary(),
    code=st.text(max_size=9),
)
def test_a_frame_comes_back_as_it_went(flags: int, status: int, attempt: int, seq: int, body: bytes, code: str) -> None:
    meta = FrameMeta(code=code, usage=Usage(prompt_tokens=3))
    payload = frames.encode(flags, attempt, seq, body, status=status, meta=frames.encode_meta(meta))
    assert frames.decode(payload) == Frame(flags, status, attempt, seq, meta, body)
    assert not frames.is_publish_ack(payload)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_frame_or_a_frame_error(payload: bytes) -> None:
    try:
        frame = frames.decode(payload)
    except FrameError:
        return
    assert payload[0] == frames.VERSION
    assert frame.body == payload[len(payload) - len(frame.body) :]


def test_a_cut_frame_and_another_version_are_refused() -> None:
    payload = frames.encode(Flag.LAST, 1, 2, meta=frames.encode_meta(FrameMeta(message="x")))
    with pytest.raises(FrameError, match="does not fit"):
        frames.decode(payload[:-1])
    with pytest.raises(FrameError, match="version 2"):
        frames.decode(b"\x02" + payload[1:])


def test_the_parts_of_an_attempt_do_not_run_into_each_other() -> None:
    attempt = frames.make_attempt(retry=2, delivery=300, dispatch=1)
    assert attempt == 2 << 16 | 255 << 8 | 1
    assert frames.retry_of(attempt) == 2


@given(st.lists(st.tuples(st.text("abcdef0123456789", min_size=1, max_size=30), st.binary(max_size=40))))
def test_a_bundle_gives_back_what_was_joined(entries: list[tuple[str, bytes]]) -> None:
    bundle = frames.join((name.encode(), frame) for name, frame in entries)
    assert [(name, bundle[start:end]) for name, start, end in frames.split(bundle)] == entries


@given(st.binary(max_size=60))
def test_random_bytes_are_a_bundle_or_a_frame_error(bundle: bytes) -> None:
    try:
        entries = list(frames.split(bundle))
    except FrameError:
        return
    assert sum(end - start for _, start, end in entries) <= len(bundle)


def test_a_frame_is_read_where_it_lies_and_a_cut_bundle_gives_what_is_whole() -> None:
    frame = frames.encode(Flag.HEAD, 1, 2, b"body", status=200, meta=frames.encode_meta(FrameMeta(content_type="x")))
    bundle = frames.join([(b"r1", frame), (b"r2", frame)])
    entries = frames.split(bundle[:-1])
    name, start, end = next(entries)
    assert (name, frames.decode(bundle, start, end)) == ("r1", frames.decode(frame))
    with pytest.raises(FrameError, match="ends before"):
        next(entries)
