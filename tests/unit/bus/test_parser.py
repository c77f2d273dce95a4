"""The protocol parser, fed in pieces of every size."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.kit.bus.parser import Message, Parser, ProtocolError

EXPECTED = [
    (1, Message("a.b", "", b"", b"hello")),
    (22, Message("a.c", "rpl.x", b"", b"")),
    (3, Message("a.d", "", b"NATS/1.0\r\nA: 1\r\n\r\n", b"x\r\ny")),
    (4, Message("a.e", "rpl.y", b"NATS/1.0 503\r\n\r\n", b"")),
]
STREAM = (
    b'INFO {"max_payload":1}\r\n'
    b"MSG a.b 1 5\r\nhello\r\n"
    b"MSG a.c 22 rpl.x 0\r\n\r\n"
    b"PING\r\n"
    b"HMSG a.d 3 18 22\r\nNATS/1.0\r\nA: 1\r\n\r\nx\r\ny\r\n"
    b"HMSG a.e 4 rpl.y 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"PONG\r\n"
)


def _feed(pieces: list[bytes]) -> tuple[list[tuple[int, Message]], list[bytes]]:
    messages: list[tuple[int, Message]] = []
    operations: list[bytes] = []
    parser = Parser(lambda sid, message: messages.append((sid, message)), operations.append)
    for piece in pieces:
        parser.feed(piece)
    return messages, operations


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_any_cut_of_the_stream_gives_the_same_messages(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    messages, operations = _feed([STREAM[a:b] for a, b in itertools.pairwise(edges) if a != b])
    assert messages == EXPECTED
    assert operations == [b'INFO {"max_payload":1}', b"PING", b"PONG"]


def test_one_byte_at_a_time() -> None:
    assert _feed([STREAM[i : i + 1] for i in range(len(STREAM))])[0] == EXPECTED


@pytest.mark.parametrize("line", [b"MSG a.b one 5\r\n", b"MSG a.b 1 five\r\n", b"MSG\r\n", b"x" * 70_000])
def test_nonsense_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        _feed([line])
