"""A call is answered whatever happens, and what has come of it is counted."""

import msgspec
import pytest

from libs.contracts.calls import Reply
from libs.kit.answering import Answering
from libs.kit.errors import ServiceError
from libs.kit.telemetry.traceparent import Parent, write
from libs.testkit.traces import noting


class _Asked(msgspec.Struct):
    number: int


class _Said(msgspec.Struct):
    number: int


async def _double(asked: _Asked) -> _Said:
    if asked.number == 0:
        raise ServiceError("storage_unavailable", "The database does not answer.")
    if asked.number < 0:
        raise ServiceError("invalid_value", "`Anna's number` is below zero.")
    return _Said({1: 0}[asked.number])


@pytest.fixture
def answering() -> Answering:
    return Answering("numbers", "double", msgspec.json.Decoder(_Asked).decode, _double)


async def _codes(answering: Answering, *payloads: bytes) -> list[str]:
    replies = [msgspec.json.decode(await answering.answer(payload), type=Reply) for payload in payloads]
    return [reply.error.code if reply.error is not None else "" for reply in replies]


async def test_every_call_is_counted_and_every_fault_by_its_code(answering: Answering) -> None:
    calls = (b'{"number":1}', b'{"number":0}', b'{"number":2}', b'{"number":"x"}', b"{", b'{"number":1}')
    codes = await _codes(answering, *calls)
    assert codes == ["", "storage_unavailable", "internal_error", "invalid_value", "invalid_json", ""]
    tally = answering.tally
    assert tally.requests == len(calls)
    assert tally.errors == {code: 1 for code in codes if code}
    assert tally.busy_s > 0


async def test_a_callers_mistake_is_kept_without_the_callers_words(answering: Answering) -> None:
    await _codes(answering, b'{"number":0}')
    assert answering.tally.last_error == "storage_unavailable: The database does not answer."
    await _codes(answering, b'{"number":-1}')
    assert answering.tally.last_error == "invalid_value"


async def test_a_recorded_callers_call_is_a_span_below_his_and_fails_with_its_fault(answering: Answering) -> None:
    caller = write(7, 8)
    with noting() as notes:
        await answering.answer(b'{"number":1}', caller)
        await answering.answer(b'{"number":0}', caller)
        await answering.answer(b'{"number":1}', caller[:-1] + "0")
        await answering.answer(b'{"number":1}')
    assert [(span.name, span.parent, span.errors, span.ended) for span in notes.spans] == [
        ("numbers.double", Parent(7, 8), [], True),
        ("numbers.double", Parent(7, 8), ["storage_unavailable"], True),
    ]
