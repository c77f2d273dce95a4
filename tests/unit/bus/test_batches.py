"""How far behind its stream a consumer is, as its messages tell."""

from unittest.mock import Mock

import pytest

from libs.kit.bus.batches import BatchConsumer, pending_of
from libs.kit.bus.parser import Message


@pytest.mark.parametrize(
    ("ack_subject", "pending"),
    [("$JS.ACK.S.C.3.1.1.17.42", 42), ("$JS.ACK.hub.Ab12.S.C.7.1.1.17.9.tok", 9)],
)
def test_a_message_tells_how_many_wait_behind_it(ack_subject: str, pending: int) -> None:
    assert pending_of(ack_subject) == pending


async def test_the_oldest_message_in_hand_and_what_waits_behind_the_newest_are_known() -> None:
    consumer = BatchConsumer(Mock(connected=False), stream="S", durable="C", inbox="i", lease_s=30.0)
    assert (consumer.oldest_stored_ms, consumer.pending) == (0, 0)
    for number, stored_ms in ((1, 2_000), (2, 1_000), (3, 3_000)):
        reply = f"$JS.ACK.S.C.1.{number}.{number}.{stored_ms * 1_000_000}.{10 - number}"
        consumer._on_message(Message("s", reply, b"", b""))
    assert (consumer.oldest_stored_ms, consumer.pending) == (1_000, 7)
    taken = await consumer.take()
    assert consumer.oldest_stored_ms == 1_000, "what is taken and not acknowledged is in hand"
    consumer.acknowledge(taken)
    assert consumer.oldest_stored_ms == 0
