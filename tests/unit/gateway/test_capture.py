"""What is kept of an exchange: everything, or as much as fits into a message."""

import msgspec

from libs.contracts.feedback import Captured
from libs.contracts.inference import RequestCompleted
from services.gateway.capture import MAX_RESPONSE_BYTES, Capture

COMPLETED = RequestCompleted(
    id="r1-completed",
    time_ms=1,
    request_id="r1",
    client_request_id="c1",
    tenant="t",
    key_id="k",
    route="/v1/chat/completions",
    model="m",
    outcome="ok",
    status=200,
)
BODY = b'{"model":"m","messages":[]}'


def _captured(capture: Capture) -> Captured:
    raw = capture.event(COMPLETED)
    assert len(raw) <= 1_000_000
    return msgspec.json.decode(raw, type=Captured)


def test_the_text_is_kept_as_it_was_sent() -> None:
    capture = Capture(BODY)
    capture.add(b'data: {"a":"\xc3')
    capture.add(b'\xa4"}\n\n')
    kept = _captured(capture)
    assert kept.response == 'data: {"a":"ä"}\n\n'
    assert bytes(kept.request) == BODY
    assert kept.completed == COMPLETED
    assert not kept.truncated


def test_a_long_answer_is_cut_and_says_so() -> None:
    capture = Capture(BODY)
    for _ in range(3):
        capture.add(b"x" * (MAX_RESPONSE_BYTES // 2))
    kept = _captured(capture)
    assert len(kept.response) == MAX_RESPONSE_BYTES
    assert kept.truncated


def test_what_would_not_fit_into_a_message_is_left_out_answer_first() -> None:
    long_question = Capture(b'"' + b"q" * 900_000 + b'"')
    long_question.add(b"a" * 200_000)
    kept = _captured(long_question)
    assert (len(bytes(kept.request)), kept.response, kept.truncated) == (900_002, "", True)
    longer_question = Capture(b'"' + b"q" * 1_000_000 + b'"')
    kept = _captured(longer_question)
    assert (bytes(kept.request), kept.response, kept.truncated) == (b"null", "", True)


def test_bytes_that_are_no_text_do_not_break_the_event() -> None:
    capture = Capture(BODY)
    capture.add(b"\xff\xfe\x00")
    assert _captured(capture).response == "\ufffd\ufffd\x00"
