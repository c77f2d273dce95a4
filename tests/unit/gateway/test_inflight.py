"""The state of one request on the bus, frame by frame."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.frames import Flag, Frame, make_attempt
from libs.contracts.inference import Envelope, FrameMeta, ServiceClass, Usage
from libs.contracts.requests import ROUTES
from libs.kit.errors import ServiceError
from services.gateway.exchange import Exchange
from services.gateway.inflight import UNPINNED, InFlight, Verdict

A1 = make_attempt(0, 1, 0)
A2 = make_attempt(0, 1, 1)
RETRIED = make_attempt(1, 1, 0)


class Line:
    """A connection that is there."""

    gone = False
    blocked = False

    def watch(self, on_lost: object) -> None: ...

    def abort(self) -> None: ...

    def begin(self, status: int, lines: bytes, *, whole: bool) -> None: ...

    def write(self, body: bytes, *, more: bool) -> None: ...

    async def drained(self) -> None: ...


def _inflight(*, buffered: int = 1_000, response: int = 1_000) -> InFlight:
    envelope = Envelope(
        request_id="r",
        reply="x",
        route="/v1/chat/completions",
        model="m",
        pool="p",
        service_class=ServiceClass.STANDARD,
        tenant="t",
        start_by_ms=0,
        deadline_ms=0,
        submitted_ms=0,
    )
    exchange = Exchange(ROUTES["/v1/chat/completions"], Line())
    return InFlight(exchange, envelope, b"{}", max_buffered_bytes=buffered, max_response_bytes=response)


def _frame(
    flags: int, seq: int, body: bytes = b"", *, attempt: int = A1, status: int = 0, meta: FrameMeta | None = None
) -> Frame:
    return Frame(flags, status, attempt, seq, meta or FrameMeta(), body)


def _accepted(attempt: int = A1) -> Frame:
    return _frame(Flag.ACCEPTED, 0, attempt=attempt, meta=FrameMeta(worker="w", worker_name="n", model_version="v"))


def _head(body: bytes = b"", content_type: str = "text/event-stream", attempt: int = A1, flags: int = 0) -> Frame:
    return _frame(Flag.HEAD | flags, 1, body, attempt=attempt, status=200, meta=FrameMeta(content_type=content_type))


def test_an_answer_in_order_is_taken_whole() -> None:
    request = _inflight()
    usage = Usage(prompt_tokens=1)
    assert request.take_frame(_accepted()) is Verdict.PINNED
    assert (request.worker, request.worker_name, request.model_version) == ("w", "n", "v")
    assert not request.has_news
    assert request.take_frame(_head(b"a")) is Verdict.TAKEN
    assert request.has_news
    assert request.take_frame(_frame(0, 2, b"b")) is Verdict.TAKEN
    assert request.take_bytes() == b"ab"
    assert request.take_frame(_frame(Flag.LAST, 3, b"c", meta=FrameMeta(usage=usage))) is Verdict.TAKEN
    assert (request.take_bytes(), request.ended, request.error, request.usage) == (b"c", True, None, usage)
    assert request.take_bytes() == b""


def test_an_answer_that_is_not_a_stream_is_no_news_before_its_end() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    request.take_frame(_head(b"a", "application/json"))
    assert not request.has_news
    request.take_frame(_frame(Flag.LAST, 2))
    assert request.has_news


@pytest.mark.parametrize("seq", [3, 4, 0xFFFF_FFFF])
def test_a_gap_breaks_it(seq: int) -> None:
    request = _inflight()
    request.take_frame(_accepted())
    request.take_frame(_head())
    assert request.take_frame(_frame(Flag.LAST, seq)) is Verdict.BROKEN
    assert request.error is not None
    assert request.error.code == "frames_lost"
    assert request.take_frame(_frame(Flag.LAST, 2)) is Verdict.TAKEN
    assert request.error.code == "frames_lost"


def test_the_next_frame_may_stand_in_for_a_lost_acceptance() -> None:
    request = _inflight()
    assert request.take_frame(_frame(0, 0, b"x")) is Verdict.FOREIGN
    assert request.attempt == UNPINNED
    assert request.take_frame(_head(b"a")) is Verdict.TAKEN
    assert (request.attempt, request.take_bytes(), request.exchange.work_began) == (A1, b"a", True)
    late = _inflight()
    assert late.take_frame(_frame(0, 2, b"b")) is Verdict.BROKEN


def test_bytes_without_a_head_break_it() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    assert request.take_frame(_frame(0, 1, b"a")) is Verdict.BROKEN


def test_a_repeated_frame_has_no_effect() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    request.take_frame(_head(b"a"))
    assert request.take_frame(_head(b"a")) is Verdict.TAKEN
    assert request.take_bytes() == b"a"


def test_only_the_first_execution_counts() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    assert request.take_frame(_accepted(A2)) is Verdict.FOREIGN
    assert request.take_frame(_head(b"x", attempt=A2)) is Verdict.FOREIGN
    assert request.take_frame(_accepted(RETRIED)) is Verdict.FOREIGN
    assert (request.attempt, request.take_bytes()) == (A1, b"")


def test_an_execution_of_an_earlier_retry_is_foreign() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    request.take_frame(_head(b"a"))
    request.restart(msgspec.structs.replace(request.envelope, retry=1))
    assert (request.attempt, request.take_bytes(), request.worker) == (UNPINNED, b"", "")
    assert request.take_frame(_accepted(A1)) is Verdict.FOREIGN
    assert request.take_frame(_accepted(RETRIED)) is Verdict.PINNED


def test_after_the_end_an_execution_is_foreign_even_if_none_was_pinned() -> None:
    request = _inflight()
    request.fail(ServiceError("queue_timeout", "no"))
    assert request.take_frame(_accepted()) is Verdict.FOREIGN


def test_the_first_end_wins() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    request.fail(ServiceError("deadline_exceeded", "no"))
    request.fail(ServiceError("worker_lost", "no"))
    request.take_frame(_head(b"late", flags=Flag.LAST))
    assert request.error is not None
    assert (request.error.code, request.take_bytes()) == ("deadline_exceeded", b"")


def test_an_error_may_come_before_any_acceptance_but_not_from_another_retry() -> None:
    request = _inflight()
    failed = _frame(Flag.ERROR | Flag.LAST, 0, meta=FrameMeta(code="no_worker", message="none"))
    assert request.take_frame(failed._replace(attempt=RETRIED)) is Verdict.FOREIGN
    assert request.take_frame(failed) is Verdict.TAKEN
    assert request.error is not None
    assert (request.error.code, request.error.message) == ("no_worker", "none")


@pytest.mark.parametrize(
    ("flags", "code"), [(Flag.CANCELLED, ""), (Flag.ERROR, "worker_lost"), (Flag.ERROR, "shutting_down")]
)
def test_an_end_that_is_not_the_requests_fault_is_a_loss(flags: Flag, code: str) -> None:
    request = _inflight()
    request.take_frame(_accepted())
    assert request.take_frame(_frame(flags | Flag.LAST, 1, meta=FrameMeta(code=code))) is Verdict.LOST
    assert not request.ended


def test_more_than_may_wait_is_an_overflow() -> None:
    stream = _inflight(buffered=5)
    stream.take_frame(_accepted())
    assert stream.take_frame(_head(b"12345")) is Verdict.TAKEN
    assert stream.take_frame(_frame(0, 2, b"6")) is Verdict.OVERFLOW
    whole = _inflight(buffered=5, response=7)
    whole.take_frame(_accepted())
    assert whole.take_frame(_head(b"123456", "application/json")) is Verdict.TAKEN
    assert whole.take_frame(_frame(0, 2, b"78")) is Verdict.OVERFLOW


async def test_news_wakes_for_bytes_the_end_and_a_lost_client() -> None:
    for happen in ("bytes", "end", "gone"):
        request = _inflight()
        request.take_frame(_accepted())
        waiting = asyncio.create_task(request.news())
        await asyncio.sleep(0)
        assert not waiting.done()
        if happen == "bytes":
            request.take_frame(_head(b"a"))
        elif happen == "end":
            request.fail(ServiceError("worker_lost", "no"))
        else:
            request.on_client_gone()
        await asyncio.wait_for(waiting, 1)


async def test_a_restart_between_waking_and_running_is_no_news() -> None:
    request = _inflight()
    request.take_frame(_accepted())
    waiting = asyncio.create_task(request.news())
    await asyncio.sleep(0)
    request.take_frame(_head(b"a"))
    request.restart(request.envelope)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


FRAMES = st.builds(
    Frame,
    flags=st.integers(0, 31),
    status=st.sampled_from([0, 200, 500]),
    attempt=st.sampled_from([A1, A2, RETRIED]),
    seq=st.integers(0, 5),
    meta=st.builds(
        FrameMeta,
        content_type=st.sampled_from(["", "text/event-stream", "application/json"]),
        code=st.sampled_from(["", "engine_error", "worker_lost", "nonsense"]),
    ),
    body=st.binary(max_size=3),
)


@given(st.lists(FRAMES, max_size=12))
def test_whatever_comes_bytes_are_contiguous_and_an_end_is_final(frames: list[Frame]) -> None:
    request = _inflight()
    expected = b""
    pinned, seq = UNPINNED, 0
    for frame in frames:
        ended = request.ended
        verdict = request.take_frame(frame)
        if pinned == UNPINNED and request.attempt != UNPINNED:
            pinned, seq = request.attempt, 0 if verdict is Verdict.PINNED else frame.seq - 1
        if ended:
            assert request.ended
        accepted = frame.attempt == pinned and frame.seq == seq + 1 and verdict is Verdict.TAKEN and not ended
        if accepted and not frame.flags & (Flag.ERROR | Flag.CANCELLED):
            expected += frame.body
        if frame.attempt == pinned and frame.seq == seq + 1 and verdict is not Verdict.PINNED:
            seq += 1
        if verdict is Verdict.LOST:
            return
    assert request.take_bytes() == expected
