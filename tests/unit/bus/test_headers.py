"""Header blocks: what goes in comes out, and nothing can be smuggled in."""

import pytest

from libs.kit.bus import encode_headers, header_value, status_of
from libs.kit.bus.pull import delivery_of


def test_values_come_back_by_exact_name() -> None:
    block = encode_headers([(b"Llmos-Envelope", b'{"a":"b: c"}'), (b"Nats-Msg-Id", b"r:0")])
    assert header_value(block, b"Llmos-Envelope") == b'{"a":"b: c"}'
    assert header_value(block, b"Nats-Msg-Id") == b"r:0"
    assert header_value(block, b"Msg-Id") is None
    assert status_of(block) == 0


@pytest.mark.parametrize("value", [b"x\r\nNats-Msg-Id: forged", b"x\ny"])
def test_a_line_break_cannot_forge_a_header(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_headers([(b"A", value)])


@pytest.mark.parametrize(
    ("block", "status"), [(b"NATS/1.0 503\r\n\r\n", 503), (b"NATS/1.0 408 Request Timeout\r\n\r\n", 408), (b"", 0)]
)
def test_status_lines(block: bytes, status: int) -> None:
    assert status_of(block) == status


@pytest.mark.parametrize(
    ("subject", "delivery"),
    [("$JS.ACK.S.C.3.1.1.17.0", 3), ("$JS.ACK.hub.Ab12.S.C.7.1.1.17.0.tok", 7)],
)
def test_delivery_count_is_read_from_both_ack_layouts(subject: str, delivery: int) -> None:
    assert delivery_of(subject) == delivery
