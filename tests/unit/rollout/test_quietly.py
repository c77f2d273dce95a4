"""What one turn or loop cannot do is told and left for later; only the end of the process ends the round."""

import asyncio

import pytest
from structlog.testing import capture_logs

from libs.kit.errors import ServiceError
from libs.kit.leader import LostError
from services.rollout.loops.driving import _quietly


async def _raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize("error", [ServiceError("registry_unavailable", "It is away."), LostError("epoch 3 is over")])
async def test_what_is_not_done_yet_is_told_in_a_line(error: Exception) -> None:
    with capture_logs() as logs:
        assert await _quietly(_raises(error)) == 0
    assert [(one["event"], one["log_level"], one["reason"]) for one in logs] == [("not done yet", "info", str(error))]


async def test_what_nobody_expected_is_told_with_where_it_happened() -> None:
    with capture_logs() as logs:
        assert await _quietly(_raises(KeyError("x"))) == 0
    assert [(one["event"], one["log_level"], one.get("exc_info")) for one in logs] == [("step failed", "error", True)]


async def test_a_cancellation_is_none_of_these() -> None:
    with pytest.raises(asyncio.CancelledError):
        await _quietly(_raises(asyncio.CancelledError()))


async def test_what_was_done_is_counted() -> None:
    async def one() -> int:
        return 1

    assert await _quietly(one()) == 1
