"""Ids: by time where they are keys of tables, and never twice."""

import re
import time

import pytest

from libs.kit import clock

TICK_NS = 1 << 24


def test_request_ids_are_single_and_in_the_order_of_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = time.time_ns()
    ids = []
    for tick in range(1_000):
        monkeypatch.setattr("time.time_ns", lambda tick=tick: now_ns + tick * TICK_NS)
        ids.append(clock.new_request_id())
    assert ids == sorted(ids)
    at_once = [clock.new_request_id() for _ in range(1_000)]
    assert len({*ids, *at_once}) == 2_000
    assert all(re.fullmatch("[0-9a-f]{24}", one) for one in ids)
    assert len({one[:10] for one in at_once}) == 1
